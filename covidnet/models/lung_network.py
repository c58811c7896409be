"""A small network that tells where the lungs lie in a radiograph; its weights lie beside this file.

`python -m bench.lung_network` makes them; `lung_network_NOTICE.md` tells whose masks they learned from.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidnet.files.tensors import read_safetensors

SIDE = 128  # pixels of the images that it takes
WIDTHS = (32, 48, 88)  # channels at sides of 32, 16 and 8 pixels
FOLD = 4  # pixels by pixels that become channels: no map is larger than 32 by 32, which saves most of the time
LEAST_CONTRAST = 1e-3  # standard deviation of the greys: of a blank image the noise is not raised above it
WEIGHTS = Path(__file__).with_name("lung_network.safetensors")


class LungNetwork(nn.Module):
    """Grey radiographs (B, 1, 128, 128) -> logits (B, 1, 128, 128): above 0 is lung.

    A U-Net (Ronneberger et al. 2015, arXiv:1505.04597) of 269,000 parameters. Lungs are both lungs with what of them
    lies behind the heart and the diaphragm's dome, as its masks have it. Each image's greys are brought to mean 0 and
    deviation 1 first, so that their scale does not matter.
    """

    def __init__(self) -> None:
        super().__init__()
        above = (FOLD**2, *WIDTHS)
        self.down = nn.ModuleList(_block(before, width) for before, width in zip(above, WIDTHS, strict=False))
        pairs = reversed([*pairwise(WIDTHS)])
        self.up = nn.ModuleList(_block(width + below, width) for width, below in pairs)
        self.head = nn.Conv2d(WIDTHS[0], FOLD**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        deviation, mean = torch.std_mean(images, dim=(1, 2, 3), correction=0, keepdim=True)
        maps = F.pixel_unshuffle((images - mean) / deviation.clamp_min(LEAST_CONTRAST), FOLD)
        beside: list[Tensor] = []
        for block in self.down:
            maps = block(F.max_pool2d(maps, 2) if beside else maps)
            beside.append(maps)
        for block, finer in zip(self.up, reversed(beside[:-1]), strict=True):
            maps = block(torch.cat([F.interpolate(maps, scale_factor=2.0, mode="bilinear"), finer], dim=1))
        return F.pixel_shuffle(self.head(maps), FOLD)


@cache
def lung_network() -> LungNetwork:
    """Return the trained network, ready to predict on the CPU: one for the process."""
    return with_weights(WEIGHTS)


def with_weights(file: Path) -> LungNetwork:
    """Return the network with weights from a ``.safetensors`` file, ready to predict on the CPU.

    Raises:
        Exception: Of many kinds, where the file is damaged or of another network.
    """
    network = LungNetwork()
    found: dict[str, Any] = {name: values.float() for name, values in read_safetensors(file).items()}
    counters = {name: value for name, value in network.state_dict().items() if not value.is_floating_point()}
    network.load_state_dict(found | counters)  # BatchNorm counts its batches, which nobody needs
    return network.eval().to(memory_format=torch.channels_last)


def _block(before: int, after: int) -> nn.Sequential:
    """Return two convolutions, each with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
