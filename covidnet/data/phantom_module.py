"""PhantomDataModule: drawn radiographs -> batches, for a first try without any data."""

from functools import cached_property
from typing import Any

from covidnet.data.folder import RadiographFolder
from covidnet.data.module import RadiographyDataModule
from covidnet.data.phantom import VERSION, write_phantoms
from covidnet.errors import UserError
from covidnet.files.folders import default_cache_dir

SEED = 28  # of the drawing; data.seed is the split's


class PhantomDataModule(RadiographyDataModule):
    """Serve radiographs that are drawn once, where they are first asked for.

    Args:
        root: Folder to draw into; the user's cache folder where left out.
        shortcut: Probability that a marker in the corner names the class, for tests of honesty; 0 for no marker.
        options: What every radiography data module takes.
    """

    notice = "DRAWN radiographs (phantoms), not images of people. "

    def __init__(self, root: str | None = None, shortcut: float = 0.0, **options: Any) -> None:
        if not 0 <= shortcut <= 1:
            raise UserError(f"data.shortcut={shortcut} must be a probability, between 0 and 1.")
        self.shortcut = shortcut
        self.default_root = default_cache_dir() / "phantoms" / f"v{VERSION}-seed{SEED}-shortcut{shortcut:g}"
        super().__init__(root=root, **options)

    @cached_property
    def folder(self) -> RadiographFolder:
        """The drawn images and their classes."""
        return RadiographFolder(write_phantoms(self.root, seed=SEED, shortcut=self.shortcut), self.wanted_classes)
