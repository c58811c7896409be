"""Where in an image a model looks: Grad-CAM, and the share of its heat inside a region."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import LayerGradientXActivation
from numpy.typing import NDArray
from torch import Tensor, nn

from covidnet.errors import UserError
from covidnet.machine.precision import full_precision
from covidnet.models.network import Network
from covidnet.models.parts.stages import Stages

DEEPEST = 2  # dots in a layer's name, as in network.1.layer4
PAIR = 2  # images by which a model's layers are found
COLOURS = 3  # channels of an image
Heat = NDArray[np.float32]  # (H, W), 0 and above
Region = NDArray[np.bool_]  # (H, W)


class FeatureMap(NamedTuple):
    """A layer of a model whose output is a map of the image: square, of ``side`` places a side."""

    name: str
    layer: nn.Module
    side: int


class Output(NamedTuple):
    """What a layer gives of several images, (B, ...), alone or among others."""

    module: nn.Module
    values: Tensor
    alone: bool


def last_feature_map(model: Network, images: Tensor) -> FeatureMap:
    """Return the last layer that still says where in the image something is, and that the answer hangs on.

    That is the last one to finish whose output ``as_map`` understands, with a side above 1, among the parts of the
    network, those of its backbone and the blocks that these run one after the other; what lies deeper is a branch or an
    attention that sees only some of it. A transformer that answers by its class token alone leaves the places of its
    last block unused, so that an earlier block is found.

    Raises:
        UserError: Where no layer gives one, or a later one keeps places in a way that is not understood.
    """
    names = _stages(model)
    outputs: list[Output] = []

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        several = output if isinstance(output, tuple | list) else [output]
        alone = several is not output
        outputs.extend(Output(module, one, alone) for one in several if isinstance(one, Tensor) and _has_places(one))

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        # Two, as what gives the same for any number of images is none of them.
        pair = images[:1].detach().repeat(PAIR, 1, 1, 1).requires_grad_()
        with torch.enable_grad(), _unmirrored(model):
            logits = model(pair)
    finally:
        for hook in hooks:
            hook.remove()
    score = logits.amax(dim=1).sum()
    gradients = torch.autograd.grad(score, [*(one.values for one in outputs), pair], allow_unused=True)[:-1]
    hangs = [_is_used(model, one, gradient) for one, gradient in zip(outputs, gradients, strict=True)]
    used = [one for one, wanted in zip(outputs, hangs, strict=True) if wanted] or outputs
    if all(_map_of(model, one) is None for one in used):
        raise UserError(f"No layer of {model.name} keeps a map of the image, so Grad-CAM has nothing to show.")
    last = used[-1]
    places = _map_of(model, last)
    if places is None:
        gives = f"{(*last.values.shape[1:],)}{'' if last.alone else ' among others'}"
        raise UserError(
            f"The last layer of {model.name} that knows places, {names[last.module]}, gives {gives}, which cannot be "
            "laid over an image: Grad-CAM has nothing to show."
        )
    return FeatureMap(names[last.module], last.module, places.shape[-1])


def _map_of(model: Network, output: Output) -> Tensor | None:
    return as_map(model, output.values) if output.alone else None


def _is_used(model: Network, output: Output, gradient: Tensor | None) -> bool:
    """Tell whether the answer hangs on the places of an output, by its gradient."""
    if gradient is None:
        return False
    places = as_map(model, gradient) if output.alone else None
    return bool((gradient if places is None else places).any())


@contextmanager
def _unmirrored(model: Network) -> Iterator[None]:
    """Have a model look at the images alone, whatever it averages."""
    averages, model.average_mirrored = model.average_mirrored, False
    try:
        yield
    finally:
        model.average_mirrored = averages


def as_map(model: Network, values: Tensor) -> Tensor | None:
    """Return what a layer gives, or its gradient, as (B, channels, side, side); None where it is no square map.

    Understood are channels first; channels last, as Swin has them; and tokens (B, places, channels) row by row, those
    that stand for no place (of the class, registers) first.
    """
    shape = values.shape
    if values.dim() == 4:
        if shape[2] == shape[3] > 1:
            return values
        return values.movedim(-1, 1) if shape[1] == shape[2] > 1 else None
    if values.dim() != 3:
        return None
    for prefix in _prefixes(model):
        side = math.isqrt(max(0, shape[1] - prefix))
        if side > 1 and side * side + prefix == shape[1]:
            return values[:, prefix:].transpose(1, 2).reshape(len(values), -1, side, side)
    return None


def _prefixes(model: Network) -> tuple[int, ...]:
    """Return how many tokens may stand before those of places: what the backbone says, none, or the class's."""
    bare = (part.backbone if isinstance(part, Stages) else part for part in model.network)
    told = (getattr(part, "num_prefix_tokens", None) for part in bare)
    return (*(count for count in told if isinstance(count, int)), 0, 1)


def _has_places(output: Tensor) -> bool:
    """Tell whether an output (B, ...) of two images has several places, and is more than their normalised pixels."""
    few = len(output) != PAIR or output.dim() < 3 or output.shape[1:].numel() == max(output.shape[1:])
    return not few and not (output.dim() == 4 and output.shape[1] <= COLOURS and output.shape[2] == output.shape[3])


def _stages(model: Network) -> dict[nn.Module, str]:
    """Return the names of the parts of a network, of those of its backbone, and of what these hold in a row."""
    modules = dict(model.named_modules())
    wrapped = sum(isinstance(module, Stages) for module in modules.values())  # a name has one dot more in it
    found: dict[nn.Module, str] = {}
    for name, module in modules.items():
        parent = modules[name.rpartition(".")[0]]
        in_a_row = parent in found and isinstance(parent, nn.Sequential | nn.ModuleList)
        if name and (name.count(".") <= DEEPEST + wrapped or in_a_row):
            found[module] = name
    return found


def grad_cam(model: Network, layer: nn.Module, images: Tensor, targets: Tensor) -> NDArray[np.float32]:
    """Return what speaks for the classes ``targets`` (B,) in ``images`` (B, 3, H, W), as (B, H, W).

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) with each place of ``layer``'s map weighted by its own gradient
    (HiResCAM; Draelos and Carin 2020, arXiv:2011.08891): the positive part of sum_c gradient * activation, enlarged to
    the image. Where the map is averaged before the head the two are one; where it is flattened, as in ConvNet, a mean
    gradient would point at places that the model does not use. Each map is scaled to a maximum of 1, or is all 0 where
    nothing speaks for the class. It is of the image itself: no mirror image is averaged in, whatever the model does.
    """
    # With a frozen backbone no weight asks for gradients, so that the images must.
    images = images.detach().requires_grad_()
    with _unmirrored(model), full_precision(images.device.type):
        heat = LayerGradientXActivation(model, layer).attribute(images, target=targets).detach()
    places = as_map(model, heat)
    assert places is not None, "the layer keeps no map"
    heat = places.sum(dim=1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    peak = heat.amax(dim=(1, 2), keepdim=True)
    scaled: NDArray[np.float32] = torch.where(peak > 0, heat / peak, heat).float().cpu().numpy()
    return scaled


def heat_share(heat: Heat, region: Region) -> float | None:
    """Return the share of ``heat`` that lies inside ``region``, or None where there is no heat."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[region].sum(dtype=np.float64)) / total if total > 0 else None
