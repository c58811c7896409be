"""Where an encoder comes from, if timm alone does not know it: a hub, a folder, torchxrayvision.

What is asked there is the network's architecture, and how its images are normalised. A checkpoint keeps that, so that
whoever opens it asks nobody.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from covidnet.errors import UserError
from covidnet.files.home import at_home
from covidnet.files.plain import is_mapping, is_number
from covidnet.files.reading import UNREADABLE, read_json

HUB, FOLDER, XRV = "hf-hub", "local-dir", "xrv"
SOURCES = (HUB, FOLDER, XRV)
CONFIG, PREPROCESSING = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # as both libraries save them, what can hold no code first
XRV_NETWORKS = ("densenet121", "resnet50", "resnet101")
XRV_RANGE = 1024.0  # torchxrayvision's images lie in [-1024, 1024]
SWIGLU = 8  # what the width of such a layer is rounded up to
EPSILON = 1e-6  # of timm's layer normalisation in transformers
Option = bool | int | float | str | list[int] | None
Told = dict[str, str | list[float] | dict[str, Option] | None]  # an architecture as plain values, in a checkpoint
FIXED = {"num_classes", "in_chans", "features_only", "out_indices"}  # by what this program asks of an encoder


class Architecture(NamedTuple):
    """A network of timm and how its images are normalised.

    Attributes:
        name: timm's.
        options: What timm's network is told besides, plain values.
        mean: Of each channel, in [0, 1]; timm's own where None.
        deviation: Of each channel, by which what is left is divided; timm's own where None.
    """

    name: str
    options: dict[str, Any]
    mean: list[float] | None = None
    deviation: list[float] | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what a checkpoint tells.

        Raises:
            ValueError: Where that is none.
        """
        fields = dict(told)
        options, name = fields.get("options"), fields.get("name")
        if set(fields) != set(cls._fields) or not isinstance(name, str) or ":" in name or not is_mapping(options):
            raise ValueError("its architecture is no network of timm with its options")
        assert isinstance(options, dict)
        _check_options(options)
        for key in ("mean", "deviation"):
            values = fields[key]
            numbers = isinstance(values, list) and len(values) == 3 and all(is_number(one) for one in values)
            if values is not None and not numbers:
                raise ValueError(f"the {key} of its architecture is not a number for each of three channels")
        if fields["deviation"] and min(fields["deviation"]) <= 0:
            raise ValueError("the deviation of its architecture is not above 0")
        return cls(**fields)


def is_elsewhere(backbone: str) -> bool:
    """Tell whether a backbone is named by its place, not as one of timm's."""
    return ":" in backbone


def ask(backbone: str) -> Architecture:
    """Return the architecture of a backbone that is named by its place.

    Raises:
        UserError: Where the place is none, does not answer, or tells of a network that timm cannot be.
    """
    source, place = _parted(backbone)
    if source == XRV:
        name = next((name for name in XRV_NETWORKS if place.startswith(name)), None)
        if name is None:
            raise UserError(f"model.backbone={backbone} is none of torchxrayvision's: {', '.join(XRV_NETWORKS)}.")
        return Architecture(name, {}, [0.5] * 3, [0.5 / XRV_RANGE] * 3)
    config = _read_json(_told(backbone), backbone)
    try:
        if "architecture" not in config and "model_type" in config:
            how = _found(backbone, PREPROCESSING)
            return _of_transformers(config, _read_json(how, backbone) if how else {})
        return _of_timm(config)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        why = f"lacks {error}" if isinstance(error, KeyError) else f"is not understood: {error}"
        raise UserError(
            f"model.backbone={backbone}: its {CONFIG} {why}. Understood are networks as timm saves them, and DINOv2 as "
            "transformers does. Give timm's name of the network, and its weights by model.weights=FILE."
        ) from error


def weights_of(backbone: str) -> Path:
    """Return the file of weights of a backbone that is named by its place.

    Raises:
        UserError: Where the place has none that can be read without running code.
    """
    if _parted(backbone)[0] == XRV:
        raise UserError(
            f"The weights of {backbone} are published with Python objects, which are never loaded. Where "
            "torchxrayvision is installed (pip install 'covidnet[xrv]') and you trust its files, write them once as "
            "plain tensors (docs/probe.md has the line), and give that file: model.weights=FILE."
        )
    for name in WEIGHTS:
        found = _found(backbone, name)
        if found:
            return found
    raise UserError(
        f"model.backbone={backbone} has neither {' nor '.join(WEIGHTS)} there. Weights in several files are not read: "
        "save them as one, or give timm's name of the network, and its weights by model.weights=FILE."
    )


