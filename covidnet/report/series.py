"""Joins what the runs of a repeat or a cross-validation say into one HTML page: ``write_series_report(folder)``."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from covidnet.__version__ import __version__
from covidnet.errors import UserError
from covidnet.evaluation.confident import Confident, weigh_labels
from covidnet.evaluation.names import OVERALL
from covidnet.files.whole import write_whole
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.report import figures, verdicts
from covidnet.report.cells import Cell, Row, cell, flat, known_of_class, rows
from covidnet.report.doubtful import DoubtfulCard, doubtful_cards
from covidnet.report.facts import data_of
from covidnet.report.page import html_templates
from covidnet.report.spread import KEYS, Member, members_shown, run_name, shown_scores, spread
from covidnet.runs.documents import read_json
from covidnet.runs.files import CROSSVAL, EXTERNAL, LABELS, REPORT, unreadable
from covidnet.runs.members import record_of
from covidnet.runs.run import Run
from covidnet.runs.unseen import Unseen, unseen

ELSEWHERE = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class SeriesRuns:
    """A series that has ended.

    Attributes:
        folder: Of the series.
        crossed: Whether it is a cross-validation, not a repeat.
        record: What its file tells.
        runs: Its runs.
        scores: Of all runs together on images that no model had seen; None of a repeat that is no ensemble.
        seen: What the runs say of these images.
        found: How doubtful their labels are.
    """

    folder: Path
    crossed: bool
    record: Mapping[str, Any]
    runs: list[Run]
    scores: Mapping[str, Any] | None
    seen: Unseen
    found: Confident


def write_series_report(folder: Path) -> Path:
    """Write ``report.html`` into the directory of a series, whole or not at all; return its path.

    Raises:
        UserError: Where the series has not ended, or one of its files cannot be read.
    """
    file = folder / REPORT
    write_whole(file, render(open_series(folder)).encode("utf-8", errors="replace"))  # names may be any bytes
    return file


def open_series(folder: Path) -> SeriesRuns:
    """Read a series that has ended.

    Raises:
        UserError: As ``write_series_report``.
    """
    file = record_of(folder)
    assert file is not None, "no series"
    record = read_json(file)
    crossed = file.name == CROSSVAL
    if not record.get("runs"):
        raise UserError(f"{folder} has not ended, so there is no page of all its runs. The same command goes on.")
    seen = unseen(folder)
    runs = [Run(run) for run in seen.runs]
    scores = record.get("pooled" if crossed else "ensemble")
    if scores:
        classes, said, matrix = [*scores["per_class"]], seen.said, scores.get("confusion_matrix", [])
        if {*classes} != {*said.classes} or {len(matrix), *map(len, matrix)} != {len(classes)}:
            raise unreadable(file, ValueError(f"its scores are not of the classes {', '.join(said.classes)}"))
        seen = seen._replace(said=said.of(said.paths, classes))
    return SeriesRuns(
        folder, crossed, record, runs, scores, seen, weigh_labels(seen.said.probabilities, seen.said.labels)
    )


def render(series: SeriesRuns) -> str:
    """Return the page of a series."""
    scores = series.scores or {}
    per_class = scores.get("per_class") or {}
    cards, problem = _cards(series)
    external = read_json(series.folder / EXTERNAL)
    found = _verdicts(series, external)
    said = series.seen.said
    return (
        html_templates("covidnet.report", ".")
        .get_template("series.html.j2")
        .render(
            name=f"{series.folder.absolute().parent.name} / {series.folder.absolute().name}",
            crossed=series.crossed,
            classes=said.classes,
            notice=_notice(series),
            headline=[(OVERALL[key].label, cell(scores, key)) for key in ELSEWHERE if key in scores],
            images=len(said.paths),
            verdicts=sorted(found, key=lambda verdict: verdicts.ORDER.index(verdict.level)),
            worst=verdicts.worst(found),
            whole=_whole(series),
            titles=[OVERALL[key].title for key in KEYS],
            members=members_shown(series.runs),
            together=Member(_whole(series), None, len(said.paths), None, shown_scores(scores)),
            overall=rows(OVERALL.values(), [scores]),
            spreads=None if series.crossed else _spreads(series.record),
            per_class=per_class,
            per_class_metrics=known_of_class(per_class),
            cell=cell,
            confusion=scores.get("confusion_matrix"),
            calibration=_calibration(scores),
            figures=_figures(series),
            doubts=series.found,
            cards=cards,
            cards_problem=problem,
            external=external,
            elsewhere=_elsewhere(external),
            elsewhere_titles=[OVERALL[key].title for key in ELSEWHERE],
            table_file=LABELS[0] if (series.folder / LABELS[0]).is_file() else None,
            commands=_commands(series.folder),
            notes=_notes(series.record),
            version=__version__,
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def _whole(series: SeriesRuns) -> str:
    return "all folds together" if series.crossed else "their ensemble"


def _notice(series: SeriesRuns) -> str:
    told: str = series.runs[0].scores.get("notice", "")
    return told


def _notes(record: Mapping[str, Any]) -> list[str]:
    warning = [record["warning"]] if "warning" in record else []
    return [*([record["meaning"]] if "meaning" in record else []), *record.get("notes", []), *warning]


def _commands(folder: Path) -> dict[str, str]:
    place = shlex.quote(str(folder))
    return {"labels": f"covidnet labels {place}", "external": f"covidnet evaluate {place} FOLDER"}


def _verdicts(series: SeriesRuns, external: Mapping[str, Any] | None) -> list[verdicts.Verdict]:
    """Return what may be said of the runs together; what a single run can be asked stands on its own page."""
    commands = _commands(series.folder)
    scores = series.scores
    found = [
        verdicts.chance_verdict(scores, len(series.seen.said.classes)) if scores else None,
        verdicts.size_verdict(scores) if scores else None,
        verdicts.labels_verdict(series.found.suspects, len(series.seen.said.paths), commands["labels"]),
        verdicts.external_verdict(external, commands["external"]),
    ]
    return [verdict for verdict in found if verdict]


def _spreads(record: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return title, mean, standard deviation and range of each metric of a repeat's best models."""
    model: Mapping[str, Any] = next((record[name] for name in ("best", "final") if name in record), {})
    lines = []
    for key, metric in OVERALL.items():
        found = model.get(key)
        if found and found.get("mean") is not None:
            mean, low, high = (cell({key: found[name]}, key).text for name in ("mean", "min", "max"))
            lines.append((metric.title, mean, _deviation(key, found.get("sd")), f"{low} to {high}"))
    return lines


