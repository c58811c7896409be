"""Which run or checkpoint a user means: by names of files alone, so that a wrong path is told at once."""

from pathlib import Path

from covidnet.errors import UserError
from covidnet.files.home import at_home
from covidnet.runs.files import CHECKPOINT, CONFIG, CROSSVAL, FOLD, LAST, RESULTS, SEED


def find_checkpoint(given: str, runs: Path, name: str) -> Path | None:
    """Return the file that ``ckpt_path=given`` means.

    ``last`` is the last.ckpt of the newest run of the model ``name``, ``auto`` the same where that run has no results
    yet, else None. The newest has the highest number: clocks may be wrong.

    Raises:
        UserError: Where there is none.
    """
    if given in ("last", "auto"):
        found = list(runs.glob(f"{name}/version_*/checkpoints/{LAST}"))
        newest = max(found, key=lambda file: version_number(file.parent.parent.name), default=None)
        if given == "auto":
            return newest if newest and not (newest.parent.parent / RESULTS).is_file() else None
        if newest is None:
            raise UserError(
                f"ckpt_path=last: there is no {runs / name}/version_*/checkpoints/{LAST}. Give the path of a "
                "checkpoint, another model=, or the trainer.default_root_dir that the runs are in."
            )
        return newest
    checkpoint = at_home(given)
    if not checkpoint.is_file():
        raise UserError(f"ckpt_path={given} does not exist; give the path of a checkpoint, or last, or auto.")
    return checkpoint


def version_number(run: str) -> int:
    """Return N of the name version_N, -1 of another name."""
    text = run.removeprefix("version_")
    return int(text) if text.isdecimal() and text != run else -1


def run_directory(checkpoint: Path) -> Path | None:
    """Return the directory of the run that wrote a checkpoint, where it still lies in it."""
    run = checkpoint.absolute().parent.parent
    return run if (run / CONFIG).is_file() else None


def find_best(given: Path) -> Path:
    """Return the checkpoint that a user means: a file, or the best one of a run's directory.

    Raises:
        UserError: Where there is none.
    """
    checkpoint = given / CHECKPOINT if given.is_dir() else given
    if not checkpoint.is_file():
        raise UserError(
            f"{checkpoint} does not exist. Give the directory of a run, which holds {CHECKPOINT}, or a checkpoint."
        )
    return checkpoint


def finished_runs(folder: Path) -> list[Path]:
    """Return the run directories that a folder stands for: of a repeat or cross-validation each that has finished.

    Of any other folder that is itself.
    """
    begins = FOLD if (folder / CROSSVAL).is_file() else SEED
    runs = [file.parent for file in folder.glob(f"{begins}*/{RESULTS}")]
    return sorted(runs, key=lambda run: (len(run.name), run.name)) or [folder]


def newest_run(folder: Path) -> Path | None:
    """Return the last finished run of those below ``folder/<model>/``, as the lungs test lays them."""
    runs = sorted(folder.glob(f"*/*/{RESULTS}"))
    return runs[-1].parent if runs else None


def refuse_unfinished(run: Path) -> None:
    """Refuse what is no directory of a run that has finished.

    Raises:
        UserError: Where it holds no results.
    """
    if not (run / RESULTS).is_file():
        found = f"holds no {RESULTS}" if run.exists() else "does not exist"
        raise UserError(
            f"{run} {found}. Give the directory of a run that has finished, such as runs/convnet/version_0."
        )


def runs_of_side(folder: Path) -> list[Path]:
    """Return the runs that one side of a comparison stands for: itself, or each seed of a repeat that has finished.

    Raises:
        UserError: Where it is no folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder; give the directory of a run, such as runs/convnet/version_0, or of a repeat."
        )
    return finished_runs(folder)
