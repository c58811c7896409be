"""What makes logits of features: the tutorial's dense layers, or a single one."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from covidnet.models.parts.dropout import Dropout, check_dropout
from covidnet.models.parts.glorot import glorot

WIDTHS = (200, 100, 50)  # the tutorial's
Head = Literal["linear", "dense"]


def head_of(kind: Head, features: int, num_classes: int, dropout: float) -> nn.Module:
    """Return features (B, F) -> logits (B, C); ``dropout`` is that of the dense layers."""
    check_dropout(dropout)
    return dense_head(features, WIDTHS if kind == "dense" else (), num_classes, dropout)


def dense_head(features: int, widths: Sequence[int], num_classes: int, dropout: float) -> nn.Sequential:
    """Return dense layers of ``widths``, each with ReLU and dropout, then the logits (B, C)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(features, width), nn.ReLU(), Dropout(dropout)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, num_classes)).apply(glorot)
