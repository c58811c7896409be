"""A run -> model_card.md, as hubs read it: ``write_card(run)``. All that it says stands in the run's own files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from covidnet.__version__ import __version__
from covidnet.evaluation.names import OVERALL
from covidnet.files.places import without_places
from covidnet.files.whole import write_whole
from covidnet.report import verdicts
from covidnet.report.cells import OF_CLASS, Cell, cell, flat, rows
from covidnet.report.datacard import make_data_card
from covidnet.report.decided import decided
from covidnet.report.facts import MODEL_NAMES, data_of, settings_of, versions_of
from covidnet.report.own import own_verdicts
from covidnet.report.rebalanced import rebalanced
from covidnet.runs.files import AUDIT, CARD, CHECKPOINT, EXTERNAL, SHORTCUTS
from covidnet.runs.run import Run

UNKNOWN_LICENSE = "unknown"  # of the weights: it hangs on images and weights of others, which no run knows
TAGS = ("chest-x-ray", "radiography", "pytorch", "research-only")
# Ours -> the hub's name of a metric, where it means the same. Its Brier score is of two classes, ours of any number.
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_f1": "f1",
    "mcc": "matthews_correlation",
}
TASK = "image-classification"
_MARKS = re.compile(r"([\\`*_{}\[\]<>|#~$])")  # what Markdown would take for more than text


def write_card(run: Path) -> Path:
    """Write ``model_card.md`` into a run directory, whole or not at all; return its path.

    Raises:
        UserError: Where ``run`` is no directory of a finished run, or one of its files cannot be read.
    """
    file = run / CARD
    # Names of classes may hold bytes that are no UTF-8; the card shows a question mark for them.
    write_whole(file, render(Run(run)).encode("utf-8", errors="replace"))
    return file


def render(run: Run, license: str = UNKNOWN_LICENSE) -> str:
    """Return the card of a run: the header that hubs read, then the text. It names no place on this machine."""
    environment = Environment(
        loader=PackageLoader("covidnet.report", "."),
        autoescape=False,  # Markdown, whose own marks `plain` takes care of
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=plain,
    )
    environment.filters |= {"cell": cell, "measured": _measured, "code": _code, "as_is": Ready}
    data, _ = data_of(run)
    card = make_data_card(run.split, run.results.get("counts", {}), run.classes, data, sizes=False)
    shortcuts, audit = (run.read_json(name) for name in (SHORTCUTS, AUDIT))
    external = _of_the_shown_model(run, run.read_json(EXTERNAL))
    commands = verdicts.commands(Path("RUN"), ["ROOT"])
    settings = without_places(settings_of(run))
    model = next(iter(run.models))
    said = [
        *own_verdicts(run, card, commands["audit"]),
        verdicts.shortcuts_verdict(shortcuts, commands["shortcuts"]),
        verdicts.external_verdict(external, commands["external"]),
    ]
    return environment.get_template("model_card.md.j2").render(
        header=Ready(_header(run, external, license)),
        title=_title(run),
        notice=run.scores.get("notice", ""),
        license=license,
        unknown_license=UNKNOWN_LICENSE,
        run=run,
        model_name=MODEL_NAMES[model],
        checkpoint=run.checkpoint.relative_to(run.folder).as_posix() if run.checkpoint.is_file() else None,
        lungs=settings.get("data.lungs", "whole"),
        size=settings.get("data.image_size"),
        overall=rows(OVERALL.values(), [run.scores]),
        per_class=_by_class(run.scores),
        calibrated=_calibrated(run.scores),
        decision=decided(run),
        rebalanced=rebalanced(run),
        verdicts=[verdict for verdict in said if verdict],
        card=card,
        audit=audit,
        external=_external(external),
        settings=settings,
        versions=versions_of(run),
        written_by=__version__,
    )


class Ready(str):
    """Text that is Markdown already."""


def plain(value: Any) -> str:
    """Return a value as Markdown that shows just its text, on one line."""
    if isinstance(value, Ready):
        return str(value)
    return _MARKS.sub(r"\\\1", " ".join(str(value).splitlines()))


def _code(text: str) -> Ready:
    return Ready(f"`{text.replace('`', '')}`")


def _measured(shown: Cell) -> str:
    return f"{shown.text} ({shown.interval})" if shown.interval else shown.text


def _title(run: Run) -> str:
    recipe = run.recipe or {}
    backbone = recipe.get("model", {}).get("init_args", {}).get("backbone")
    return f"{recipe.get('name', 'chest X-ray classifier')}{f' ({backbone})' if backbone else ''}"


def _header(run: Run, external: Mapping[str, Any] | None, license: str) -> str:
    drawn = bool(run.scores.get("notice"))
    own = "Drawn radiographs (phantoms)" if drawn else _folder_name(run)
    results = _results(run.scores, own, f"{_slug(own)}-own-test")
    if external:
        folder = str(without_places(external.get("root", ""), "root")) or "images"
        results += _results(flat(external), f"{folder} (images from elsewhere)", f"{_slug(folder)}-elsewhere")
    data = ModelCardData(
        license=license,
        library_name="covidnet",
        pipeline_tag=TASK,
        tags=[*TAGS, *(["drawn-images"] if drawn else [])],
        metrics=[METRICS[key] for key in METRICS if run.scores.get(key) is not None],
        model_name=_title(run),
        eval_results=results or None,
    )
    if not results:
        data.pop("model_name")
    return str(data.to_yaml(line_break="\n"))


def _results(scores: Mapping[str, Any], name: str, kind: str) -> list[EvalResult]:
    """Return the metrics of one test as the hub's index of models takes them; an interval stands in the name."""
    found = []
    for key, metric in METRICS.items():
        if scores.get(key) is not None:
            ends = (scores.get("intervals") or {}).get(key)
            interval = f" (95 % interval {ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
            found.append(
                EvalResult(
                    task_type=TASK,
                    dataset_type=kind,
                    dataset_name=name,
                    dataset_split="test",
                    metric_type=metric,
                    metric_value=round(scores[key], 4),
                    metric_name=f"{OVERALL[key].title}{interval}",
                )
            )
    return found


