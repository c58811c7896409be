"""timm's networks as feature extractors: at the size of the images, with weights from the hub or from a file."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from covidnet.errors import UserError, did_you_mean
from covidnet.files.home import at_home
from covidnet.files.tensors import read_safetensors, read_tensors
from covidnet.machine.faults import is_out_of_memory
from covidnet.models.parts.layouts import for_colours, weights_in
from covidnet.models.parts.sources import HUB, Architecture, ask, is_elsewhere, weights_of

STEP = 32  # pixels between two sizes that are tried, where no patch tells: by so much most networks shrink an image
# What else files hold: of whole networks, and of those that were trained to paint what was masked.
NOT_ENCODING = ("AuxLogits", "aux", "classifier", "head.", "pooler.", "mask_token", "decoder", "lm_head.")
STANDARDISING = "timm.layers.std_conv"  # whose convolutions bring their weights to one deviation, of all channels
TRIES = 8  # sizes that are tried on each side of one that does not fit


def architecture_of(backbone: str, told: Mapping[str, Any] | None = None) -> Architecture:
    """Return the network of timm that a backbone is, asking its place where ``told``, a checkpoint's word, is None.

    Raises:
        UserError: For an unknown name, or a place that tells of no network.
    """
    import timm

    architecture = Architecture.of(told) if told else ask(backbone) if is_elsewhere(backbone) else None
    name = architecture.name if architecture else backbone
    if not timm.is_model(name):
        of_hub = f" A hub's is model.backbone={HUB}:{backbone}." if "/" in backbone and not architecture else ""
        near = of_hub or did_you_mean(name, timm.list_models())
        raise UserError(f"model.backbone={backbone} is no model of timm.{near}")
    return architecture or Architecture(backbone, {})


def create_backbone(
    backbone: str,
    *,
    pretrained: bool,
    weights: str | None,
    image_size: int | None = None,
    architecture: Architecture | None = None,
) -> Any:
    """Return a network of timm without its classifier: images (B, 3, H, W) -> pooled features (B, F).

    Its ``pretrained_cfg`` tells how its images are normalised.

    Args:
        backbone: As the user names it.
        pretrained: With the weights that its place or the hub has.
        weights: File of weights to read instead; timm fits what hangs on the size of its images.
        image_size: Side of the images in pixels, for networks that are built for one; their own where None.
        architecture: What the backbone is, where that has been asked.

    Raises:
        UserError: For an unknown name, images that it cannot take, weights that the hub does not give, or a file that
            does not fit.
    """
    made = architecture or architecture_of(backbone)
    if weights is not None:
        return _with_weights(backbone, made, image_size, _given(weights), f"model.weights={weights}")
    if pretrained and is_elsewhere(backbone):
        file = weights_of(backbone)
        return _with_weights(backbone, made, image_size, file, str(file))
    try:
        return _created(made, image_size, pretrained=pretrained)
    # timm's networks refuse arguments with any kind of error, and so does the hub's client a missing network or file.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if not pretrained:
            raise misfit(backbone, made, image_size, error) from error
        # The same without weights says so, if that is the reason.
        create_backbone(backbone, pretrained=False, weights=None, image_size=image_size, architecture=made)
        raise UserError(
            f"The ImageNet weights of {backbone} could not be had from the hub ({type(error).__name__}: "
            f"{told(error)}). Either give them as a file, model.weights=FILE (.pth or .safetensors), or start from "
            "random weights, model.pretrained=false."
        ) from error


def width_of(backbone: Any) -> int:
    """Return the number F of pooled features; of some networks not that of the last map's channels."""
    return int(getattr(backbone, "head_hidden_size", backbone.num_features))


def misfit(backbone: str, made: Architecture, image_size: int | None, reason: Exception | str) -> UserError:
    """Return what to tell of a backbone that does not take the images: the nearest sizes that it does, if there are."""
    why = reason if isinstance(reason, str) else f"{told(reason)} ({type(reason).__name__})"
    if image_size is None:
        return UserError(f"model.backbone={backbone} cannot be built: {why}. Give another model.backbone.")
    sizes = sizes_near(made, image_size)
    what = " or ".join(f"data.image_size={size}" for size in sizes)
    return UserError(
        f"model.backbone={backbone} does not take images of {image_size} pixels a side: {why.rstrip('.')}. Give "
        f"{f'{what}, the nearest that it takes, or ' if sizes else ''}another model.backbone."
    )


