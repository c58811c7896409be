"""The checks of an audit that need no pixel: what is known of patients, views and a split that the data give."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from covidnet.data.attributes import attributes_of
from covidnet.data.division.division import Division
from covidnet.data.division.given import numbers_by_side
from covidnet.data.division.metadata import Metadata
from covidnet.data.division.split import Split
from covidnet.data.division.views import AP, PA, other_views
from covidnet.data.radiographs import Radiographs
from covidnet.data.told import proposed_pattern
from covidnet.errors import UserError
from covidnet.evaluation.confounding import FAIL, NEEDED, PASS, WARN
from covidnet.evidence.audit_checks import Check, Contents, check_attribute


def run_known_checks(data: Radiographs, contents: Contents) -> list[Check]:
    """Return the checks of what keys, tables and names tell of the images.

    Args:
        data: The images as training would take them.
        contents: What could be read of them.
    """
    checks = (_check_patients(data, contents), _check_split(data, contents), *_check_attributes(data, contents))
    return [check for check in checks if check]


def _check_patients(data: Radiographs, contents: Contents) -> Check:
    patients = [row.get("patient", "") for row in contents.rows]
    named = Counter(patient for patient in patients if patient)
    unknown, several = patients.count(""), sum(number > 1 for number in named.values())
    details = {"patients": len(named), "with_several_images": several, "images_of_unknown_patients": unknown}
    if not unknown:
        sentence = f"All images have a patient: {len(named):,}, {several:,} of them with several images."
        return Check("patients", PASS, sentence, details)
    proposed = proposed_pattern(data) if not named else None
    return Check(
        "patients",
        WARN,
        f"The patients of {unknown:,} of {len(patients):,} images are not known: images of one person may stand in "
        f"training and in test.{f' {proposed}' if proposed else ''}",
        {**details, "proposed": proposed},
    )


def _check_split(data: Radiographs, contents: Contents) -> Check | None:
    """Tell whether a patient or a radiograph stands on two sides of a split that the data give."""
    if not data.sides:
        return None
    division = Division(
        paths=contents.paths,
        labels=contents.labels.tolist(),
        classes=contents.classes,
        pairs=contents.duplicates.pairs,
        table=Metadata("", dict(zip(contents.paths, contents.rows, strict=True))),
        sides=data.sides,
        use_val=data.use_val,
        tested_apart=False,
        seed=data.seed,
        val_fraction=data.val_fraction,
        test_per_class=data.test_per_class,
    )
    try:
        split, problem = division.draw(), ""
    except UserError as error:  # what is lacking cannot be drawn; what is given can be looked at all the same
        split, problem = Split(**numbers_by_side(division.paths, division.sides)), str(error)
    counts = {name: len(numbers) for name, numbers in split.items()}
    listed = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    astride = division.astride_told(split)
    if astride:
        return Check("split", FAIL, astride, counts)
    if problem:
        return Check("split", WARN, f"The split that the data give cannot be trained on: {problem}", counts)
    sentence = f"Of the split that the data give ({listed}), no patient, group or copy is known on two sides"
    if unknown := sum(not row.get("patient") for row in contents.rows):
        return Check("split", WARN, f"{sentence}; but the patients of {unknown:,} images are not known.", counts)
    return Check("split", PASS, f"{sentence}.", counts)


def _check_attributes(data: Radiographs, contents: Contents) -> Iterator[Check]:
    """Tell whether what a table tells of the images, beside their source, tells the class; nothing of what it does not.

    Raises:
        UserError: Where a column that is asked for is not there or has too many values.
    """
    rows = dict(zip(contents.paths, contents.rows, strict=True))
    attributes = attributes_of(contents.paths, rows, data.age_bins, data.wanted_subgroups)
    for attribute, names in attributes.items():
        if attribute == "view":
            counts = Counter(view or "not known" for view in names)
            listed = ", ".join(f"{count:,} {view}" for view, count in counts.most_common())
            others = len(other_views(rows, [PA, AP]))
            out = f" New runs leave {others:,} out (data.views)." if others else ""
            found = check_attribute("views", attribute, names, contents, f"{listed}.{out} ")
            yield replace(found, details={"views": dict(counts), **found.details})
        elif attribute != NEEDED:
            yield check_attribute(attribute, attribute, names, contents)
