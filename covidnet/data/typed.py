"""The folders and files that typed keys of the data name: one that is not there is told before anything is imported."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from covidnet.data.walk import DEFAULT_ROOT, is_folder, refuse_no_root
from covidnet.errors import UserError, did_you_mean, short
from covidnet.files.home import at_home
from covidnet.files.reading import keep_names, parse_yaml

FILES = ("table", "split_lists", "split_file", "metadata")  # keys of the data that name files
ELSEWHERE = ("://", "<root>/")  # what is in a store, or is sought in the root
NO_FILE = "none"  # of data.metadata
AUTO, BOX = "auto", "box"  # of data.masks


def value_of(text: str, *, names: bool = False) -> Any:
    """Return what the text of a key means, as for training; what is no YAML is a text.

    Args:
        text: As it was typed.
        names: Whether it holds names, which stay what they are.
    """
    try:
        return parse_yaml(keep_names(text) if names else text)
    except (yaml.YAMLError, ValueError):
        return text


def refuse_missing(keys: Mapping[str, Any]) -> None:
    """Refuse folders and files of keys of the data that are not there; URLs are not asked for.

    Raises:
        UserError: Naming the key.
    """
    if root := _here(keys.get("test_root")):
        refuse_no_root(root, "data.test_root")
    roots = keys.get("roots")
    for name, folder in roots.items() if isinstance(roots, dict) else []:
        if root := _here(folder):
            refuse_no_root(root, f"data.roots[{name}]")
    for key in FILES:
        for file in _texts(keys.get(key)):
            refuse_no_file(file, f"data.{key}")
    refuse_no_masks(keys.get("masks"), "data.masks")


def refuse_no_data(keys: Mapping[str, Any]) -> None:
    """Refuse keys of the data that name no folder of radiographs, or one that is not there.

    Raises:
        UserError: With what to give.
    """
    if keys.get("table") and not (keys.get("root") or keys.get("roots")):
        from covidnet.data.given_files import by_side, folder_of

        folder_of(by_side(keys["table"], "data.table"), "data.table")
    elif not keys.get("roots") and (root := _here(keys.get("root") or str(DEFAULT_ROOT))):
        refuse_no_root(root, "data.root")


def refuse_no_file(file: str, key: str) -> None:
    """Refuse a file of this machine that is not there; ``key`` is the setting that gave it.

    Raises:
        UserError: With what to give.
    """
    if file != NO_FILE and (here := _here(file)) and not _is_there(here):
        raise UserError(f"{key}={file} does not exist. Give a file that is there, or leave {key} out.")


def refuse_no_masks(given: object, key: str) -> None:
    """Refuse a folder of masks of this machine that is not there; ``key`` is the setting that gave it.

    Raises:
        UserError: With what to give.
    """
    here = None if given in (AUTO, BOX) else _here(given)
    if here and not is_folder(here):
        found = "is no folder" if _is_there(here) else "does not exist"
        raise UserError(
            f"{key}={short(given)} {found}.{did_you_mean(str(given), [AUTO, BOX])} Give auto, box, or a folder of lung "
            "masks with the names of the images."
        )


def _here(text: object) -> Path | None:
    """Return the place on this machine that a text names, if it names one."""
    here = isinstance(text, str) and text and not any(mark in text for mark in ELSEWHERE)
    return at_home(str(text)) if here else None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value, of the lists and mappings in it too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
