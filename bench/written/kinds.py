"""Which kinds are written, by their names."""

from bench.written.coded_kinds import coded
from bench.written.plain_kinds import bmps, pngs, pnms
from bench.written.shown import Make
from bench.written.tiff_kinds import odd_tiffs, tiffs


def kinds() -> dict[str, Make]:
    """Return how each kind is written, by its name."""
    return dict([*tiffs(), *odd_tiffs(), *pngs(), *pnms(), *bmps(), *coded()])
