"""The lungs test: how much of a run's skill survives without lungs. Trains by the run's own command line."""

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from covidnet.data.changes.kinds import CROP
from covidnet.data.lung_masks import LungMasks
from covidnet.data.typed import AUTO, BOX
from covidnet.errors import UserError
from covidnet.evaluation.names import OVERALL
from covidnet.evaluation.survival import surviving_skill
from covidnet.files.home import at_home
from covidnet.files.reading import read_yaml
from covidnet.files.store import is_url
from covidnet.machine.device import freed_afterwards
from covidnet.machine.telling import quiet
from covidnet.runs.files import (
    CHECKPOINT,
    CONFIG,
    LUNGS,
    LUNGS_APART,
    LUNGS_AT_TEST,
    LUNGS_RUNS,
    SHORTCUTS,
    SPLIT,
    write_results,
)
from covidnet.runs.find import newest_run
from covidnet.runs.run import Run
from covidnet.runs.screen import Tally, found_told, screen, with_interval
from covidnet.training.args import CommandLine, expand
from covidnet.training.interface import AfterRun, CommandLineInterface
from covidnet.training.rebalance import rebalance
from covidnet.training.run_line import run_line

ONE_PROCESS = ["trainer.strategy=auto", "trainer.devices=1", "trainer.num_nodes=1"]  # whatever the run itself took
METRICS = ("accuracy", "balanced_accuracy")
CROPPED = ", then cut to the lungs"
ROWS = {
    "whole": "whole images",
    "lungs_covered": "lungs covered",
    "lungs_only": "lungs only",
    "covered_at_test": "whole images; covered in the test",
    "swapped_at_test": "whole images; another's surround in the test",
}


@dataclass(frozen=True)
class Lungs:
    """Where the lungs of one test lie."""

    masks: str  # data.masks
    told: str  # the same in words
    ending: str  # of data.lungs: what is covered or swapped is cut afterwards, where the run's own images are cut
    runs: Path  # where what is trained and tested by it lies: never in one folder by two rules


def measure_lungs(folder: Path, masks: str | None = None) -> dict[str, Any]:
    """Train twice more with the run's own configuration and split, lungs covered and lungs only.

    The images are covered by ``data.lungs`` (Maguolo and Nanni 2021, arXiv:2004.12823). The run's own model is tested
    too with the lungs covered, and with the surround of another image, whatever its class (as Xiao et al. 2021,
    arXiv:2006.09994, tested with other backgrounds): what it loses there it had from the surround. What is trained or
    tested already is kept. Writes ``shortcuts.json`` into the run directory and returns what it holds.

    Args:
        folder: The run.
        masks: What says where the lungs lie, as ``data.masks``; that of the run where left out.

    Raises:
        UserError: Where the folder is no finished run with its configuration, split and best checkpoint, or a folder of
            masks lacks one.
    """
    whole = Run(folder)
    missing = [name for name in (CONFIG, SPLIT, CHECKPOINT) if not (folder / name).is_file()]
    if missing or "best" not in whole.models:
        raise UserError(
            f"{folder} lacks {', '.join(map(str, missing)) or 'the scores of a best model'}: the lungs test needs a "
            "run that has trained and tested a model."
        )
    where = _lungs_of(whole, masks)
    screen().print(f"lungs test: the lungs lie {where.told}", markup=False)
    runs = _all_trained(whole, where)
    tests = {name: _tested(whole, where, name, lungs) for name, lungs in LUNGS_AT_TEST.items()}
    outcome = {
        "masks": where.masks,
        "lungs": where.told,
        "runs": where.runs.relative_to(folder).as_posix(),
        "crop": bool(where.ending),
        "whole": whole.models["best"],
        **{name: run.models["best"] for name, run in runs.items()},
        **{name: run.models["test"] for name, run in tests.items()},
        **_survival(whole, runs["lungs_covered"]),
    }
    write_results(folder / SHORTCUTS, outcome)
    _show(outcome, folder)
    return outcome


def _lungs_of(whole: Run, asked: str | None) -> Lungs:
    """Return where the lungs of a run's images lie, by the rule that is asked for.

    What was trained by the run's own rule lies where the lungs test always put it, by another in a folder of its own.
    So it does where masks came to lie beside the images since the box stood there for the lungs.
    """
    assert whole.recipe is not None
    data = whole.open_data()
    own = data.masks.given
    paths = [
        *dict.fromkeys([*(row["path"] for row in whole.split), *(whole.predictions.paths if whole.predictions else ())])
    ]
    beside = bool(LungMasks().of_split(data.units, paths))
    masks = LungMasks(asked, data.cache_dir, "--masks") if asked else data.masks
    masked = bool(masks.of_split(data.units, paths))
    one, other = (_spelt(rule, beside=beside) for rule in (masks.given, own))
    boxed = one == AUTO and _trained_by(whole.folder / LUNGS_RUNS) == BOX
    apart = f"{LUNGS_APART}{hashlib.sha256(one.encode()).hexdigest()[:8]}" if one != other or boxed else ""
    ending = f"_{CROP}" if data.lungs == CROP else ""
    if ending and apart:
        raise UserError(
            f"{whole.folder} was trained on images cut by data.masks={own}: its lungs test is by the same masks. Leave "
            "--masks out."
        )
    return Lungs(BOX if one == BOX else masks.given, masks.told(masked), ending, whole.folder / LUNGS_RUNS / apart)


