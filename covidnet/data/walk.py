"""What lies in and below a folder: images, and what is left out with the reason."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from covidnet.data.spelling import SIDES, Spellings, plain
from covidnet.errors import UserError, printable, short, some
from covidnet.files.home import at_home
from covidnet.imaging.kinds import Kind, kind_of

DEFAULT_ROOT = Path("data", "COVID-19 Radiography Database")  # data.root, where it is left out
IMAGES = "images"  # the later release keeps a class's radiographs here, beside "masks"
MASKS = ("masks", "mask", "lung_masks")
_FILLING = "(?:dataset|set|data|images|imgs|xrays?|cxr|split|folder)*"  # as in test_set and 1_train_images
_SIDE = re.compile(rf"\d*{_FILLING}(?P<side>{'|'.join(SIDES)}){_FILLING}")
MOST_CLASSES = 1_000  # the parser of a command line takes some milliseconds for each
LONGEST_CLASS = 255  # characters
JUNK_FOLDERS = ("__macosx", "__pycache__", "lost+found")
JUNK_FILES = (".ds_store", "thumbs.db", "desktop.ini")
TABLES = (".csv", ".tsv", ".xlsx")

Ignored = tuple[Path, str]  # a file or folder that is left out, and the reason


def is_class_name(name: object) -> bool:
    """Tell a name that a class may have, of a folder or in a table of labels: it is shown on the screen."""
    if not isinstance(name, str) or len(name) > LONGEST_CLASS:
        return False
    no_path = not {part.strip() for part in name.split("/")} & {"", ".", ".."}  # as "No Lung Opacity / Not Normal"
    return no_path and "\n" not in name and printable(name) == name


def images_below(start: Path, why_no_folder: Callable[[str], str | None]) -> tuple[dict[Path, Kind], list[Ignored]]:
    """Return the images in and below a folder by what they are, and what else lies there with why it is left out.

    Nothing is decoded: what is named like an image may still be none.

    Args:
        start: The folder.
        why_no_folder: Of a folder's name, why it is not searched ("" where nobody needs to be told); None if it is.
    """
    images: dict[Path, Kind] = {}
    ignored: list[Ignored] = []
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
            if is_junk(name):
                continue
            path = here / name
            kind = kind_of(path)
            if kind.is_read:
                images[path] = kind
            else:
                ignored.append((path, kind.why_not))
    return images, sorted(ignored)


def radiographs_below(folder: Path) -> tuple[list[Path], list[Ignored]]:
    """Return the images in and below a folder, sorted, and what is left out; masks are neither."""
    images, ignored = images_below(folder, lambda name: "" if holds_no_images(name) else None)
    return sorted(images), ignored


def spelt_below(root: Path, paths: Sequence[str]) -> list[str]:
    """Return paths below a folder as its disk writes them; one that is there in no spelling stays as it is."""
    names: dict[Path, Spellings] = {}

    def found(path: str) -> str:
        here = root
        for part in PurePosixPath(path).parts:
            if here not in names:
                names[here] = Spellings(names_in(here) if is_folder(here) else ())
            own = names[here].find(part)
            if own is None:
                return path
            here /= own
        return here.relative_to(root).as_posix()

    return [path if os.path.lexists(root / path) else found(path) for path in paths]


def pictures_in(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield what of these names in a folder are images, or files that may hold some although they are not read."""
    for path in (folder / name for name in names if not is_junk(name)):
        if path.is_file() and ((kind := kind_of(path)).is_read or kind.pictures):
            yield path


def tables_in(folder: Path) -> list[Path]:
    """Return the files in a folder that may be tables, sorted."""
    return sorted(folder / name for name in names_in(folder) if name.lower().endswith(TABLES) and not is_junk(name))


def holds_no_images(name: str) -> bool:
    """Tell folders, wherever they lie, that hold lung masks or what systems leave behind."""
    return is_junk(name) or name.lower() in MASKS


def side_of(name: str) -> str | None:
    """Return the split, "train", "val" or "test", that a folder of this name holds; None where it is named for none."""
    found = _SIDE.fullmatch(plain(name))
    return SIDES[found["side"]] if found else None


def side_folders(folder: Path) -> dict[str, str]:
    """Return the folders in a folder that are named for a split, name -> split, sorted."""
    found = {name: side_of(name) for name in sorted(names_in(folder))}
    return {name: side for name, side in found.items() if side and is_folder(folder / name)}


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
            f"{short(root)} {_why_no_folder(root)}, but {key} must be a folder that holds one folder of radiographs "
            f"for each class. Give {key}=FOLDER; or get the COVID-19 Radiography Database: covidnet download; or try "
            "the tool on drawn radiographs: covidnet run data=phantom."
        )


def refuse_no_external_root(root: Path) -> None:
    """Refuse what is no folder of external radiographs.

    Raises:
        UserError: With what it must be.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise UserError(f"{root} {found}. Give a folder that holds one folder of radiographs for each class.")


def find_images(given: Sequence[str]) -> tuple[list[Path], list[Ignored]]:
    """Return the images that paths, folders and patterns mean, each once, in the order given; and what is left out.

    Raises:
        UserError: Where one means nothing.
    """
    paths: dict[Path, None] = {}
    left: list[Ignored] = []
    for text in given:
        path = at_home(text)
        if path.is_dir():
            found, ignored = radiographs_below(path)
            if not found:
                others = f" ({told_by_reason(ignored, '; ')})" if ignored else ""
                raise UserError(
                    f"{path} holds no images{others}. Give files, folders of images, or patterns such as 'x/*.png'."
                )
            paths |= dict.fromkeys(found)
            left += ignored
        elif path.exists():
            paths[path] = None
        else:
            matched = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
            if not matched:
                raise UserError(f"{text} does not exist, and as a pattern it matches nothing.")
            paths |= dict.fromkeys(Path(match) for match in matched if not Path(match).is_dir())
    return list(paths), left


def left_out(ignored: Sequence[Ignored]) -> str:
    """Return what is told of files and folders that are left out."""
    return f"{len(ignored):,} files or folders are left out:\n  {told_by_reason(ignored)}"


def told_by_reason(ignored: Sequence[tuple[object, str]], between: str = "\n  ") -> str:
    """Return a short line for each reason why something is left out, the commonest first: an example and the number."""
    by_reason: dict[str, list[object]] = {}
    for path, reason in ignored:
        by_reason.setdefault(reason, []).append(path)
    commonest = sorted(by_reason.items(), key=lambda one: -len(one[1]))
    lines = [f"{paths[0]} {reason}{f' ({len(paths):,} such)' if len(paths) > 1 else ''}" for reason, paths in commonest]
    return some(lines, between=between)


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


def _why_no_folder(path: Path) -> str:
    try:
        return "is a file" if path.exists() else "does not exist"
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
