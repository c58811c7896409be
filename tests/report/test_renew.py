"""A report never goes stale: whatever changes what a run knows has its page and card written anew."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import call, paint

from covidnet.commands import audit, compare, evaluate, predict, shortcuts, threshold
from covidnet.errors import UserError
from covidnet.report import card, page, renew
from covidnet.runs.files import CHECKPOINT, CONFIG

NAMES = ("report.html", "model_card.md")


def finished(folder: Path, *pages: str) -> Path:
    """Make the directory of a finished run with these pages, all of them old."""
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    for name in ("results.json", CONFIG, CHECKPOINT, *pages):
        (folder / name).write_text("old")
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pages and cards that are written, which are not made here."""
    files: list[Path] = []

    def writes(name: str) -> Callable[[Path], Path]:
        return lambda run: files.append(run / name) or run / name

    monkeypatch.setattr(page, "write_report", writes(NAMES[0]))
    monkeypatch.setattr(card, "write_card", writes(NAMES[1]))
    return files


def test_a_run_gets_what_it_has_and_a_repeat_that_of_each_seed(tmp_path, written):
    both, card_alone = (finished(tmp_path / "repeat" / f"seed_{seed}", *NAMES[seed:]) for seed in (0, 1))
    switched_off = finished(tmp_path / "off")
    renew.renew(tmp_path / "repeat", both, switched_off, tmp_path / "nowhere", None)
    assert written == [both / NAMES[0], both / NAMES[1], card_alone / NAMES[1]]


def test_a_file_stands_for_its_run_where_a_report_reads_it(tmp_path, written):
    run = finished(tmp_path / "run", *NAMES)
    for name in ("notes.json", "../audit.json"):
        renew.renew(run / name)
    assert written == []
    renew.renew(run / "audit.json")
    assert written == [run / name for name in NAMES]


def test_a_page_that_cannot_be_written_is_told_and_ends_nothing(tmp_path, written, monkeypatch, capsys):
    def fails(run: Path) -> Path:
        raise UserError("metrics.csv is damaged.")

    monkeypatch.setattr(page, "write_report", fails)
    run = finished(tmp_path / "run", *NAMES)
    renew.renew(run)
    assert written == [run / NAMES[1]]
    assert f"metrics.csv is damaged. covidnet report {run} tries again." in capsys.readouterr().err


def stand_in(**parts: Any) -> Callable[..., Any]:
    return lambda *_, **__: SimpleNamespace(**parts)


def nothing(*_: object, **__: object) -> dict[str, Any]:
    return {}


RENEWING = {
    "audit": (audit, "{images} --json {run}/audit.json --out {images}/../table.csv"),
    "compare": (compare, "{run} {other}"),
    "evaluate": (evaluate, "{run} {images}"),
    "predict": (predict, "{run} {images} --out {run}/predictions.csv"),
    "shortcuts": (shortcuts, "{run}"),
    "threshold": (threshold, "{run} --class a --sensitivity 0.9"),
    "undo": (threshold, "{run} --undo"),
}


@pytest.mark.parametrize("name", RENEWING)
def test_each_command_that_changes_what_a_run_knows_renews_its_report(name, tmp_path, written, monkeypatch):
    run, other = (finished(tmp_path / folder, *NAMES) for folder in ("run", "other"))
    images = paint(tmp_path / "images", ["a", "b"], 1)
    for place, stands_in in {  # the work itself, which is not what this is about
        "covidnet.evidence.audit.audit_images": stand_in(report={}, rows=[]),
        "covidnet.evidence.audit_screen.print_audit": nothing,
        "covidnet.evidence.compare.compare_runs": nothing,
        "covidnet.evidence.compare_table.print_comparison": nothing,
        "covidnet.evidence.external.evaluate": stand_in(report={}),
        "covidnet.commands.evaluate._write": nothing,
        "covidnet.evidence.external_table.print_report": nothing,
        "covidnet.inference.predictor.Predictor": stand_in(batch_size=1, notice="", cost="", several=False),
        "covidnet.inference.predictions.files_in": stand_in(paths=[]),
        "covidnet.inference.predictions.rows": nothing,
        "covidnet.inference.predictions.WRITERS": {"csv": nothing},
        "covidnet.evidence.lungs_test.measure_lungs": nothing,
        "covidnet.evidence.decision.keep_wish": nothing,
        "covidnet.evidence.decision.print_decision": nothing,
        "covidnet.evidence.decision.take_back": nothing,
    }.items():
        monkeypatch.setattr(place, stands_in)
    tool, words = RENEWING[name]
    call(tool, *(word.format(run=run, other=other, images=images) for word in words.split()))
    changed = [run, other] if name == "compare" else [run]
    assert written == [folder / page for folder in changed for page in NAMES]
