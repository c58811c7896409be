"""What page and card say of a run besides its scores: how its models are called, its data, settings and versions."""

from typing import Any

from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.runs.run import Run

MODEL_NAMES = {"best": "best epoch", "final": "last epoch", "test": "this checkpoint"}


def data_of(run: Run) -> tuple[Radiographs | None, str | None]:
    """Return the radiographs of a run, or why there is none."""
    if run.recipe is None:
        return None, f"{run.checkpoint} is not there, so the model cannot be asked."
    try:
        return run.open_data(), None
    except (ImportError, AttributeError, UserError) as error:
        return None, f"The data of the run cannot be opened: {error}"


def settings_of(run: Run) -> dict[str, Any]:
    """Return the settings that people look for, by their key."""
    if run.config is None:
        return {}
    config = run.settings
    shown: dict[str, Any] = {"seed_everything": config.get("seed_everything")}
    for section in ("model", "data"):
        chosen = config.get(section) or {}
        shown[section] = chosen.get("class_path")
        shown.update({f"{section}.{key}": value for key, value in (chosen.get("init_args") or {}).items()})
    for section, keys in {
        "trainer": ("max_epochs", "accelerator", "devices", "precision"),
        "early_stopping": ("monitor", "patience", "min_delta"),
    }.items():
        shown.update({f"{section}.{key}": (config.get(section) or {}).get(key) for key in keys})
    return {key: value for key, value in shown.items() if value is not None}


def versions_of(run: Run) -> dict[str, str]:
    """Return the versions that the run recorded; of covidnet at least where there is a checkpoint."""
    versions = dict(run.results.get("versions") or {})
    if run.recipe and "version" in run.recipe:
        versions.setdefault("covidnet", run.recipe["version"])
    return versions
