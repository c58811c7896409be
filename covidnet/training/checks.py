"""What is refused of a configuration that the parser lets through, before anything is built."""

import os
from collections.abc import Container, Mapping
from pkgutil import resolve_name
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from torch import nn

from covidnet.errors import UserError
from covidnet.files.plain import fits, hints_of
from covidnet.machine.faults import is_out_of_memory
from covidnet.models.classifier import Classifier
from covidnet.models.network import Network
from covidnet.models.parts.backbone import architecture_of, misfit, told
from covidnet.runs.trust import limit_names, refuse_unlisted
from covidnet.training.processes import started

ODD_STATE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)  # of a checkpoint
PAIR = 2  # images that a network is tried on
LINKED = "num_classes"  # of the model: null until the data tell it
OBJECTS = ("trainer", "early_stopping", "checkpoint")  # sections that hold keys, whatever the model and the data


def check_files(parser: ArgumentParser, command: str, files: Mapping[str, str], typed: Container[str] = ()) -> None:
    """Refuse files that say more than a stranger may: they are parsed by themselves, without what was typed.

    Args:
        parser: Of the whole command line.
        command: The one that was typed.
        files: The ``--config`` files: their names -> what the parser is given of them.
        typed: Keys on the command line, which go before those of files.

    Raises:
        UserError: Naming the files, and the class, argument or key.
    """
    limit_names()
    if files:
        config = parser.parse_args([command, *(f"--config={file}" for file in files.values())])[command]
        refuse_unlisted(config.as_dict(), f"--config={', '.join(files)}", typed)


def check_sections(config: Namespace) -> None:
    """Refuse a file that puts something else in the place of keys.

    Raises:
        UserError: Naming the section.
    """
    for section in OBJECTS:
        value = config[section]
        if not isinstance(value, Namespace):
            raise UserError(f"{section}={value!r} must be keys with values, such as {section}.KEY=VALUE.")


def check_given(config: Namespace) -> None:
    """Refuse null for a key of data or model that must have a value: the parser takes it for any key of a class.

    Raises:
        UserError: Naming the key.
    """
    for section in ("data", "model"):
        chosen = config[section]
        hints = hints_of(resolve_name(chosen.class_path))  # which the parser has imported
        for name, value in (chosen.get("init_args") or {}).items():
            if value is None and name in hints and name != LINKED and not fits(None, hints[name]):
                raise UserError(
                    f"{section}.{name}=null is no value of this key. Give one, or leave {section}.{name} out."
                )


def check_processes(trainer: Namespace) -> None:
    """Refuse copies that torchrun started and the trainer would not join: each would train alone.

    Raises:
        UserError: Naming the keys that join them.
    """
    name, world = started()
    if world == 1 and trainer.num_nodes not in (None, 1) and "MASTER_ADDR" not in os.environ:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes} needs a process on each machine, but one was started, here. Start "
            "it on each by torchrun or srun with trainer=ddp, or leave trainer.num_nodes out."
        )
    if world > 1 and (trainer.strategy == "auto" or (str(trainer.devices) == "1" and trainer.num_nodes == 1)):
        raise UserError(
            f"{world} processes were started ({name}={world}), but trainer.devices={trainer.devices} and "
            f"trainer.num_nodes={trainer.num_nodes} ask for one. Add trainer=ddp, trainer.devices=<processes a "
            "machine> and trainer.num_nodes=<machines>, or start it without torchrun or srun."
        )


def check_lungs_test(asked: bool, processes: int) -> None:
    """Refuse the lungs test after a training in several processes, where the others would wait for rank 0 for ever.

    Raises:
        UserError: With the command that does it later.
    """
    if asked and processes > 1:
        raise UserError(
            f"shortcuts=true trains in one process, but this run takes {processes}. Leave it out, and do the lungs "
            "test when the run is done: covidnet shortcuts RUN."
        )


def check_network(model: Classifier, image_size: int) -> None:
    """Try a model on two black images: what it does not take is told before images are decoded.

    Raises:
        UserError: Naming the model or its backbone, what it gave, and what was expected.
    """
    network = model.model
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            _try(network.eval(), getattr(model, "hparams", {}), image_size)
    finally:
        for module, training in modes.items():
            module.training = training


def _try(network: Network, arguments: Mapping[str, Any], image_size: int) -> None:
    backbone = arguments.get("backbone")
    what = f"model.backbone={backbone}" if backbone else network.name
    try:
        features = network.encoder(torch.zeros(PAIR, 3, image_size, image_size))
    except Exception as error:  # each layer raises its own for images that it does not take
        if is_out_of_memory(error):
            raise
        if backbone:
            made = architecture_of(backbone, arguments.get("architecture"))
            raise misfit(backbone, made, image_size, error) from error
        raise UserError(
            f"{what} does not take images of data.image_size={image_size}: {told(error)} ({type(error).__name__}). "
            "Give another data.image_size."
        ) from error
    head = network.network[-1]
    dense = next((part for part in head.modules() if isinstance(part, nn.Linear)), None)
    gave = tuple(features.shape) if isinstance(features, torch.Tensor) else f"a {type(features).__name__}"
    wanted: object = f"({PAIR}, {dense.in_features})" if dense else "what the network's last part takes"
    try:
        logits = head(features)
        fits = tuple(logits.shape) == (PAIR, len(network.class_weights))
        gave, wanted = (gave, wanted) if fits else (tuple(logits.shape), f"({PAIR}, {len(network.class_weights)})")
    except Exception:  # whatever it is, the features are of another kind or number than the head was built for
        fits = False
    if not fits:
        raise UserError(
            f"{what} gives {gave} of {PAIR} images, but {wanted} was expected. Give another model.backbone."
        )


def odd_checkpoint(given: str | None, error: Exception) -> UserError | None:
    """Return the refusal of a checkpoint with which training could not go on: a stranger's holds values of any type."""
    if not given or not isinstance(error, ODD_STATE):
        return None
    reason = next(iter(str(error).splitlines()), "")
    return UserError(f"ckpt_path={given} holds no training that can go on: {reason} ({type(error).__name__}).")
