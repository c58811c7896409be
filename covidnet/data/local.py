"""The folders and files that the keys of a data module name, on this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from covidnet.data.division.metadata import NAME as METADATA
from covidnet.data.walk import spelt_below
from covidnet.files.home import at_home
from covidnet.files.mirror import mirror_file, mirror_folder
from covidnet.files.store import check_url, is_url, split_url


def check_places(given: Mapping[str, str | Sequence[str] | None]) -> None:
    """Refuse odd URLs among the values of keys of data, now: a password must not come into config.yaml."""
    for name, places in given.items():
        for place in [places] if isinstance(places, str) else places or []:
            if is_url(place):
                check_url(place, f"data.{name}")


def local_folder(given: str | None, cache_dir: Path | None, key: str) -> Path | None:
    """Return a folder, or its copy where it is in an object store; what stands beside it comes with it."""
    if not (given and is_url(given)):
        return _there(local_path(given))
    _, name = split_url(given)
    return mirror_folder(given, cache_dir, key, beside=[f"{name} Test", METADATA] if name else [])


def local_file(given: str | None, cache_dir: Path | None, key: str) -> Path | None:
    """Return a file, or its copy where it is in an object store."""
    return mirror_file(given, cache_dir, key) if given and is_url(given) else _there(local_path(given))


def local_path(text: str | None) -> Path | None:
    """Return a path on this machine, ``~`` being the user's home."""
    return at_home(text) if text else None


def _there(path: Path | None) -> Path | None:
    """Return a path as the disk writes it, whose accents may have been typed otherwise."""
    if path is None or str(path).isascii():
        return path
    start = Path(path.anchor)
    return start / spelt_below(start, [path.relative_to(start).as_posix()])[0]


def folder_beside(root: Path) -> Path | None:
    """Return the folder "<root> Test", if there is one."""
    here = root.absolute()
    found = here.with_name(f"{here.name} Test") if here.name else here
    return found if found.is_dir() and found != here else None
