"""Weights to begin with."""

from torch import nn


def glorot(module: nn.Module) -> None:
    """Initialise a dense or convolutional layer as Keras does: uniform Glorot weights and zero biases."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
