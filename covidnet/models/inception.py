"""InceptionV3, or any other timm backbone, under the tutorial's dense head."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from covidnet.errors import UserError, did_you_mean
from covidnet.files.tensors import read_tensors
from covidnet.models.classifier import Classifier, glorot
from covidnet.models.parts.dropout import Dropout, check_dropout

WIDTHS = (200, 100, 50)


class InceptionV3(Classifier):
    """Pooled backbone features under dense 200, 100, 50, each ReLU + dropout, then dense C.

    With the default backbone (Szegedy et al. 2016, arXiv:1512.00567; features (B, 2048)) 22,220,671 parameters for 3
    classes. Images are normalised inside the model by the mean and deviation that its weights were trained with.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model.
        pretrained: Start from ImageNet weights.
        weights: File of ImageNet weights (.pth, .safetensors) to read instead of asking the hub.
        freeze_backbone: Train the head alone; the backbone's BatchNorm statistics stay still too.
        dropout: Share dropped after each dense layer in training, in [0, 1).
        options: What every classifier takes.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "inception_v3.tf_in1k",
        pretrained: bool = True,
        weights: str | None = None,
        freeze_backbone: bool = False,
        dropout: float = 0.5,
        **options: Any,
    ) -> None:
        check_dropout(dropout)
        features = create_backbone(backbone, pretrained=pretrained, weights=weights)
        config = features.pretrained_cfg
        head = dense_head(features.num_features, WIDTHS, num_classes, dropout)
        network = nn.Sequential(Normalize(config["mean"], config["std"]), features, head)
        super().__init__(network, num_classes, **options)
        self.freeze_backbone = freeze_backbone
        if freeze_backbone:
            features.requires_grad_(False).eval()
        self.save_hyperparameters(logger=False)
        # A checkpoint holds the weights itself: loading one must not ask the hub or a file again.
        self.hparams.update(pretrained=False, weights=None)

    @property
    def backbone(self) -> nn.Module:
        """The feature extractor between normalisation and head."""
        assert isinstance(self.network, nn.Sequential)
        return self.network[1]

    @property
    def encoder(self) -> Callable[[Tensor], Tensor] | None:
        """All up to a frozen backbone: images (B, 3, H, W) -> features (B, F)."""
        assert isinstance(self.network, nn.Sequential)
        return nn.Sequential(self.first, *self.network[:2]) if self.freeze_backbone else None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of images (B, 3, H, W) in [0, 1], or of their features (B, F)."""
        assert isinstance(self.network, nn.Sequential)
        logits: Tensor = self.network[2](images) if images.dim() == 2 else super().forward(images)
        return logits

    def setup(self, stage: str) -> None:
        """Weight the classes; keep Lightning from warning of a frozen backbone's evaluation mode, which is meant."""
        super().setup(stage)
        if self.freeze_backbone:
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def train(self, mode: bool = True) -> "InceptionV3":
        """Set training mode, but leave a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self


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
        from safetensors.torch import load_file

        return load_file(file)
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
