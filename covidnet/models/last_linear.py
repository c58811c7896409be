"""The last linear layer of a network: what it takes, and its place among the weights."""

import torch
from torch import Tensor, nn

from covidnet.errors import UserError
from covidnet.models.network import Network

NEAR = 1e-3  # of two computations of the same logits, in float32


def take_last_linear(model: Network, images: Tensor) -> str:
    """Take the last linear layer out of a network, which from then on gives what the layer takes, (B, F).

    Where a network averages an image and its mirror image, that is their mean: the layer is linear.

    Args:
        model: In evaluation mode; it is changed.
        images: (B, 3, H, W) in [0, 1] to find out by that the layer gives the logits.

    Returns:
        The layer's name among the modules of ``model``.

    Raises:
        UserError: Where the network ends with something else, or with a layer without bias.
    """
    linear = {
        name: module for name, module in model.network.named_modules(prefix="network") if type(module) is nn.Linear
    }
    name: str | None = next(reversed(linear), None)
    with torch.inference_mode():
        logits = model(images)
        if name and linear[name].bias is not None:
            model.set_submodule(name, nn.Identity())
            features = model(images)
            fits = features.dim() == 2 and features.shape[1] == linear[name].in_features
            if fits and torch.allclose(linear[name](features), logits, atol=NEAR, rtol=NEAR):
                return name
    raise UserError(
        f"{model.name} does not end with a linear layer (with bias) that gives the logits: none can be fitted anew."
    )
