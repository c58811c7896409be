"""What of a model makes features: joined with the data, they are computed once and kept."""

import copy

import torch

from covidnet.data.features import Encoder
from covidnet.models.network import Network
from covidnet.models.parts.fingerprint import fingerprint


def encoder_of(model: Network, device: torch.device, name: str | None = None) -> Encoder:
    """Return all of a model but its last part, for ``covidnet.data.features.features_of``.

    It is a copy, in float32 and in evaluation mode: whatever becomes of the model, the features stay those of now.

    Args:
        model: As a checkpoint gives it, or in training.
        device: Where its features are computed.
        name: Of the encoder, for people; the model's own where left out.
    """
    exact = copy.deepcopy(model).to_float32().eval().to(device)  # its own weights may be of fewer bits
    return Encoder(exact.encoder, device, name or exact.name, fingerprint(exact.encoder, device))
