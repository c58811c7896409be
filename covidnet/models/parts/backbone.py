"""timm's networks as feature extractors: at the size of the images, with weights from the hub or from a file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from covidnet.errors import UserError, did_you_mean
from covidnet.files.tensors import read_safetensors, read_tensors
from covidnet.machine.faults import is_out_of_memory

STEP = 32  # pixels between two sizes that are tried, where no patch tells: by so much most networks shrink an image
TRIES = 8  # sizes that are tried on each side of one that does not fit


def create_backbone(name: str, *, pretrained: bool, weights: str | None, image_size: int | None = None) -> Any:
    """Return timm's model ``name`` without its classifier: images (B, 3, H, W) -> pooled features (B, F).

    Args:
        name: Of the model.
        pretrained: With ImageNet weights from the hub.
        weights: File of ImageNet weights to read instead; timm fits what hangs on the size of its images.
        image_size: Side of the images in pixels, for networks that are built for one; their own where None.

    Raises:
        UserError: For an unknown name, images that it cannot take, weights that the hub does not give, or a file that
            does not fit.
    """
    import timm

    if not timm.is_model(name):
        raise UserError(f"model.backbone={name} is no model of timm.{did_you_mean(name, timm.list_models())}")
    if weights is not None:
        return _with_weights(name, image_size, Path(weights).expanduser())
    try:
        return timm.create_model(name, pretrained=pretrained, **_options(name, image_size))
    # timm's networks refuse arguments with any kind of error, and so does the hub's client a missing network or file.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if not pretrained:
            raise misfit(name, image_size, error) from error
        create_backbone(name, pretrained=False, weights=None, image_size=image_size)  # says so, if that is the reason
        raise UserError(
            f"The ImageNet weights of {name} could not be had from the hub ({type(error).__name__}: {told(error)}). "
            "Either give them as a file, model.weights=FILE (.pth or .safetensors), or start from random weights, "
            "model.pretrained=false."
        ) from error


def width_of(backbone: Any) -> int:
    """Return the number F of pooled features; of some networks not that of the last map's channels."""
    return int(getattr(backbone, "head_hidden_size", backbone.num_features))


def misfit(name: str, image_size: int | None, reason: Exception | str) -> UserError:
    """Return what to tell of a backbone that does not take the images: the nearest sizes that it does, if there are."""
    why = reason if isinstance(reason, str) else f"{told(reason)} ({type(reason).__name__})"
    if image_size is None:
        return UserError(f"model.backbone={name} cannot be built: {why}. Give another model.backbone.")
    sizes = sizes_near(name, image_size)
    what = " or ".join(f"data.image_size={size}" for size in sizes)
    return UserError(
        f"model.backbone={name} does not take images of {image_size} pixels a side: {why.rstrip('.')}. Give "
        f"{f'{what}, the nearest that it takes, or ' if sizes else ''}another model.backbone."
    )


def sizes_near(name: str, image_size: int) -> list[int]:
    """Return the nearest sizes below and above that a backbone takes, in pixels; fewer where few tries find none.

    They are tried on torch's meta device, where nothing is computed.
    """
    patch = _tried(name, None, lambda model: model.patch_embed.patch_size)
    step = patch[0] if isinstance(patch, tuple) else patch if isinstance(patch, int) else STEP
    below = range(image_size // step * step, 0, -step)
    above = range(-(-image_size // step) * step, image_size + (TRIES + 1) * step, step)
    found = []
    for sizes in (below[:TRIES], above[:TRIES]):
        fitting = (size for size in sizes if size != image_size and _takes(name, size))
        found += [*dict.fromkeys(size for size in (next(fitting, None),) if size)]
    return found


def told(error: Exception) -> str:
    """Return an error of another library in one line."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or "no reason given"


def _takes(name: str, image_size: int) -> bool:
    """Tell whether a backbone can be built for images of this size, and takes them."""
    return _tried(name, image_size, lambda model: model(torch.zeros(2, 3, image_size, image_size)).dim() == 2) is True


def _tried(name: str, image_size: int | None, ask: Callable[[Any], Any]) -> Any:
    """Return what a backbone without memory for its weights answers; None where that fails."""
    import timm

    try:
        with torch.device("meta"), torch.no_grad():
            return ask(timm.create_model(name, pretrained=False, **_options(name, image_size)).eval())
    except Exception:  # of whatever kind: it does not fit, or cannot be asked so
        return None


def _options(name: str, image_size: int | None) -> dict[str, Any]:
    """Return what timm is told besides: no classifier, and the images' size where the network is built for one."""
    import timm

    config = timm.get_pretrained_cfg(name)
    fixed = image_size is not None and config is not None and config.fixed_input_size
    return {"num_classes": 0, **({"img_size": image_size} if fixed else {})}


def _with_weights(name: str, image_size: int | None, file: Path) -> Any:
    """Return a backbone with the weights of ``file``; a classifier in the file is left out.

    Raises:
        UserError: Where the file is missing, no weights file, or made for another backbone.
    """
    import timm

    if not file.is_file():
        raise UserError(f"model.weights={file} does not exist; give a file of weights (.pth or .safetensors).")
    own = f"model.weights={file} does not fit model.backbone={name}"
    remedy = "Give the weights of that backbone, or change model.backbone."
    try:
        overlay = {"state_dict": _read_weights(file)}
        with _noted_loading() as loaded:
            model = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **_options(name, image_size)
            )
    # torch, pickle and safetensors each raise their own for a file that is damaged or of another kind.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        create_backbone(name, pretrained=False, weights=None, image_size=image_size)  # says so, if that is it
        raise UserError(f"{own}: {told(error)}. {remedy}") from error
    config = cast("dict[str, Any]", model.pretrained_cfg)
    config.pop("state_dict", None)
    classifier = config["classifier"]
    prefixes = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    missing, unexpected = loaded[-1]
    foreign = [key for key in unexpected if not key.startswith((*prefixes, "AuxLogits", "aux"))]
    if missing or foreign:
        raise UserError(
            f"{own}: {len(missing)} of the backbone's tensors are not in it{_example(missing)}, and {len(foreign)} of "
            f"its own are not in the backbone{_example(foreign)}. {remedy}"
        )
    return model


@contextmanager
def _noted_loading() -> Iterator[list[Any]]:
    """Note what each loading of weights finds missing and unexpected: timm keeps that to itself.

    Only timm knows how the positions of a transformer are fitted to another size, and does so while it loads.
    """
    results: list[Any] = []
    load = nn.Module.load_state_dict

    def noted(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        results.append(load(module, *args, **kwargs))
        return results[-1]

    nn.Module.load_state_dict = noted  # type: ignore[method-assign, assignment]
    try:
        yield results
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]


def _read_weights(file: Path) -> dict[str, Tensor]:
    state: dict[str, Any] = read_safetensors(file) if file.suffix == ".safetensors" else read_tensors(file)
    weights: dict[str, Tensor] = state.get("state_dict", state)
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError("it holds no weights by their names")
    return weights


def _example(keys: Sequence[str]) -> str:
    return f" (as {keys[0]})" if keys else ""
