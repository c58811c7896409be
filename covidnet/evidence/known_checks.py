"""The checks of an audit that need no pixel: what is known of patients, views and a split that the data give."""

from collections import Counter

from covidnet.data.division.division import Division
from covidnet.data.division.given import numbers_by_side
from covidnet.data.division.metadata import Metadata
from covidnet.data.division.split import Split
from covidnet.data.division.views import AP, PA, other_views, view_of
from covidnet.data.radiographs import Radiographs
from covidnet.data.told import proposed_pattern
from covidnet.errors import UserError
from covidnet.evaluation.probes import cramers_v
from covidnet.evidence.audit_checks import FAIL, PASS, RELATED, WARN, Check, Contents, tabulate


def run_known_checks(data: Radiographs, contents: Contents) -> list[Check]:
    """Return the checks of what keys, tables and names tell of the images.

    Args:
        data: The images as training would take them.
        contents: What could be read of them.
    """
    checks = (_check_patients(data, contents), _check_split(data, contents), _check_views(contents))
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


def _check_views(contents: Contents) -> Check | None:
    """Tell which views there are, and whether they tell the class; nothing where none is known."""
    views = [view_of(row.get("view", "")) for row in contents.rows]
    names, table = tabulate(contents, views)
    if not names:
        return None
    strength = cramers_v(table)
    counts = Counter(view or "not known" for view in views)
    listed = ", ".join(f"{count:,} {view}" for view, count in counts.most_common())
    others = len(other_views(dict(zip(contents.paths, contents.rows, strict=True)), [PA, AP]))
    out = f" New runs leave {others:,} out (data.views)." if others else ""
    sentence = f"{listed}.{out} Cramér's V of class and view is {strength:.2f}"
    details = {"views": dict(counts), "cramers_v": strength}
    if strength >= RELATED:
        return Check("views", WARN, f"{sentence}: who sees the view knows something of the class.", details)
    return Check("views", PASS, f"{sentence}: the view does not tell the class.", details)
