"""What a run's numbers allow to be said: sentences, each PASS, WARN, FAIL or not run."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scipy.stats import binomtest

from covidnet.evaluation.confounding import judge
from covidnet.evaluation.subgroups import gap_sentences
from covidnet.report.measured import HeatShare, Links
from covidnet.runs.files import AUDIT

Level = Literal["PASS", "WARN", "FAIL", "NOT RUN"]
ORDER: tuple[Level, ...] = ("FAIL", "WARN", "NOT RUN", "PASS")

FEW = 100  # test images a class; with fewer, even a faultless test leaves the sensitivity unsure by 4 points
LARGE_DROP = 0.10  # of the balanced accuracy, from home to elsewhere


class Verdict(NamedTuple):
    """One question, what the run says to it, and the command that would say more."""

    level: Level
    question: str
    sentence: str
    command: str | None = None
    points: tuple[str, ...] = ()  # what was found, one by one, where that is more than one thing


def commands(run: Path, words: Sequence[str]) -> dict[str, str]:
    """Return the command that makes each optional file of a run; the audit takes the ``words`` for its images."""
    folder = shlex.quote(str(run))
    return {
        "shortcuts": f"covidnet shortcuts {folder}",
        "audit": f"covidnet audit {shlex.join(words)} --json {shlex.quote(str(run / AUDIT))}",
        "external": f"covidnet evaluate {folder} FOLDER",
    }


def worst(verdicts: list[Verdict]) -> Level:
    """Return the level that stands over all verdicts."""
    return min((verdict.level for verdict in verdicts), key=ORDER.index)


def chance_verdict(scores: Mapping[str, Any], num_classes: int) -> Verdict | None:
    """Tell whether the model is better than guessing, where the balanced accuracy has an interval."""
    interval = (scores.get("intervals") or {}).get("balanced_accuracy")
    if not interval or scores.get("balanced_accuracy") is None:
        return None
    low, high = interval
    question = "Is it better than guessing?"
    found = f"Balanced accuracy {_percent(scores['balanced_accuracy'])} [{100 * low:.1f} to {_percent(high)}]"
    if low > 1 / num_classes:
        return Verdict("PASS", question, f"Yes, on this test. {found}; guessing gives {_percent(1 / num_classes)}.")
    return Verdict("FAIL", question, f"Not shown. {found} reaches down to guessing, {_percent(1 / num_classes)}.")


def size_verdict(scores: Mapping[str, Any]) -> Verdict:
    """Tell what a test of this size can show at best."""
    cases = {name: values["support"] for name, values in scores["per_class"].items()}
    name = min(cases, key=cases.__getitem__)
    question = "Is the test large enough?"
    if cases[name] == 0:
        return Verdict("FAIL", question, f"No: the test holds no image of {name}.")
    bound = binomtest(cases[name], cases[name]).proportion_ci(method="wilson").low
    sentence = (
        f"{sum(cases.values()):,} images, the fewest of {name} ({cases[name]:,}): even with none of these missed, the "
        f"true sensitivity could be as low as {_percent(bound)}.{_needed(scores['per_class'])}"
    )
    return Verdict("PASS" if cases[name] >= FEW else "WARN", question, sentence)


def _needed(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell how many images would be enough for each sensitivity to be known to 5 points; nothing for an older run."""
    known = {
        name: values
        for name, values in per_class.items()
        if values.get("images_needed") and values.get("sensitivity") is not None
    }
    more = [
        f"{values['images_needed']:,} of {name} (found: {_percent(values['sensitivity'])})"
        for name, values in known.items()
        if values["images_needed"] > values["support"]
    ]
    if more:
        return f" To know a sensitivity of the size found to within 5\u00a0points takes about {', '.join(more)}."
    return " Each class has images enough to know its sensitivity to within 5\u00a0points." if known else ""


def leak_verdict(links: Links | None, audit: str) -> Verdict:
    """Tell whether linked images stand on two sides of the split."""
    question = "Are training and test images of different people?"
    if links is None:
        return Verdict("NOT RUN", question, "No table of patients and duplicates was at hand.", audit)
    if links.astride:
        sentence = f"{links.astride:,} patients or groups of duplicates have images on two sides of the split."
        return Verdict("FAIL", question, f"No: {sentence} The test results are too good.")
    apart = f"none of the {links.groups:,} linked groups is on two sides of the split."
    if not links.groups:
        apart = "no two of them belong together."
    if links.unknown:
        whose = f"Of {links.unknown:,} of the {links.of:,} images nobody knows the patient"
        return Verdict("WARN", question, f"Not known. {whose}; {apart}", audit)
    return Verdict("PASS", question, f"All {links.of:,} images have a patient, and {apart}")