def _parted(backbone: str) -> tuple[str, str]:
    source, _, place = backbone.partition(":")
    if source not in SOURCES or not place:
        raise UserError(
            f"model.backbone={backbone} begins with {source!r}:, but a backbone is a name of timm's, {HUB}:ORG/NAME, "
            f"{FOLDER}:FOLDER or {XRV}:NAME."
        )
    return source, place


def _found(backbone: str, name: str) -> Path | None:
    """Return a file of a backbone's place, from the hub by way of its cache; None where the place has no such file."""
    source, place = _parted(backbone)
    if source == FOLDER:
        file = at_home(place) / name
        return file if file.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = place.partition("@")
    try:
        return Path(hf_hub_download(repository, name, revision=revision or None))
    except LocalEntryNotFoundError as error:  # the hub does not answer, and nothing was kept
        raise _unanswered(backbone, error) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # the hub's client has many kinds: of names, of rights, of the network
        raise _unanswered(backbone, error) from error


def _unanswered(backbone: str, error: Exception) -> UserError:
    why = next(iter(str(error).splitlines()), "no reason given")
    return UserError(
        f"The weights of {backbone} could not be had from the hub ({type(error).__name__}: {why}). Either give a "
        f"folder with what it has there, model.backbone={FOLDER}:FOLDER, or timm's name of the network and a file, "
        "model.weights=FILE (.pth or .safetensors)."
    )


def _told(backbone: str) -> Path:
    found = _found(backbone, CONFIG)
    if found is None:
        raise UserError(
            f"model.backbone={backbone} has no {CONFIG} there. An encoder's place has a {CONFIG} and {WEIGHTS[0]} or "
            f"{WEIGHTS[1]}."
        )
    return found


def _read_json(file: Path, backbone: str) -> dict[str, Any]:
    try:
        found = read_json(file)
    except UNREADABLE as error:
        raise UserError(f"model.backbone={backbone}: {file} is no JSON that can be read: {error}.") from error
    if not is_mapping(found):
        raise UserError(f"model.backbone={backbone}: {file} holds no keys with values.")
    return dict(found)


def _of_timm(config: Mapping[str, Any]) -> Architecture:
    """Return what timm has saved, in its older form too, where all lies on one level."""
    how = config.get("pretrained_cfg") or config
    options = dict(config.get("model_args") or {})
    for fixed in ("num_classes", "in_chans"):  # its weights are fitted to three channels
        options.pop(fixed, None)
    return _checked(config["architecture"], options, how.get("mean"), how.get("std"))


def _of_transformers(config: Mapping[str, Any], how: Mapping[str, Any]) -> Architecture:
    """Return the DINOv2 that transformers has saved, whatever its sizes."""
    kind = config["model_type"]
    if kind not in ("dinov2", "dinov2_with_registers"):
        raise ValueError(f"it is of the type {kind!r}")
    if config.get("layer_norm_eps", EPSILON) != EPSILON or config.get("hidden_act", "gelu") != "gelu":
        raise ValueError("its normalisation or its activation is another")
    width, gated = config["hidden_size"], config.get("use_swiglu_ffn", False)
    inner = int(width * config["mlp_ratio"])
    if gated:  # two layers in one, whose product has two thirds of the width
        inner = 2 * -(-int(inner * 2 / 3) // SWIGLU) * SWIGLU
    registers = config["num_register_tokens"] if kind != "dinov2" else 0
    options = {
        "embed_dim": width,
        "depth": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "mlp_ratio": (inner + 0.5) / width,  # timm rounds down
        "patch_size": config["patch_size"],
        "img_size": config["image_size"],
        **({"reg_tokens": registers} if registers else {}),
    }
    size = "giant" if gated else "base"
    name = f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2"
    return _checked(name, options, how.get("image_mean"), how.get("image_std"))


def _checked(name: Any, options: dict[str, Any], mean: Any, deviation: Any) -> Architecture:
    given = {"mean": mean, "deviation": deviation}
    numbers = {key: list(one) * (3 if len(one) == 1 else 1) if one else None for key, one in given.items()}  # of grey
    return Architecture.of({"name": name, "options": options, **numbers})


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that would have timm read or fetch something, or give another thing than an encoder."""
    import timm

    taken = set(inspect.signature(timm.create_model).parameters) | FIXED
    for key, value in options.items():
        parts = value if isinstance(value, list) else [value]
        if key in taken or not all(isinstance(one, str | int | float | None) for one in parts):
            raise ValueError(f"it sets {key}, which no encoder here may")
