"""What the last stages of an encoder see, beside what its end gives: earlier maps move better to other hospitals."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from covidnet.errors import UserError

LAST = 3  # stages
SMALL = 1e-4  # keeps the root's slope finite at 0
Features = Literal["top", "stages"]


class Stages(nn.Module):
    """Normalised images (B, 3, H, W) -> features (B, F): the mean maps of the last stages, then the pooled top.

    Each feature x becomes x / sqrt(|x| + 1e-4), its signed root: so the few large ones do not outshine the many small
    ones (power normalisation: Perronnin, Sanchez and Mensink 2010).

    Args:
        backbone: A network of timm without its classifier.
        name: Of it, as the user has it.

    Raises:
        UserError: Where timm cannot tell its stages.
    """

    def __init__(self, backbone: Any, name: str) -> None:
        super().__init__()
        if not hasattr(backbone, "forward_intermediates") or not hasattr(backbone, "feature_info"):
            raise UserError(
                f"model.features=stages needs a backbone whose stages timm knows, which model.backbone={name} is not. "
                "Give model.features=top, or another backbone."
            )
        self.backbone = backbone
        info = backbone.feature_info
        stages = (info if isinstance(info, list) else info.get_dicts())[-LAST:]
        self.count = len(stages)  # of a network that has fewer, all
        self.width = sum(int(stage["num_chs"]) for stage in stages)  # features less those of the pooled top

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (B, F)."""
        end, maps = self.backbone.forward_intermediates(images, indices=self.count)
        means = [one.mean(dim=(2, 3)) for one in maps]
        features = torch.cat([*means, self.backbone.forward_head(end, pre_logits=True)], dim=1)
        return features / (features.abs() + SMALL).sqrt()
