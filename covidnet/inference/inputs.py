"""What a Python caller gives -> decoded radiographs: paths, bytes, Pillow images, arrays and tensors."""

import glob
import os
from collections.abc import Iterable, Mapping
from io import IOBase
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from covidnet.data.walk import find_images, is_folder, left_out
from covidnet.imaging.arrays import Scale, picture_of_array
from covidnet.imaging.decode import as_radiograph, open_radiograph, read
from covidnet.imaging.orientation import turn_upright
from covidnet.imaging.radiograph import Radiograph, Reading, UnreadableImageError
from covidnet.machine.telling import tell

Content: TypeAlias = bytes | bytearray | memoryview  # of a file
Readable: TypeAlias = str | os.PathLike[str] | Content | Image.Image | NDArray[Any] | torch.Tensor
TAKEN = "a path, the bytes of a file, a Pillow image, an array or a tensor"
SEVERAL = 4  # axes of an array that holds several images


def listed(given: Readable | Iterable[Readable]) -> list[Any]:
    """Return one image or several as a list; an array or tensor of four axes is several, as a folder or a pattern is.

    Raises:
        UnreadableImageError: Where it is neither.
        UserError: Where a folder or a pattern holds no image.
    """
    if isinstance(given, np.ndarray | torch.Tensor):
        return list(given) if given.ndim == SEVERAL else [given]
    if isinstance(given, str | os.PathLike):
        return _files(given)
    if isinstance(given, Content | Image.Image):
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, Mapping | IOBase):  # whose items are no images
        return [one for item in given for one in (_files(item) if isinstance(item, str | os.PathLike) else [item])]
    raise UnreadableImageError(f"What was given {_is_none(given)}, or several of these.")


def _files(given: str | os.PathLike[str]) -> list[Any]:
    """Return the images of a folder or a pattern; any other path as it is, of which its reader tells."""
    path = Path(given)
    if not is_folder(path) and (os.path.lexists(path) or not glob.has_magic(str(path))):
        return [given]
    files, left = find_images([str(path)])
    if left:
        tell(left_out(left))
    return [*files]


def named(image: object, number: int) -> str:
    """Return what an error calls one of several images."""
    return file_of(image) or f"images[{number}]"


def file_of(image: object) -> str | None:
    """Return the file that an image comes from, where it tells one; of Pillow's, the one that it was opened from."""
    if isinstance(image, str | os.PathLike):
        return str(image)
    return str(getattr(image, "filename", "")) or None if isinstance(image, Image.Image) else None


def open_given(image: Readable, scale: Scale | None, reading: Reading) -> Radiograph:
    """Decode what was given for one image: whatever its form, it is read as a file of these pixels would be.

    Args:
        image: As ``TAKEN`` says it.
        scale: The numbers of an array that are black and white.
        reading: How files are read.

    Raises:
        UnreadableImageError: With the reason, or with what to give instead.
    """
    if isinstance(image, str | os.PathLike):
        return open_radiograph(read(Path(image)), reading)
    if isinstance(image, Content):
        return open_radiograph(bytes(image), reading)
    if isinstance(image, Image.Image):
        return _from_pillow(image, reading)
    if isinstance(image, torch.Tensor):
        return as_radiograph(picture_of_array(_from_tensor(image), scale, channels_first=True))
    if np.ma.is_masked(image):
        raise UnreadableImageError("is an array of which a part is masked; say what is to be seen there: .filled(0)")
    if isinstance(image, np.ndarray):
        return as_radiograph(picture_of_array(image, scale))
    raise UnreadableImageError(_is_none(image))


def _from_pillow(image: Image.Image, reading: Reading) -> Radiograph:
    try:
        image.load()  # which may read a file only now
    # A file that is damaged, cut or closed makes Pillow raise many kinds.
    except Exception as error:
        raise UnreadableImageError(f"is a Pillow image that cannot be loaded: {error}") from None
    return as_radiograph(turn_upright(image) if reading.orientation == "upright" else image)


def _from_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    try:
        tensor = tensor.detach().cpu()
        array: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()  # which has none
    except (TypeError, RuntimeError) as error:  # sparse, quantised, or without numbers
        raise UnreadableImageError(f"is a tensor that gives no array ({error}); give a dense one") from None
    return array


def _is_none(given: object) -> str:
    remedy = f": make it an array first, or give {TAKEN}" if isinstance(given, list | tuple) else f"; give {TAKEN}"
    return f"is of type {type(given).__name__}{remedy}"
