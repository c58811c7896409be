"""What is measured of a run for its report alone, as plain values: verdicts know no more of images and models."""

from typing import NamedTuple


class Links(NamedTuple):
    """Images that belong together: of one patient, or duplicates of each other."""

    table: str  # the file that says so
    images: int  # linked to another one
    groups: int  # of more than one image
    astride: int  # groups with images on two sides of the split
    unknown: int  # images whose patient nobody knows
    of: int  # images in all


class HeatShare(NamedTuple):
    """The heat of many images: its mean share inside the lungs, or their box, and the share of the image they take."""

    images: int
    mean: float
    interval: tuple[float, float] | None
    area: float
    masked: bool  # the lungs are those of masks; else a central box stands for them

    @property
    def region(self) -> str:
        """What the heat is measured inside of."""
        return "the lungs" if self.masked else "the central box"
