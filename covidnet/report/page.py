"""Joins what the other files make of a run into one HTML page: ``write_report(run)``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from covidnet.__version__ import __version__
from covidnet.evaluation.names import OVERALL, POOLED
from covidnet.files.whole import write_whole
from covidnet.report import against, figures, verdicts
from covidnet.report.cells import Cell, Row, cell, drawn, known_of_class, rows
from covidnet.report.checklist import SPLIT_NAMES, answer, fill
from covidnet.report.decided import calibrate, decided
from covidnet.report.facts import MODEL_NAMES, settings_of, versions_of
from covidnet.report.groups import SHOWN, attributes_shown
from covidnet.report.judged import Judged, judge
from covidnet.report.outside import outside
from covidnet.report.rebalanced import rebalanced
from covidnet.report.use import TITLES, use_of
from covidnet.runs.files import REPORT, looks_told
from covidnet.runs.run import Run

LUNGS_TEST = {
    "whole": ("Whole image", "the model of this run"),
    "lungs_covered": ("Lungs covered", "trained and tested without lungs"),
    "lungs_only": ("Lungs only", "trained and tested on lungs alone"),
    "covered_at_test": ("Covered at the test only", "the model of this run, tested without lungs"),
    "swapped_at_test": ("Surround swapped at the test", "the model of this run; around the lungs another image"),
}


def write_report(run: Path) -> Path:
    """Write ``report.html`` into a run directory, whole or not at all; return its path.

    The page holds all that it shows: it asks nothing of any network. What the run directory lacks is told on the page,
    with the command that makes it.

    Raises:
        UserError: Where ``run`` is no directory of a finished run, or one of its files cannot be read.
    """
    return judged_report(run)[0]


def judged_report(run: Path) -> tuple[Path, list[verdicts.Verdict]]:
    """Write the report, as ``write_report``; return its path and the verdicts that it shows."""
    file, opened = run / REPORT, Run(run)
    judged = judge(opened)
    # Names of files may hold bytes that are no UTF-8; the page shows a question mark for them.
    write_whole(file, _render(opened, judged).encode("utf-8", errors="replace"))
    return file, judged.verdicts


def html_templates(package: str, folder: str) -> Environment:
    """Return the templates in a folder of a package, for HTML: what they show is escaped, what they lack an error."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(run: Run, judged: Judged) -> str:
    """Return the page of a run."""
    optional = judged.optional
    return (
        html_templates("covidnet.report", ".")
        .get_template("template.html.j2")
        .render(
            run=run,
            classes=run.classes,
            looks_told=looks_told,
            name=f"{run.folder.absolute().parent.name} / {run.folder.absolute().name}",
            notice=run.scores.get("notice", ""),
            images=sum(values["support"] for values in run.scores["per_class"].values()),
            verdicts=judged.verdicts,
            worst=verdicts.worst(judged.verdicts),
            model_names=MODEL_NAMES,
            headline=[
                (OVERALL[key].label, cell(run.scores, key))
                for key in ("accuracy", "balanced_accuracy")
                if key in run.scores
            ],
            overall=rows(OVERALL.values(), list(run.models.values())),
            per_class_metrics=known_of_class(run.scores["per_class"]),
            pooled=POOLED.values(),
            cell=cell,
            decision=decided(run),
            rebalanced=rebalanced(run),
            figures=_figures(run),
            use_titles=TITLES,
            use_inside=use_of(run.scores, run.results.get("counts", {}), "inside"),
            calibration=_calibration(run),
            prediction_sets=_prediction_sets(run.scores.get("prediction_sets")),
            always_in_sets=_always_in_sets(run.scores.get("prediction_sets")),
            gallery=judged.gallery,
            gallery_problem=judged.gallery_problem,
            card=judged.card,
            data=judged.data,
            shortcuts=optional["shortcuts"],
            lungs_test=_lungs_test(optional["shortcuts"]),
            audit=optional["audit"],
            external=outside(optional["external"], run.results.get("counts", {})) if optional["external"] else None,
            groups=attributes_shown(run.results),
            groups_outside=attributes_shown(optional["external"]),
            group_metrics=SHOWN,
            split_names=SPLIT_NAMES,
            source_probe=[
                (name, drawn("auroc", _auroc(found)), found["by_chance"], found["sources"])
                for name, found in (run.results.get("source_probe") or {}).items()
            ],
            against=against.read_comparison(run),
            commands={**judged.commands, "against": against.command(run.folder)},
            settings=settings_of(run),
            versions=versions_of(run),
            hashes=run.hashes(),
            guidelines=fill(answer(run, judged.card, judged.gallery, optional)),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
        )
    )


def _figures(run: Run) -> dict[str, Markup]:
    """Return the figures that the run's files allow, by name."""
    best_epoch = run.results.get("best_epoch")
    drawn: dict[str, Markup | None] = {
        f"training_{metric}": figures.training_curves(
            run.history, metric, best_epoch, f"{metric} of training and validation images by epoch"
        )
        for metric in ("loss", "accuracy")
    }
    predictions = run.predictions
    if predictions is not None:
        labels, probabilities = predictions.labels, predictions.probabilities
        names = ", ".join(run.classes)
        drawn["roc"] = figures.roc(labels, probabilities, run.classes, f"Receiver operating characteristic of {names}")
        drawn["precision_recall"] = figures.precision_recall(
            labels, probabilities, run.classes, f"Precision by recall of {names}"
        )
        outputs = {"as trained": probabilities}
        calibrated = run.scores.get("calibrated")
        if calibrated:
            outputs["after temperature scaling"] = calibrate(probabilities, calibrated["temperature"])
        drawn["reliability"] = figures.reliability(
            labels, outputs, "Share of right answers by the probability of the chosen class, against the diagonal"
        )
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _calibration(run: Run) -> list[Row]:
    """Return the table before and after temperature scaling, empty where that was not done."""
    calibrated = run.scores.get("calibrated")
    if not calibrated:
        return []
    after = {"loss": calibrated.get("nll"), **calibrated}
    intervals = calibrated.get("intervals") or {}
    after["intervals"] = {**({"loss": intervals["nll"]} if "nll" in intervals else {}), **intervals}
    return rows([OVERALL[key] for key in ("ece", "brier", "loss")], [run.scores, after])


def _prediction_sets(sets: Mapping[str, Any] | None) -> list[tuple[str, int, Cell]]:
    """Return of each class, and of all, the images of the test and how often their sets hold the true class."""
    if not sets:
        return []
    of_class = [(name, scores["support"], cell(scores, "coverage")) for name, scores in sets["per_class"].items()]
    return [*of_class, ("All", sum(images for _, images, _ in of_class), cell(sets, "coverage"))]


def _always_in_sets(sets: Mapping[str, Any] | None) -> list[str]:
    return [name for name, scores in sets["per_class"].items() if scores.get("least") == 0] if sets else []


def _lungs_test(shortcuts: Mapping[str, Any] | None) -> list[Row]:
    if shortcuts is None:
        return []
    return [
        Row(
            f"{names[0]}{', then cut' if shortcuts.get('crop') else ''}",
            names[1],
            [cell(shortcuts[key], metric) for metric in ("balanced_accuracy", "accuracy")],
        )
        for key, names in LUNGS_TEST.items()
        if shortcuts.get(key)
    ]


def _auroc(found: Mapping[str, Any]) -> Cell:
    return cell({"auroc": found["auroc"], "intervals": {"auroc": found["interval"]}}, "auroc")
