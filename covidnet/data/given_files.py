"""Files that a key names: one, several, or one for each side of the split; typed in full, or as they lie in a root."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from covidnet.data.spelling import SIDES, plain
from covidnet.data.walk import is_file, is_folder
from covidnet.errors import UserError, did_you_mean, some
from covidnet.files.home import at_home
from covidnet.files.store import is_url

FilesBySide = Mapping[str, str | Sequence[str]]
BELOW_ROOT = "<root>/"  # so begins the name of a file that is sought in data.root, as data sets call theirs


def by_side(given: str | Sequence[str] | FilesBySide | None, key: str) -> dict[str, str]:
    """Return file as it was typed -> the side of the split that it stands for, "" where none was named.

    Args:
        given: A file, a list of files, or side -> file or files; the sides in the usual spellings.
        key: The setting, as an error names it.

    Raises:
        UserError: Where nothing is named, something twice, or a side is none.
    """
    if given is None:
        return {}
    sided = isinstance(given, Mapping)
    sides = given if isinstance(given, Mapping) else {"": given}
    pairs = [(side, file) for side, files in sides.items() for file in ([files] if isinstance(files, str) else files)]
    found: dict[str, str] = {}
    for typed, file in pairs:
        side = SIDES.get(plain(typed), "")
        if sided and not side:
            raise UserError(
                f"{key} names {typed!r}, but a side of the split is train, val or test.{did_you_mean(typed, SIDES)} "
                f"Give {key}={{train: FILE, val: FILE, test: FILE}}, or some of them."
            )
        if not file or file in found:
            raise UserError(f"{key} names {f'{file!r} twice' if file else 'no file'}. Give each file once.")
        found[file] = side
    if not found:
        raise UserError(f"{key}={given} names no file. Give one, or {key}=null.")
    return found


def folder_of(files: Collection[str], key: str) -> str | None:
    """Return the folder or the store's folder of files, where images lie if no key says where; None without files.

    Raises:
        UserError: Where they lie in two, or are sought in the root that is wanted.
    """
    folders = {
        file.rpartition("/")[0] if is_url(file) else str(at_home(file).parent)
        for file in files
        if not is_below_root(file)
    }
    if len(folders) > 1 or any(map(is_below_root, files)):
        raise UserError(
            f"data.root is missing: {key} does not say in which folder the images lie. Give data.root=FOLDER, the one "
            "below which they lie."
        )
    return next(iter(folders), None)


def is_below_root(typed: str) -> bool:
    """Tell whether a name is that of a file in ``data.root``."""
    return typed.startswith(BELOW_ROOT)


def find_given(typed: str, root: Path, cache_dir: Path | None, key: str) -> Path:
    """Return a file on this machine; one in the root by its name or pattern, in it or else anywhere below it.

    Args:
        typed: As the key has it.
        root: The folder that "<root>/" means.
        cache_dir: Where a file out of a store is copied to.
        key: The setting, as an error names it.

    Raises:
        UserError: Where the root has no such file, or two.
    """
    if not is_below_root(typed):
        from covidnet.data.local import local_file  # who only asks where a file would lie waits for nothing

        file = local_file(typed, cache_dir, key)
        assert file is not None, "a file was typed"
        return file
    if not is_folder(root):
        raise UserError(f"{root} is no folder, but {key}={typed} is sought below it. Change data.root.")
    name = typed.removeprefix(BELOW_ROOT)
    try:
        found = _files(root, name) or _files(root, f"**/{name}")
    except (ValueError, NotImplementedError, OSError) as error:
        raise UserError(f"{key}={typed} is no name of a file below data.root: {error}. Change {key}.") from error
    if len(found) != 1:
        there = (
            f"there are {len(found)}: {some([str(file) for file in found], 2, ' and ')}" if found else "there is none"
        )
        raise UserError(
            f"{key}={typed} must be one file in {root} or below it, but {there}. data.root is the folder of the data "
            f"set with its tables, as it was unpacked; where they lie elsewhere or have other names, give {key}=FILE."
        )
    return found[0]


def _files(root: Path, pattern: str) -> list[Path]:
    return sorted(file for file in root.glob(pattern) if is_file(file))
