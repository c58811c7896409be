"""What a run promises, and which of Lightning's keys and callbacks go against it: refused by one sentence.

A run promises that each whole epoch is in ``last.ckpt`` and goes on from there exactly, that ``best.ckpt`` is the best
by what validation measures, that the test sees all its images, and that ``config.yaml`` tells how it trained. What is
not refused works. ``docs/lightning-keys.md`` lists every key and callback; a test holds it true to this file.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning import Callback, callbacks
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.plugins import CheckpointIO, Precision
from pytorch_lightning.utilities.model_helpers import is_overridden

from covidnet.errors import UserError, did_you_mean
from covidnet.models.classifier import METRICS
from covidnet.runs.files import LAST
from covidnet.runs.listed import REFUSED
from covidnet.training.lightning import LastCheckpoint

ABSTRACT = "is for subclasses"
UNKNOWN = "what it finds is in no config.yaml, so that going on would be another training: give"
Rule = tuple[Callable[[Any], bool], str]  # which values hold; why another does not, and what to do instead


def _is_all(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value == 1)


WHOLE = "the test, and what is fitted on the validation split, see all their images. Leave it out"
TRAINS = "it would train nothing, and a run trains. Leave it out, or use test with ckpt_path"
TRAINER: Mapping[str, Rule] = {
    "limit_test_batches": (_is_all, f"{WHOLE}; data.test_per_class tells how many are tested"),
    "limit_predict_batches": (_is_all, WHOLE),
    "limit_train_batches": (lambda value: value is None or value > 0, TRAINS),
    "max_epochs": (lambda value: value != 0, TRAINS),
    "max_steps": (lambda value: value is None or value == -1 or value > 0, TRAINS),
    "max_time": (lambda value: value is None or _seconds(value) > 0, TRAINS),
    "accumulate_grad_batches": (lambda value: value > 0, "it counts the batches of a step: give 1 or more"),
    "check_val_every_n_epoch": (
        lambda value: value is None or value > 0,
        "best.ckpt and early stopping need the validation: give 1 or more",
    ),
    "val_check_interval": (
        lambda value: value is None or (isinstance(value, int | float) and value > 0),
        "early stopping needs to know in which epochs it validates: give a number of batches or a share of an epoch",
    ),
    "enable_checkpointing": (lambda value: value is not False, "a run leaves best.ckpt and last.ckpt. Leave it out"),
    "barebones": (
        lambda value: not value,
        "it leaves out checkpoints, metrics and early stopping, which make a run. Leave it out",
    ),
    "profiler": (
        lambda value: not _names(value, "pytorch", "PyTorchProfiler"),
        "Lightning's PyTorchProfiler ends with an error after the first of a run's several tests. Give simple or "
        "advanced, or use torch.profiler in a script",
    ),
}
PLUGINS: Mapping[type, str] = {
    CheckpointIO: "checkpoints are written whole or not at all, by covidnet's own plugin. Leave it out",
    Precision: "covidnet chooses it by trainer.precision. Give that",
}
# Of Lightning's callbacks; each stands for its subclasses too.
CALLBACKS: Mapping[type[Callback], str] = {
    callbacks.BatchSizeFinder: f"{UNKNOWN} data.batch_size",
    callbacks.LearningRateFinder: f"{UNKNOWN} model.learning_rate, or use the command search",
    callbacks.ModelPruning: "it gives the weights other names, and checkpoints hold them under the network's own: "
    "prune what covidnet.load gives",
    callbacks.BackboneFinetuning: "it is built with a function, which no command line can give: give "
    "model.freeze_backbone=true, or model.probe_epochs",
}


def check_promises(config: Namespace) -> None:
    """Refuse keys and callbacks that go against what a run promises, before anything is built.

    Raises:
        UserError: Naming the key or the callback, and why.
    """
    trainer = config.trainer
    for key, (holds, why) in TRAINER.items():
        value = trainer.get(key)
        if not holds(value):
            raise UserError(f"trainer.{key}={_shown(value)} cannot be: {why}.")
    _check_end(trainer)
    for path, kind, _ in _classes(trainer.get("plugins")):
        _refuse(f"trainer.plugins: {path}", kind, PLUGINS)
    for path, kind, _ in _classes(trainer.get("callbacks")):
        _refuse(f"trainer.callbacks: {path}", kind, CALLBACKS)
    check_monitors(config)


def check_monitors(config: Namespace) -> None:
    """Refuse to stop by, or to keep the best of, what is not measured, or is better the other way round.

    Raises:
        UserError: Naming the key or the callback.
    """
    known = [f"{stage}_{metric}" for stage in ("val", "train") for metric in METRICS]
    own = str(config.model.get("class_path")).startswith("covidnet.")  # another may log more
    # the two of each run need one, where a callback of the user's may do without
    asked = [(f"{key}.", config[key].monitor or "null", config[key].mode) for key in ("early_stopping", "checkpoint")]
    for path, kind, given in _classes(config.trainer.get("callbacks")):
        if isinstance(kind, type) and issubclass(kind, EarlyStopping | ModelCheckpoint):
            asked.append((f"trainer.callbacks: {path}: ", given.get("monitor"), given.get("mode", "min")))
    for where, monitor, mode in asked:
        if monitor == "null" or (own and monitor is not None and monitor not in known):
            raise UserError(
                f"{where}monitor={monitor} is not measured: give one of {', '.join(known)}."
                f"{did_you_mean(str(monitor), known)}"
            )
        stage = str(monitor).partition("_")[0]
        if config.trainer.get(f"limit_{stage}_batches") == 0:
            raise UserError(
                f"{where}monitor={monitor} is not measured with trainer.limit_{stage}_batches=0: change one of them."
            )
        if "accuracy" in str(monitor) and mode == "min":
            raise UserError(f"{where}monitor={monitor} is better when higher: add {where}mode=max.")


def check_callbacks(given: Sequence[Callback] | Callback | None, own: Sequence[Callback]) -> None:
    """Refuse callbacks of the user's that a run cannot save, read back or tell from its own.

    Args:
        given: Those of ``trainer.callbacks``, if there are any.
        own: Those that each run has.

    Raises:
        UserError: Naming the callback.
    """
    given = [given] if isinstance(given, Callback) else given or []
    for one in own:
        if isinstance(one, LastCheckpoint):
            one.apart = one.state_key in {other.state_key for other in given}
    keys = {one.state_key: one for one in own}
    files = {getattr(one, "filename", None) for one in own if isinstance(one, ModelCheckpoint)} | {Path(LAST).stem}
    for callback in given:
        name = type(callback).__name__
        if is_overridden("state_dict", callback, parent=Callback):
            if callback.state_key in keys:
                section = "early_stopping" if isinstance(callback, EarlyStopping) else "checkpoint"
                ours = any(keys[callback.state_key] is one for one in own)
                remedy = f"change {section}.KEY, which sets the run's own" if ours else "leave one of them out"
                raise UserError(
                    f"trainer.callbacks: {name} is there twice with the same settings, so that a checkpoint could not "
                    f"tell the two apart: {remedy}, or give it another monitor or interval."
                )
            keys[callback.state_key] = callback
            _check_state(callback)
        replaces = getattr(callback, "filename", None) in files and not getattr(callback, "_enable_version_counter", 1)
        if isinstance(callback, ModelCheckpoint) and replaces and callback.dirpath is None:
            raise UserError(
                f"trainer.callbacks: {name} with filename={callback.filename} would replace the run's own checkpoint: "
                "give another filename."
            )


def _check_state(callback: Callback) -> None:
    """Refuse a callback whose state cannot be read back, as each test of a checkpoint and each going on does."""
    try:
        other = copy.deepcopy(callback)
    except Exception:  # it holds what cannot be copied: nothing is known of its state
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other.load_state_dict(copy.deepcopy(callback.state_dict()))
    except Exception as error:
        raise UserError(
            f"trainer.callbacks: {type(callback).__name__} cannot read back the state that it has in a checkpoint, as "
            f"the test and ckpt_path do: {error} ({type(error).__name__}). Leave it out, or mend its load_state_dict."
        ) from error


def _check_end(trainer: Namespace) -> None:
    """Refuse a smallest and a largest length that leave no place for a validation."""
    most, least = trainer.get("max_steps") or -1, trainer.get("min_steps") or 0
    if most > 0 and (least > most or trainer.get("min_epochs")):
        key = "min_steps" if least > most else "min_epochs"
        raise UserError(
            f"trainer.{key}={trainer.get(key)} cannot be with trainer.max_steps={most}, which ends the training with a "
            "validation wherever it is: leave one of them out."
        )


def _refuse(where: str, kind: Any, rules: Mapping[type, str]) -> None:
    if not isinstance(kind, type):
        return
    named = f"{callbacks.__name__}.{kind.__name__}"
    if REFUSED.get(named) == ABSTRACT and vars(callbacks).get(kind.__name__) is kind:
        raise UserError(f"{where} cannot be: it {ABSTRACT}, and does nothing by itself. Give one of them.")
    for refused, why in rules.items():
        if issubclass(kind, refused):
            raise UserError(f"{where} cannot be: {why}.")


def _classes(value: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield name, class and arguments of what a key names, one or several; what is none is told elsewhere."""
    for one in value if isinstance(value, list | tuple) else [value]:
        path = one.get("class_path") if isinstance(one, Namespace | dict) else None
        if isinstance(path, str):
            try:
                kind = resolve_name(path)
            except (ImportError, AttributeError, ValueError):
                kind = None
            yield path.rpartition(".")[2], kind, one.get("init_args") or {}


def _names(value: Any, *names: str) -> bool:
    return value in names or any(name in names for name, _, _ in _classes(value))


def _seconds(value: Any) -> float:
    """Return how long a time is, roughly: what matters is whether it is 0."""
    if isinstance(value, str):
        return float(any(part.isdigit() and int(part) for part in value.split(":")))
    if isinstance(value, Mapping):
        return float(sum(value.values()))
    return float(value.total_seconds())


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