def _deviation(key: str, value: float | None) -> str:
    return cell({key: value}, key).text.replace("%", "points")


def _calibration(scores: Mapping[str, Any]) -> list[Row]:
    calibrated = scores.get("calibrated")
    if not calibrated:
        return []
    intervals = calibrated.get("intervals") or {}
    after = {**calibrated, "loss": calibrated.get("nll"), "intervals": {**intervals, "loss": intervals.get("nll")}}
    return rows([OVERALL[key] for key in ("ece", "brier", "loss")], [scores, after])


def _figures(series: SeriesRuns) -> dict[str, Markup]:
    said = series.seen.said
    names = ", ".join(said.classes)
    drawn = {
        "spread": spread(series.runs, series.scores, _whole(series)),
        "roc": figures.roc(said.labels, said.probabilities, said.classes, f"ROC curves of {names}"),
        "precision_recall": figures.precision_recall(
            said.labels, said.probabilities, said.classes, f"Precision by recall of {names}"
        ),
        "reliability": figures.reliability(
            said.labels,
            {"as trained": said.probabilities},
            "Share of right answers by the probability of the chosen class, against the diagonal",
        ),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _cards(series: SeriesRuns) -> tuple[list[DoubtfulCard], str | None]:
    """Return the images whose labels are most doubtful, or why none can be shown."""
    data, problem = data_of(series.runs[0])
    if data is None:
        return [], problem
    try:
        return doubtful_cards(series.seen, series.found, data), None
    except UnreadableImageError as error:
        return [], (
            f"The images could not be shown: one of them {error}. They were sought below {data.place}; a relative path "
            "counts from the folder in which the command runs."
        )
    except UserError as error:
        return [], str(error)


def _elsewhere(external: Mapping[str, Any] | None) -> list[tuple[str, list[Cell]]]:
    """Return of each member, and of all together, the scores on images from elsewhere."""
    if not external:
        return []
    members: Sequence[Mapping[str, Any]] = external.get("members") or []
    named = [(run_name(Path(member["run"])), flat(member)) for member in members]
    return [(name, [cell(scores, key) for key in ELSEWHERE]) for name, scores in [*named, ("together", flat(external))]]