def sizes_near(made: Architecture, image_size: int) -> list[int]:
    """Return the nearest sizes below and above that a backbone takes, in pixels; fewer where few tries find none.

    They are tried on torch's meta device, where nothing is computed.
    """
    patch = _tried(made, None, lambda model: model.patch_embed.patch_size)
    step = patch[0] if isinstance(patch, tuple) else patch if isinstance(patch, int) else STEP
    below = range(image_size // step * step, 0, -step)
    above = range(-(-image_size // step) * step, image_size + (TRIES + 1) * step, step)
    found = []
    for sizes in (below[:TRIES], above[:TRIES]):
        fitting = (size for size in sizes if size != image_size and _takes(made, size))
        found += [*dict.fromkeys(size for size in (next(fitting, None),) if size)]
    return found


def told(error: Exception) -> str:
    """Return an error of another library in one line."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or "no reason given"


def _takes(made: Architecture, image_size: int) -> bool:
    """Tell whether a backbone can be built for images of this size, and takes them."""
    return _tried(made, image_size, lambda model: model(torch.zeros(2, 3, image_size, image_size)).dim() == 2) is True


def _tried(made: Architecture, image_size: int | None, question: Callable[[Any], Any]) -> Any:
    """Return what a backbone without memory for its weights answers; None where that fails."""
    try:
        with torch.device("meta"), torch.no_grad():
            return question(_created(made, image_size, pretrained=False).eval())
    except Exception:  # of whatever kind: it does not fit, or cannot be asked so
        return None


def _created(made: Architecture, image_size: int | None, *, pretrained: bool, overlay: Any = None) -> Any:
    """Return timm's network without a classifier, built for the images' size where it is built for one."""
    import timm

    config = timm.get_pretrained_cfg(made.name)
    fixed = image_size is not None and config is not None and config.fixed_input_size
    options = {**made.options, "num_classes": 0, **({"img_size": image_size} if fixed else {})}
    own = {"mean": made.mean, "std": made.deviation}
    overlay = {**(overlay or {}), **{key: tuple(values) for key, values in own.items() if values}}
    told_of = {"pretrained_cfg_overlay": overlay} if overlay else {}
    return timm.create_model(made.name, pretrained=pretrained, **told_of, **options)


def _given(weights: str) -> Path:
    file = at_home(weights)
    if not file.is_file():
        raise UserError(f"model.weights={file} is no file; give a file of weights (.pth or .safetensors).")
    return file


def _with_weights(backbone: str, made: Architecture, image_size: int | None, file: Path, shown: str) -> Any:
    """Return a backbone with the weights of ``file``; a classifier in the file is left out.

    Raises:
        UserError: Where the file is no weights file, or made for another backbone.
    """
    import timm

    own = f"{shown} does not fit model.backbone={backbone}"
    remedy = "Give the weights of that backbone, or change model.backbone."
    try:
        known = timm.get_pretrained_cfg(made.name)
        first = known.first_conv if known else None
        held = _read_weights(file, image_size)
        weights = for_colours(held, first)
        with _noted_loading() as loaded:
            model = _created(made, image_size, pretrained=True, overlay={"state_dict": weights})
        if weights is not held and type(model.get_submodule(first)).__module__ == STANDARDISING:
            raise ValueError("it is made for images of one channel, and the first layer weighs that by all channels")
    # torch, pickle and safetensors each raise their own for a file that is damaged or of another kind.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # The same without weights says so, if that is the reason.
        create_backbone(backbone, pretrained=False, weights=None, image_size=image_size, architecture=made)
        raise UserError(f"{own}: {told(error)}. {remedy}") from error
    config = cast("dict[str, Any]", model.pretrained_cfg)
    config.pop("state_dict", None)
    classifier = config["classifier"]
    prefixes = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    missing, unexpected = loaded[-1]
    foreign = [key for key in unexpected if not key.startswith((*prefixes, *NOT_ENCODING))]
    if missing or foreign:
        raise UserError(
            f"{own}: {len(missing)} of the backbone's tensors are not in it{_example(missing)}, and {len(foreign)} of "
            f"its own are not in the backbone{_example(foreign)}. {remedy}"
        )
    return model


@contextmanager
def _noted_loading() -> Iterator[list[Any]]:
    """Note what each loading of weights finds missing and unexpected, and refuse neither: the caller does.

    Only timm knows how the positions of a transformer are fitted to another size, and does so while it loads. It
    refuses the classifier of a network that was published without one, and logs each name.
    """
    results: list[Any] = []
    load = nn.Module.load_state_dict

    def noted(module: nn.Module, state: Any, strict: bool = True, **options: Any) -> Any:
        results.append(load(module, state, strict=False, **options))
        return results[-1]

    nn.Module.load_state_dict = noted  # type: ignore[method-assign, assignment]
    loggers = logging.getLogger("timm")
    level = loggers.level
    loggers.setLevel(logging.ERROR)
    try:
        yield results
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]
        loggers.setLevel(level)


def _read_weights(file: Path, image_size: int | None) -> dict[str, Tensor]:
    with file.open("rb") as content:
        header = content.read(9)[8:]  # behind its length, where it is of safetensors, whatever the file is called
    safe = header == b"{" or file.suffix == ".safetensors"
    return weights_in(read_safetensors(file) if safe else read_tensors(file), image_size)


def _example(keys: Sequence[str]) -> str:
    return f" (as {keys[0]})" if keys else ""
