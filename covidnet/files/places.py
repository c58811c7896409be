"""Names of places on this machine -> their last part only, before a file goes to strangers."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

# Keys whose value is a place, relative ones too; any other text that is an absolute path is taken for one.
PLACES = frozenset(
    {
        "cache_dir",
        "checkpoint",
        "ckpt_path",
        "default_root_dir",
        "dirpath",
        "masks",
        "metadata",
        "root",
        "roots",
        "save_dir",
        "split_file",
        "split_lists",
        "table",
        "test_root",
        "weights",
    }
)
ENCODER = "local-dir:"  # before the folder that an encoder is from
BLOCK = 2**24  # bytes that are searched at once


def without_places(value: Any, key: str = "") -> Any:
    """Return plain values (dicts, lists, texts; tensors stay) with the last name of each place in its stead."""
    if isinstance(value, Mapping):
        by_name = key.rpartition(".")[2] in ("roots", "split_lists", "table")  # places, each by a name
        held = {name: key if by_name else str(name) for name in value}
        return {without_places(name): without_places(inner, held[name]) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner, key) for inner in value]
    if isinstance(value, str) and value.startswith(ENCODER):
        return ENCODER + _last_name(value.removeprefix(ENCODER))
    if isinstance(value, str) and (key.rpartition(".")[2] in PLACES or _is_place(value)):
        return _last_name(value)
    return value


def places_in(file: Path, places: Iterable[Path]) -> list[Path]:
    """Return which of the places a file names, whatever its format, where that is not compressed."""
    wanted = {place: str(place).encode() for place in places}
    overlap = max(map(len, wanted.values()), default=0)
    found, end = set(), b""
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            text = end + block
            found |= {place for place, name in wanted.items() if name in text}
            end = text[-overlap:]
    return sorted(found)


def _is_place(text: str) -> bool:
    windows = PureWindowsPath(text)
    return text.startswith("~") or PurePosixPath(text).is_absolute() or bool(windows.drive and windows.root)


def _last_name(text: str) -> str:
    return PureWindowsPath(text).name or "folder"  # which parts at / and at \
