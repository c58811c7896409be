"""Several networks that answer as one: the softmax of the mean of their logits."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from covidnet.models.network import Network


class Ensemble(nn.Module):
    """The networks of a series, each as it is; whoever asks takes the mean of what they say.

    Args:
        members: Networks of the same classes, which take the same images.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self._members = nn.ModuleList(members)

    @property
    def members(self) -> list[Network]:
        """The networks, in their order."""
        return [cast("Network", member) for member in self._members]

    @property
    def class_weights(self) -> Tensor:
        """The mean of the weights of the classes in the members' losses (C,)."""
        return torch.stack([member.class_weights for member in self.members]).mean(dim=0)
