"""The changes that a user may ask for, by name: here and not beside each, so that to read a name takes no torch."""

from typing import Literal

Augmentation = Literal["none", "mild", "strong"]
Style = Literal["none", "convolution", "amplitude"]
Lungs = Literal["whole", "covered", "only", "swapped"]
