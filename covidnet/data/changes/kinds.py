"""The changes that a user may ask for, by name: here and not beside each, so that to read a name takes no torch."""

from typing import Literal

Augmentation = Literal["none", "mild", "strong"]
Style = Literal["none", "convolution", "amplitude"]
Lungs = Literal["whole", "covered", "only", "swapped", "crop", "covered_crop", "only_crop", "swapped_crop"]
SHOWN: tuple[Lungs, ...] = ("whole", "covered", "only", "swapped")
CROP = "crop"  # ends the names of those that are then cut to the lungs


def shown(lungs: Lungs) -> tuple[Lungs, bool]:
    """Return what is shown of images, and whether they are then cut to their lungs."""
    what = lungs.removesuffix(CROP).removesuffix("_") or "whole"
    return next(one for one in SHOWN if one == what), lungs.endswith(CROP)
