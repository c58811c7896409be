"""Pixels of any size -> probabilities: preprocessing, model and softmax as one module that can be exported."""

from collections.abc import Mapping, Sequence
from typing import Any

import PIL
import torch
from torch import Tensor, nn

from covidnet.batch import to_images
from covidnet.evaluation.novelty import NEIGHBOURS, SMALLEST
from covidnet.imaging.decode import Interpolation
from covidnet.models.ensemble import Ensemble
from covidnet.models.network import Network

ONE = 1 << 22  # what the weights of pixels add up to: Pillow's are whole numbers
TALL_FIRST = 13  # the first Pillow that resizes tall images vertically first


class Deployed(nn.Module):
    """What ``Predictor`` does with decoded images, without Pillow and NumPy.

    Args:
        model: Images (B, 3, S, S) in [0, 1] -> logits (B, C), one network or several.
        image_size: Side S of the images that the model was trained on, in pixels.
        interpolation: As the model was trained.
        temperature: That calibrates; None where nothing was fitted.
        novelty: What ``novelty_scores`` needs, for each network; None where nothing was fitted.
        decision: Number of a class and the threshold of its calibrated probability; None where none is kept.
    """

    def __init__(
        self,
        model: Network | Ensemble,
        image_size: int,
        interpolation: Interpolation,
        temperature: float | None = None,
        novelty: Sequence[Mapping[str, Any]] | None = None,
        decision: tuple[int, float] | None = None,
    ) -> None:
        super().__init__()
        self.resize = Nearest(image_size) if interpolation == "nearest" else Bilinear(image_size)
        self.model = model
        self.temperature = temperature
        self.novelty = nn.ModuleList(map(Novelty, novelty)) if novelty else None
        self.decision = decision

    @property
    def outputs(self) -> list[str]:
        """What ``forward`` returns, by name."""
        several = True if len(self.model.members) > 1 else None
        known = {
            "calibrated": self.temperature,
            "novelty": self.novelty,
            "disagreement": several,
            "decision": self.decision,
        }
        return ["probabilities", *(name for name, fitted in known.items() if fitted is not None)]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what is said of images (B, H, W, 1 or 3) uint8.

        Probabilities (B, C); where they were fitted, calibrated ones (B, C), how unlike the training images each image
        is, (B,); of several networks how far they disagree, (B,); and, where a threshold is kept, the number of the
        class that it is called, (B,) int64.
        """
        resized = self.resize(images.permute(0, 3, 1, 2))
        seen = to_images(resized[:, _in_colour(images.shape[3])])
        logits_of, features_of = zip(*(one.logits_and_features(seen) for one in self.model.members), strict=True)
        logits = _mean(logits_of)
        said = [logits.softmax(dim=1)]
        if self.temperature is not None:
            said.append((logits / self.temperature).softmax(dim=1))
        if self.novelty is not None:
            said.append(_mean([known(own) for known, own in zip(self.novelty, features_of, strict=True)]))
        if len(logits_of) > 1:
            said.append(_disagreement(torch.stack(logits_of)))
        if self.decision is not None:
            said.append(self._decide(logits))
        return tuple(said)

    def _decide(self, logits: Tensor) -> Tensor:
        """Return what ``evaluation.decision.decide`` says of logits (B, C), (B,); in float64, as the predictor does."""
        assert self.decision is not None
        assert self.temperature is not None
        number, threshold = self.decision
        calibrated = (logits.to(torch.float64) / self.temperature).softmax(dim=1)
        is_it = torch.arange(logits.shape[1]) == number
        others = calibrated.masked_fill(is_it, -1.0).argmax(dim=1)
        return torch.where(calibrated[:, number] >= threshold, number, others)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape; of one alone itself."""
    return parts[0] if len(parts) == 1 else torch.stack(list(parts)).mean(dim=0)


def _disagreement(logits: Tensor) -> Tensor:
    """Return what ``evaluation.ensembles.disagreement`` says of logits (M, B, C), (B,)."""
    wide = logits.to(torch.float64).log_softmax(dim=2)
    mean = wide.exp().mean(dim=0)
    together = -(mean * mean.clamp(min=torch.finfo(torch.float64).tiny).log()).sum(dim=1)
    alone = -(wide.exp() * wide).sum(dim=2).mean(dim=0)
    return (together - alone).clamp(min=0).to(torch.float32)