def source_verdict(found: Mapping[str, Any] | None, audit: str) -> Verdict:
    """Tell whether the source tells the class, in the words of the audit; ``found`` as ``class_by`` returns it."""
    question = "Can the class be told by its source?"
    if found is None or found["cramers_v"] is None:
        sentence = "Not known: no table names the sources of these images (metadata.csv, column source)."
        return Verdict("NOT RUN", question, sentence, audit)
    level, sentence = judge("source", found)
    return Verdict("FAIL" if level == "FAIL" else "WARN" if level == "WARN" else "PASS", question, sentence)


def groups_verdict(subgroups: Mapping[str, Mapping[str, Any]] | None) -> Verdict | None:
    """Tell whether two groups get different scores, beyond chance, where any two groups are large enough to tell."""
    compared = [name for name, found in (subgroups or {}).items() if found["gaps"]]
    if not subgroups or not compared:
        return None
    question = "Does it work alike for all groups?"
    gaps = gap_sentences(subgroups)
    if gaps:
        more = f" {len(gaps) - 1} more gaps: Whom it fails." if len(gaps) > 1 else ""
        return Verdict("WARN", question, f"No. The widest gap: {gaps[0]}.{more}")
    return Verdict("PASS", question, f"No gap by {', '.join(compared)} is more than chance would make.")


def heat_verdict(heat: HeatShare | None) -> Verdict | None:
    """Tell whether the heat lies in the lungs, or in the box that stands for them, more than it would by chance."""
    if heat is None:
        return None
    question = f"Does the model look at {heat.region}?"
    takes = "take" if heat.masked else "stands for the lungs and takes"
    found = f"{_percent(heat.mean)} of the heat lies inside {heat.region}"
    sentence = f"{found}, which {takes} {_percent(heat.area)} of the image."
    if heat.interval and heat.interval[0] > heat.area:
        return Verdict("PASS", question, f"More than by chance: {sentence}")
    return Verdict("WARN", question, f"Not more than by chance: {sentence}")


def shortcuts_verdict(shortcuts: Mapping[str, Any] | None, command: str) -> Verdict:
    """Repeat the verdict of the lungs test."""
    question = "Does it need the lungs?"
    if shortcuts is None:
        return Verdict("NOT RUN", question, "Not known: the lungs test has not been run.", command)
    return Verdict(shortcuts["verdict"], question, shortcuts["sentence"])


def audit_verdict(audit: Mapping[str, Any] | None, command: str) -> Verdict:
    """Repeat the worst sentences of the audit."""
    question = "Is the data sound?"
    if audit is None:
        return Verdict("NOT RUN", question, "Not known: the data has not been audited.", command)
    found = tuple(check["sentence"] for check in audit["checks"] if check["verdict"] == audit["verdict"])
    if audit["verdict"] == "PASS":
        return Verdict("PASS", question, f"All {len(found)} checks of the audit pass.")
    told = f"{len(found)} of the {len(audit['checks'])} checks of the audit say {audit['verdict']}:"
    return Verdict(audit["verdict"], question, told, points=found)


def labels_verdict(suspects: int, images: int, command: str) -> Verdict:
    """Tell whether models contradict labels of images that they had not seen."""
    question = "Are the labels right?"
    if not suspects:
        return Verdict("PASS", question, f"None of {images:,} images counts as another class than its label.")
    found = f"{suspects:,} of {images:,} images count as another class than their label"
    return Verdict("WARN", question, f"{found}: slips of the labels, or errors of the models.", command)


def external_verdict(external: Mapping[str, Any] | None, command: str) -> Verdict:
    """Tell whether the model does worse on other sources, where that was measured."""
    question = "Does it hold on other hospitals' images?"
    if external is None:
        return Verdict("NOT RUN", question, "Not known: it has been tested on its own collection only.", command)
    drop = (external.get("drop") or {}).get("balanced_accuracy")
    if not drop or drop.get("value") is None or not drop.get("interval"):
        return Verdict("WARN", question, "Images from elsewhere were tested, but the drop cannot be stated.")
    low, high = drop["interval"]
    found = f"balanced accuracy is {_points(drop['value'])} lower elsewhere [{100 * low:.1f} to {_points(high)}]"
    if low > 0:
        return Verdict("FAIL" if drop["value"] >= LARGE_DROP else "WARN", question, f"No: {found}.")
    most = f"the interval allows one of up to {_points(high)}" if high > 0 else "it is higher elsewhere"
    proof = "That is no proof: hospitals may share a shortcut (DeGrave et al. 2021)."
    return Verdict("PASS", question, f"No drop was shown; {most}. {proof}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def _points(share: float) -> str:
    return f"{100 * share:.1f}\u00a0points"
