"""Where in an image a model looks: Grad-CAM, and the share of its heat inside a region."""

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

DEEPEST = 2  # dots in a layer's name, as in network.1.layer4
Heat = NDArray[np.float32]  # (H, W), 0 and above
Region = NDArray[np.bool_]  # (H, W)


class FeatureMap(NamedTuple):
    """A layer of a model whose output is a map of the image, (B, channels, side, side)."""

    name: str
    layer: nn.Module
    side: int


def last_feature_map(model: Network, images: Tensor) -> FeatureMap:
    """Return the last layer that still says where in the image something is.

    That is the last one to finish whose output is ``(B, channels, side, side)`` with a side above 1, among the parts of
    the network and of its backbone; what lies deeper is a branch or an attention that sees only some of it.

    Raises:
        UserError: Where no layer gives one.
    """
    names = {module: name for name, module in model.named_modules() if name and name.count(".") <= DEEPEST}
    found: list[FeatureMap] = []

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            _, channels, height, width = output.shape
            if height == width > 1 and channels > images.shape[1]:  # with fewer it is the image, normalised
                found.append(FeatureMap(names[module], module, width))

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise UserError(f"No layer of {model.name} keeps a map of the image, so Grad-CAM has nothing to show.")
    return found[-1]


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
    averages, model.average_mirrored = model.average_mirrored, False
    try:
        with full_precision(images.device.type):
            heat = LayerGradientXActivation(model, layer).attribute(images, target=targets).detach()
    finally:
        model.average_mirrored = averages
    heat = heat.sum(dim=1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    peak = heat.amax(dim=(1, 2), keepdim=True)
    scaled: NDArray[np.float32] = torch.where(peak > 0, heat / peak, heat).float().cpu().numpy()
    return scaled


def heat_share(heat: Heat, region: Region) -> float | None:
    """Return the share of ``heat`` that lies inside ``region``, or None where there is no heat."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[region].sum(dtype=np.float64)) / total if total > 0 else None
