"""What the mask of an image is called, by one rule for who writes masks and who looks for them.

The mask of ``a/b/NAME.jpg`` is ``a/b/NAME.png``, or ``a/b/NAME.jpg.png``, which no other image can have.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from covidnet.data.spelling import folded
from covidnet.errors import UserError
from covidnet.imaging.kinds import ENDINGS

ENDING = ".png"


def mask_names(paths: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Return the path of each image's mask below the folder of masks: no two are one, on any disk.

    All have the short name, or all the whole name where a short one could be another image's too.

    Args:
        paths: Of the images below their folder, POSIX.
        taken: Names of other files in the folder of masks.

    Raises:
        UserError: Where a mask would have one of these; naming the image.
    """
    whole = [f"{path}{ENDING}" for path in paths]
    short = [f"{_stem(path)}{ENDING}" for path in paths]
    above = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    others = {folded(name) for name in (*taken, *above)}
    names = {folded(name) for name in (*whole, *short)}
    if len(names) == 2 * len(paths) and not names & others:
        return short
    for path, name in zip(paths, whole, strict=True):
        if folded(name) in others:
            raise UserError(
                f"The mask of {path} would be called {name}, as another file or folder is beside the masks. Rename "
                "the image."
            )
    return whole


def possible_names(path: str) -> list[str]:
    """Return how the mask of an image may be called, the likeliest first; it may have any ending of images."""
    return [f"{path}{ENDING}", *(f"{_stem(path)}{one}" for one in ENDINGS)]


def _stem(path: str) -> str:
    """Return an image's path without its ending, if it is an ending of images: ``1.2.840`` has none."""
    ending = PurePosixPath(path).suffix
    return path.removesuffix(ending) if ending.lower() in ENDINGS else path
