"""Network: a trained or untrained model as a plain module, without what trains it."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self

import torch
from torch import Tensor, nn

from covidnet.errors import UserError
from covidnet.files.plain import misfit
from covidnet.models.parts.appearance import appearance
from covidnet.models.parts.equalize import Equalize

MODELS, NETWORKS = "covidnet.models", "covidnet.models.networks"
PLAIN_LAYOUT = {"mps"}  # devices that get channels last wrong: BatchNorm's gradients (pytorch #175189)
LEAST = 2  # parts: what the last one takes are the features of an image


class Network(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> logits (B, C).

    Its ``state_dict`` is what a checkpoint holds: ``network.0.weight``, ..., ``class_weights``.

    Args:
        network: Images -> logits, part by part. What the last part takes, flat, are the features of an image.
        num_classes: Number of classes C.
        equalize: Spread the grey values of each image evenly, as the first layer.
        average_mirrored: Average, outside training, the logits of each image and its mirror image.
        name: Of the architecture, for messages.

    Raises:
        UserError: Where ``network`` is no nn.Sequential of two or more parts: the features could not be told.
    """

    def __init__(
        self,
        network: nn.Sequential,
        num_classes: int,
        *,
        equalize: bool = False,
        average_mirrored: bool = False,
        name: str = "Network",
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Sequential) or len(network) < LEAST:
            parts = f" of {len(network)}" if isinstance(network, nn.Sequential) else ""
            raise UserError(
                f"The network of {name} is {type(network).__name__}{parts}, but must be an nn.Sequential of {LEAST} or "
                "more parts: what the last one takes are the features that tell how an image looks."
            )
        self.name = name
        self.first: nn.Module = Equalize() if equalize else nn.Identity()
        self.network = _laid_out(network)
        self.average_mirrored = average_mirrored
        # Ones until a training sets them: weighted and plain runs have one checkpoint layout.
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(num_classes))
        kept = self.state_dict().keys()
        self._unsaved = {name: value.clone() for name, value in self.named_buffers() if name not in kept}

    @property
    def members(self) -> list["Network"]:
        """Itself: an ensemble has several."""
        return [self]

    @property
    def encoder(self) -> nn.Sequential:
        """All but the last part: images (B, 3, H, W) -> what the last part takes, such as features (B, F)."""
        return nn.Sequential(self.first, *list(self.network)[:-1])

    def to_float32(self) -> Self:
        """Make itself what its checkpoint gives: float32, with the first values of buffers that no checkpoint holds.

        They were rounded with the weights where these are of 16 bits.
        """
        self.float()
        for name, value in self._unsaved.items():
            self.get_buffer(name).copy_(value)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of images (B, 3, H, W) in [0, 1], or of what ``encoder`` made of them (B, F)."""
        logits: Tensor
        if images.dim() == 2:
            logits = self.network[-1](images)
            return logits
        images = self._enter(images)
        logits = self.network(images)
        if self.average_mirrored and not self.training:
            logits = (logits + self.network(images.flip(-1))) / 2
        return logits

    def logits_and_features(self, images: Tensor, encoded: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) of images (B, 3, S, S) in [0, 1], and features (B, F) float32 of how the images look.

        The features are the images' `appearance`, then what the last part of the network takes: in one forward pass,
        or ``encoded`` (B, F), which ``encoder`` has made of the images before.
        """
        looks = appearance(images)
        if encoded is not None:
            return self.network[-1](encoded), torch.cat([looks, encoded.flatten(1).float()], dim=1)
        images = self._enter(images)
        logits, features = self._last_two(images)
        if self.average_mirrored and not self.training:
            mirrored, others = self._last_two(images.flip(-1))
            logits, features = (logits + mirrored) / 2, (features + others) / 2
        return logits, torch.cat([looks, features.float()], dim=1)

    def _enter(self, images: Tensor) -> Tensor:
        """Return images after the first layer, in the layout in which their device computes."""
        images = self.first(images)
        return images.contiguous() if images.device.type in PLAIN_LAYOUT else images

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Network":
        """Have weights in the layout of the device that they come to.

        A private name of torch: what moves a module, or whatever holds it, comes through here and nowhere else.
        """
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it bare
        if self.class_weights.device.type in PLAIN_LAYOUT:
            self.network.to(memory_format=torch.contiguous_format)
        return self

    def _last_two(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the last part of the network gives, and what it takes, flat."""
        *body, head = self.network
        for part in body:
            images = part(images)
        logits: Tensor = head(images)
        return logits, images.flatten(1)


def _laid_out(network: nn.Sequential) -> nn.Sequential:
    """Return a network whose weights of convolutions lie channels last: faster on CPU and GPU.

    torch's own ``to`` does so too, but fails where a layer has weights of five dimensions.
    """
    for weights in (*network.parameters(), *network.buffers()):
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


def plain_network(path: str, arguments: Mapping[str, Any]) -> Network | None:
    """Return the network that the class ``path`` trains, built without that class, as it needs Lightning.

    Args:
        path: Of a class; that of ``covidnet.models.<file>.<Class>`` is made by ``networks/<file>.py``.
        arguments: Of the class; what matters to training alone is left out.

    Returns:
        The network, untrained; None where there is no such file, or nothing in it by the class's name.

    Raises:
        ValueError: Where an argument is not of the type that the network takes.
    """
    room, _, name = path.rpartition(".")
    package, _, file = room.rpartition(".")
    if package != MODELS or not file.isidentifier() or find_spec(f"{NETWORKS}.{file}") is None:
        return None
    build = getattr(import_module(f"{NETWORKS}.{file}"), name.lower(), None)
    if not inspect.isfunction(build):
        return None
    options = {key: arguments[key] for key in ("equalize", "average_mirrored") if key in arguments}
    taken = _taken(build, arguments)
    if wrong := misfit(build, taken) or misfit(Network, options):
        raise ValueError(wrong)
    return Network(build(**taken), arguments["num_classes"], **options, name=name)


def _taken(build: Callable[..., nn.Sequential], arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: arguments[key] for key in inspect.signature(build).parameters if key in arguments}
