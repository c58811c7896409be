"""PhantomDataModule: drawn radiographs -> batches, for a first try without any data."""

from covidnet.data.module import RadiographyDataModule
from covidnet.data.phantoms import Phantoms


class PhantomDataModule(Phantoms, RadiographyDataModule):
    """Serve radiographs that are drawn once, where they are first asked for."""