def _folder_name(run: Run) -> str:
    recipe = run.recipe or {}
    data = recipe.get("data", {}).get("init_args", {})
    if data.get("roots"):
        return ", ".join(data["roots"])
    return str(without_places(data["root"], "root")) if data.get("root") else "COVID-19 Radiography Database"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "radiographs"


def _by_class(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics that any class has, as names and as cells by class."""
    of_class = scores["per_class"]
    shown = [metric for metric in OF_CLASS if any(values.get(metric.key) is not None for values in of_class.values())]
    return {
        "names": [metric.title for metric in shown],
        "cells": {name: [cell(values, metric.key) for metric in shown] for name, values in of_class.items()},
    }


def _calibrated(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    calibrated = scores.get("calibrated")
    if not calibrated:
        return None
    return {
        "temperature": f"{calibrated['temperature']:.3f}",
        **{f"{key}_before": cell(scores, key) for key in ("ece", "brier")},
        **{f"{key}_after": cell(calibrated, key) for key in ("ece", "brier")},
    }


def _of_the_shown_model(run: Run, external: Any) -> Any:
    """Return what was found elsewhere, but of no other checkpoint than the one whose test the card tells."""
    shown = "last" if next(iter(run.models)) == "final" else CHECKPOINT.stem
    if external is None or Path(external.get("checkpoint") or CHECKPOINT).stem != shown:
        return None
    return external


def _external(external: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what was found on other hospitals' images: the sentence and each source."""
    if external is None:
        return None
    sources, seen = external.get("per_source") or {}, external.get("seen") or {}
    known = "Whether images of its training or validation are among them was not checked."
    if seen.get("checked"):
        number = 0 if seen.get("left_out") else len(seen.get("images") or {})
        known = f"{number or 'None'} of them {'were' if number > 1 else 'was'} in its training or validation."
    return {
        "sentence": external.get("sentence", ""),
        "seen": known,
        "sources": [
            {
                "name": name,
                "images": scores.get("images"),
                "seen": bool(scores.get("in_training")),
                "cells": [cell(flat(scores), key) for key in ("accuracy", "balanced_accuracy")],
            }
            for name, scores in sources.items()
        ],
    }
