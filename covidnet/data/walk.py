"""What lies in and below a folder: images, and what is left out with the reason."""

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from covidnet.errors import UserError, short

DEFAULT_ROOT = Path("data", "COVID-19 Radiography Database")  # data.root, where it is left out
# By its ending a file is meant to be an image. Nothing is decoded here, so that a wrong path is told at once.
EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".dcm", ".dicom")
IMAGES = "images"  # the later release keeps a class's radiographs here, beside "masks"
MASKS = ("masks", "mask", "lung_masks")
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")
JUNK_FOLDERS = ("__macosx", "__pycache__", "lost+found")
JUNK_FILES = ("thumbs.db", "desktop.ini")


def images_below(start: Path, why_no_folder: Callable[[str], str | None]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the images in and below a folder, and what else lies there with the reason why it is left out.

    Args:
        start: The folder.
        why_no_folder: Of a folder's name, why it is not searched ("" where nobody needs to be told); None if it is.
    """
    images: list[Path] = []
    ignored: list[tuple[Path, str]] = []
    visited = set()
    for current, folders, files in os.walk(start, followlinks=True, onerror=_refuse_unlisted):
        here = Path(current)
        identity = here.resolve()
        if identity in visited or (here != start and start.resolve().is_relative_to(identity)):
            folders.clear()  # a symbolic link to where we have been, or to what we are in
            continue
        visited.add(identity)
        folders.sort()  # of two names of one folder the first counts, whatever the disk's order
        for name in [*folders]:
            reason = why_no_folder(name)
            if reason is not None:
                folders.remove(name)
                if reason:
                    ignored.append((here / name, reason))
        for name in files:
            path = here / name
            if is_junk(name):
                continue
            if path.suffix.lower() in EXTENSIONS:
                images.append(path)
            else:
                ignored.append((path, _why_no_image(path)))
    return images, sorted(ignored)


def radiographs_below(folder: Path) -> list[Path]:
    """Return the images in and below a folder, sorted, without masks and what systems leave behind."""
    images, _ = images_below(folder, lambda name: "" if holds_no_images(name) else None)
    return sorted(images)


def holds_no_images(name: str) -> bool:
    """Tell folders, wherever they lie, that hold lung masks or what systems leave behind."""
    return is_junk(name) or name.lower() in MASKS


def is_junk(name: str) -> bool:
    """Tell files and folders that systems leave behind: hidden ones, resource forks, thumbnails."""
    return name.startswith(".") or name.lower() in (*JUNK_FOLDERS, *JUNK_FILES)


def refuse_no_root(root: Path, key: str) -> None:
    """Refuse what is no folder for training or an audit; ``key`` is the setting that gave it.

    Raises:
        UserError: With what to give instead.
    """
    if not is_folder(root):
        raise UserError(
            f"{short(root)} {_why_no_folder(root)}, but {key} must be a folder that holds one folder of radiographs a "
            f"class. Give {key}=FOLDER; or get the COVID-19 Radiography Database: covidnet download; or try the tool "
            "on drawn radiographs: python train.py data=phantom."
        )


def refuse_no_external_root(root: Path) -> None:
    """Refuse what is no folder of external radiographs.

    Raises:
        UserError: With what it must be.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise UserError(f"{root} {found}; ROOT must be a folder with folders of radiographs, one a class.")


def find_images(given: Sequence[str]) -> list[Path]:
    """Return the images that paths, folders and patterns mean, each once, in the order given.

    Raises:
        UserError: Where one means nothing.
    """
    paths: dict[Path, None] = {}
    for text in given:
        path = Path(text).expanduser()
        if path.is_dir():
            found = radiographs_below(path)
            if not found:
                raise UserError(
                    f"{path} holds no images. Give files, folders of images, or patterns such as 'x/*.png'."
                )
            paths |= dict.fromkeys(found)
        elif path.exists():
            paths[path] = None
        else:
            matched = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
            if not matched:
                raise UserError(f"{text} does not exist, and as a pattern it matches nothing.")
            paths |= dict.fromkeys(Path(match) for match in matched if not Path(match).is_dir())
    return list(paths)


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there; a link to itself and a name too long for the system are none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Tell whether a plain file is there; a name too long for the system is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def names_in(folder: Path) -> list[str]:
    """Return the names of what lies in a folder.

    Raises:
        UserError: Where it cannot be listed.
    """
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise _unlisted(error) from error


def _refuse_unlisted(error: OSError) -> None:
    """Refuse a folder that would be left out without a word."""
    raise _unlisted(error) from error


def _unlisted(error: OSError) -> UserError:
    return UserError(
        f"The folder {error.filename} cannot be listed: {error.strerror}. Its images would be left out. Mend it, or "
        "move it out of the folder of radiographs."
    )


def _why_no_image(path: Path) -> str:
    return f"is no image ({path.suffix or 'no ending'})"


def _why_no_folder(path: Path) -> str:
    try:
        return "is a file" if path.exists() else "does not exist"
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