def _spelt(masks: str, *, beside: bool) -> str:
    """Return a rule so that two that mean one thing are one text; ``beside``: each image has a mask beside it."""
    if masks in (AUTO, BOX):
        return masks if beside else BOX
    return masks if is_url(masks) else str(at_home(masks).resolve())


def _trained_by(runs: Path) -> Any:
    """Return by which rule a lungs test was trained that lies there, None where there is none."""
    done = newest_run(runs / LUNGS["lungs_covered"])
    return read_yaml(done / CONFIG)["data"]["init_args"].get("masks") if done else None


class _Part(CommandLineInterface):
    """A run of the lungs test, which is told in a line."""

    alone = False

    def __init__(self, line: CommandLine, afterwards: AfterRun | None = None, title: str = "") -> None:
        self.title = title
        super().__init__(line, afterwards)


def _all_trained(whole: Run, where: Lungs) -> dict[str, Run]:
    """Train without lungs, and with lungs alone; tell each in a line."""
    done = [name for name, lungs in LUNGS.items() if newest_run(where.runs / lungs)]
    tally = Tally(len(LUNGS), len(done))
    if len(done) < len(LUNGS):
        screen().print(f"lungs test: {len(LUNGS)} more trainings; the balanced accuracy of each:")
    runs = {}
    for name, lungs in LUNGS.items():
        runs[name] = _trained(whole, where, lungs)
        if name not in done:
            label = ROWS[name].ljust(max(len(ROWS[one]) for one in LUNGS))
            screen().print(tally.finished(label, found_told(runs[name].results)), markup=False)
    return runs


def _trained(whole: Run, where: Lungs, lungs: str) -> Run:
    """Train a model of the run's recipe on covered images, or find the one that was trained before.

    Where the run was rebalanced it is too: else the test would compare two ways of fitting a last layer.
    """
    folder = where.runs / lungs
    done = newest_run(folder)
    if not done:
        _run(
            f"lungs {lungs}",
            [
                "run",
                f"--config={whole.folder / CONFIG}",
                f"model={_name(whole)}",
                f"data.lungs={lungs}{where.ending}",
                f"data.masks={where.masks}",
                f"data.split_file={whole.folder / SPLIT}",
                f"trainer.default_root_dir={folder}",
                "ckpt_path=null",
                "report=false",
                "shortcuts=false",
                *ONE_PROCESS,
            ],
        )
        done = newest_run(folder)
    assert done
    trained = Run(done)
    if "rebalanced" in whole.results and "rebalanced" not in trained.results:
        trained = Run(rebalance(done)[0])
    return trained


def _tested(whole: Run, where: Lungs, name: str, lungs: str) -> Run:
    """Test the model of whole images on images whose lungs are covered, or whose surround is swapped."""
    folder = where.runs / name
    done = newest_run(folder)
    if not done:
        checkpoint = f"ckpt_path={whole.folder / CHECKPOINT}"
        shown = [f"data.lungs={lungs}{where.ending}", f"data.masks={where.masks}"]
        _run(f"lungs {lungs}", ["test", checkpoint, *shown, f"trainer.default_root_dir={folder}", *ONE_PROCESS])
        done = newest_run(folder)
    assert done
    return Run(done)


def _run(title: str, words: list[str]) -> None:
    """Run a command line of covidnet in this process."""
    with freed_afterwards(), quiet():
        run_line(expand(words, os.environ), partial(_Part, title=title))


def _name(run: Run) -> str:
    assert run.recipe is not None
    return str(run.recipe["name"])


def _survival(whole: Run, covered: Run) -> dict[str, Any]:
    data = whole.open_data()
    paths = [data.images.paths[number] for number in data.numbers("test")]
    assert whole.predictions is not None
    assert covered.predictions is not None
    first, second = (run.predictions.spelt_as(paths) for run in (whole, covered) if run.predictions)
    patients = dict(zip(paths, data.patients("test"), strict=True))
    return surviving_skill(
        first.probabilities,
        second.of(first.paths, first.classes).probabilities,
        first.labels,
        np.array([patients[path] for path in first.paths]),
    )


def _show(outcome: dict[str, Any], folder: Path) -> None:
    table = Table(title=f"Lungs test of {folder}, lungs {outcome['lungs']}", title_justify="left")
    table.add_column("best models, test")
    for metric in METRICS:
        table.add_column(OVERALL[metric].label, justify="right")
    for key, label in ROWS.items():
        scores = outcome[key]
        label = f"{label}{CROPPED if outcome['crop'] else ''}"
        cells = (
            with_interval(scores.get(metric), (scores.get("intervals") or {}).get(metric), ".3f") for metric in METRICS
        )
        table.add_row(label, *cells)
    Console().print(table)
    print(f"{outcome['verdict']}: {outcome['sentence']}")