class Novelty(nn.Module):
    """``evaluation.novelty.novelty_scores`` in tensors."""

    looks: Tensor
    network: Tensor

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.side = int(state["side"])
        self.limits = [float(limit) for limit in state["limits"]]
        for name in ("looks", "network"):
            self.register_buffer(name, state[name])  # (K, F) of training images, float16

    def forward(self, features: Tensor) -> Tensor:
        """Return how unlike the training images each image is, (B,), of features (B, F)."""
        wide = features.to(torch.float64)
        looks, network = wide[:, : self.side**2 + 1], wide[:, self.side**2 + 1 :]
        pattern, colour = looks[:, :-1].reshape(-1, self.side, self.side), looks[:, -1:]
        others = [*(pattern.rot90(quarters, (1, 2)) for quarters in (1, 2, 3)), -pattern]
        turned = [_distance(torch.cat([other.flatten(1), colour], dim=1), self.looks) for other in others]
        strange = _distance(looks, self.looks).square() / torch.stack(turned).amin(dim=0).clamp(min=SMALLEST)
        lengths = network.square().sum(dim=1, keepdim=True).sqrt().clamp(min=torch.finfo(torch.float64).tiny)
        unknown = _distance(network / lengths, self.network)
        return torch.maximum(strange / self.limits[0], unknown / self.limits[1]).to(torch.float32)


class Bilinear(nn.Module):
    """Pillow's antialiased bilinear ``Image.resize``, to the same pixels.

    A pass along each axis is a product with a matrix of triangles, as wide as the image is larger than ``size``. As in
    Pillow the weights are whole multiples of 2^-22, and each pass rounds to whole grey values; all sums are whole
    numbers below 2^53, so that float64 holds them exactly, in whatever order they are added.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.tall_first = int(PIL.__version__.partition(".")[0]) >= TALL_FIRST

    def forward(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, C, H, W) uint8 as (B, C, size, size) whole float64."""
        wide = pixels.to(torch.float64)
        if not self.tall_first:
            return self._across_first(wide)
        shrinks = [torch.full((), side - self.size) for side in pixels.shape[2:]]  # by so many pixels
        tall = (shrinks[0] > 0) & (shrinks[0] > 2 * shrinks[1])
        resized: Tensor = torch.cond(tall, self._down_first, self._across_first, (wide,))
        return resized

    def _across_first(self, pixels: Tensor) -> Tensor:
        return self._down(self._across(pixels))

    def _down_first(self, pixels: Tensor) -> Tensor:
        return self._across(self._down(pixels))

    def _across(self, pixels: Tensor) -> Tensor:
        return _rounded(pixels @ self._weights(pixels.shape[3]))

    def _down(self, pixels: Tensor) -> Tensor:
        return _rounded(self._weights(pixels.shape[2]).T @ pixels)

    def _weights(self, side: int) -> Tensor:
        """Return how much each of ``side`` pixels weighs in each of the new ones, (side, size), in 2^-22."""
        scale = _scale(side, self.size)
        centres = (torch.arange(self.size, dtype=torch.float64) + 0.5) * scale
        distances = torch.arange(side, dtype=torch.float64)[:, None] - centres + 0.5
        triangles = (1 - (distances * (1 / scale.clamp(min=1))).abs()).clamp(min=0)
        return (triangles / triangles.sum(dim=0) * ONE + 0.5).floor()


class Nearest(nn.Module):
    """Pillow's ``Image.resize`` to the nearest pixels, the same ones."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, C, H, W) uint8 as (B, C, size, size) uint8."""
        rows, columns = (self._chosen(side) for side in pixels.shape[2:])
        return pixels[:, :, rows][:, :, :, columns]

    def _chosen(self, side: int) -> Tensor:
        """Return the number of the pixel that each new one copies (size,)."""
        steps = _scale(side, self.size).repeat(self.size)
        half = torch.arange(self.size) == 0
        # Pillow adds step after step, and so do we: a product would round to another pixel here and there.
        return torch.where(half, steps / 2, steps).cumsum(dim=0).floor().to(torch.int64)


def _in_colour(channels: int) -> Tensor:
    """Return the numbers of the channels that are red, green and blue (3,): of one channel three times the first.

    Of another number than 1 or 3 they are beyond all channels: no format of graphs has a word for "refuse", but each
    ends where an index is out of bounds.
    """
    count = torch.full((), channels)
    return torch.arange(3).clamp(max=channels - 1) + channels * ((count - 1) * (count - 3)).abs()


def _distance(features: Tensor, known: Tensor) -> Tensor:
    """Return how far features (B, F) are from the third nearest of the ``known`` ones (K, F), (B,)."""
    known = known.to(torch.float64)
    squares = features.square().sum(dim=1, keepdim=True) + known.square().sum(dim=1) - 2 * features @ known.T
    nearest = squares.clamp(min=0).topk(min(NEIGHBOURS, len(known)), largest=False).values
    return nearest[:, -1].sqrt()


def _scale(side: int, size: int) -> Tensor:
    scale: Tensor = torch.full((), side, dtype=torch.float64) / size
    return scale


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + ONE / 2) / ONE).floor()
