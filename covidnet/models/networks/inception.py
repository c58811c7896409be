"""The layers of InceptionV3, or of any other timm backbone, under the tutorial's dense head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from covidnet.errors import UserError, did_you_mean
from covidnet.files.tensors import read_safetensors, read_tensors
from covidnet.models.parts.dropout import Dropout, check_dropout
from covidnet.models.parts.glorot import glorot

WIDTHS = (200, 100, 50)


def inceptionv3(
    num_classes: int,
    backbone: str = "inception_v3.tf_in1k",
    pretrained: bool = True,
    weights: str | None = None,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Return images (B, 3, H, W) -> logits (B, C): normalisation, a pooled backbone, and the tutorial's head.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model.
        pretrained: Start from ImageNet weights.
        weights: File of ImageNet weights (.pth, .safetensors) to read instead of asking the hub.
        dropout: Share dropped after each dense layer in training, in [0, 1).
    """
    check_dropout(dropout)
    features = create_backbone(backbone, pretrained=pretrained, weights=weights)
    config = features.pretrained_cfg
    head = dense_head(features.num_features, WIDTHS, num_classes, dropout)
    return nn.Sequential(Normalize(config["mean"], config["std"]), features, head)


class Normalize(nn.Module):
    """(images - mean) / deviation, a number for each channel.

    They lie where the weights do. torchvision's own copies them from the CPU in each step, which a CUDA graph cannot
    hold. The checkpoint has no need of them: the backbone's name tells them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) normalised."""
        return (images - self.mean) / self.deviation


def dense_head(features: int, widths: Sequence[int], num_classes: int, dropout: float) -> nn.Sequential:
    """Return dense layers of ``widths``, each with ReLU and dropout, then the logits (B, C)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(features, width), nn.ReLU(), Dropout(dropout)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, num_classes)).apply(glorot)


def create_backbone(name: str, *, pretrained: bool, weights: str | None) -> Any:
    """Return timm's model ``name`` without its classifier: images (B, 3, H, W) -> pooled features (B, F).

    Raises:
        UserError: For an unknown name, weights that the hub does not give, or a file that does not fit.
    """
    import timm

    if weights is not None:
        model = _create(timm, name, pretrained=False)
        load_backbone_weights(model, Path(weights).expanduser(), name)
        return model
    try:
        return _create(timm, name, pretrained=pretrained)
    except UserError:
        raise
    # The hub's client raises many kinds for a missing network, a missing file or a refused token.
    except Exception as error:
        raise UserError(
            f"The ImageNet weights of {name} could not be had from the hub ({type(error).__name__}: "
            f"{_first_line(error)}). Either give them as a file, model.weights=FILE (.pth or .safetensors), or start "
            "from random weights, model.pretrained=false."
        ) from error


def load_backbone_weights(model: nn.Module, file: Path, name: str) -> None:
    """Load ``file`` into a backbone; a classifier in the file is left out.

    Raises:
        UserError: Where the file is missing, no weights file, or made for another backbone.
    """
    if not file.is_file():
        raise UserError(f"model.weights={file} does not exist; give a file of weights (.pth or .safetensors).")
    try:
        state = _read_weights(file)
        missing, unexpected = model.load_state_dict(state, strict=False)
    # torch, pickle and safetensors each raise their own for a file that is damaged or of another kind.
    except Exception as error:
        raise UserError(
            f"model.weights={file} does not fit model.backbone={name}: {_first_line(error)}. "
            "Give the weights of that backbone, or change model.backbone."
        ) from error
    classifier = model.pretrained_cfg["classifier"]  # type: ignore[index]  # timm gives every model this mapping
    prefixes = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    foreign = [key for key in unexpected if not key.startswith((*prefixes, "AuxLogits", "aux"))]
    if missing or foreign:
        raise UserError(
            f"model.weights={file} does not fit model.backbone={name}: {len(missing)} of the backbone's tensors are "
            f"not in it{_example(missing)}, and {len(foreign)} of its own are not in the backbone{_example(foreign)}. "
            "Give the weights of that backbone, or change model.backbone."
        )


def _read_weights(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return read_safetensors(file)
    state: dict[str, Any] = read_tensors(file)
    inner: dict[str, Tensor] = state.get("state_dict", state)
    return inner


def _create(timm: Any, name: str, *, pretrained: bool) -> Any:
    if not timm.is_model(name):
        raise UserError(f"model.backbone={name} is no model of timm.{did_you_mean(name, timm.list_models())}")
    return timm.create_model(name, pretrained=pretrained, num_classes=0)


def _example(keys: Sequence[str]) -> str:
    return f" (as {keys[0]})" if keys else ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given")
