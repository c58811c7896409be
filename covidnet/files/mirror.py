"""A folder or file in an object store -> its copy on this machine, fetched once.

The copy lies below the cache folder, one folder for each folder of a store: ``files``, what is in the store under the
same names, and ``journal.jsonl``, a line for each file that is here whole, with its version in the store. A line is
written after its file, so whatever moment a fetch dies at, the next one goes on there.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from covidnet.errors import UserError
from covidnet.files.folders import check_space, default_cache_dir, in_words, locked
from covidnet.files.in_use import keep
from covidnet.files.names import clash_of
from covidnet.files.plain_file import make_plain_folders, open_plain, refuse_link
from covidnet.files.store import Store, Stored, split_url
from covidnet.files.whole import write_whole
from covidnet.machine.parallel import progress_bar

JOURNAL, LOCK, FILES = "journal.jsonl", "lock", "files"
IN_USE = "in-use"  # what a process that reads a copy marks
MIRRORS = "mirrors"  # their folder in the cache folder
MOST_JOURNAL = 2**30  # bytes: of two million files; what comes after is fetched again
THREADS = 16  # each waits for the store most of the time
LARGE = 2**23  # bytes from which on a bar is worth its line


def mirror_folder(url: str, cache_dir: Path | None, key: str, beside: Sequence[str] = ()) -> Path:
    """Return the local copy of a folder of images, after fetching what has changed in the store.

    With it come the files and folders of these names ``beside`` it, where they are there. Files that are gone in the
    store go here too. Several processes may call this at the same time: one fetches, the others wait and find it.

    Raises:
        UserError: Where there is nothing, a name leads out of the copy, the disk is too small, or the store cannot be
            reached; what has arrived is kept.
    """
    place, name = split_url(url)
    store = Store(place, key)
    listed = store.files(name)
    if not listed:
        raise UserError(f"{key}={url}: there is nothing of this name. Check the names of bucket and folder.")
    for other in beside:
        listed += store.files(other)
    return _mirrored(store, [name, *beside], listed, cache_dir) / name


def mirror_file(url: str, cache_dir: Path | None, key: str) -> Path:
    """Return the local copy of one file; else as ``mirror_folder``."""
    place, name = split_url(url)
    store = Store(place, key)
    stored = store.file(name) if name else None
    if stored is None:
        raise UserError(f"{key}={url}: there is no file of this name. Check the names of bucket, folder and file.")
    return _mirrored(store, [name], [stored], cache_dir) / name


def _mirrored(store: Store, names: Sequence[str], listed: Sequence[Stored], cache_dir: Path | None) -> Path:
    """Make ``names`` hold what is listed, and nothing else; return the folder above them."""
    _refuse_clashes(store, listed)
    known = hashlib.sha256(store.url.encode()).hexdigest()[:12]
    own = f"{PurePosixPath(store.url).name}-{known}"
    place = (cache_dir or default_cache_dir()) / MIRRORS / own
    with _explained(store, place):
        make_plain_folders(cache_dir or default_cache_dir(), MIRRORS, own)
        with locked(place / LOCK):
            here = _read_journal(place)
            _refuse_links(place / FILES, listed)
            lacking = [one for one in listed if here.get(one.path) != one or not _is_whole(place / FILES, one)]
            _drop(place, names, {one.path for one in listed}, here)
            _fetch(store, lacking, place, here)
            _write_journal(place, here.values())
        keep(place / IN_USE)
    return place / FILES


def _fetch(store: Store, lacking: Sequence[Stored], place: Path, here: dict[str, Stored]) -> None:
    """Fetch files with several threads; note each in the journal and in ``here`` when it is whole."""
    if not lacking:
        return
    size = sum(one.size for one in lacking)
    check_space(place, size, f"fetch {store.url}", "data.cache_dir=FOLDER")
    title = f"fetching {len(lacking):,} files ({in_words(size)}) of {store.url} to {place / FILES}"
    executor = ThreadPoolExecutor(THREADS)
    try:
        with open_plain(place / JOURNAL, "a", encoding="utf-8") as journal, progress_bar(size, title, unit="B") as bar:
            journal.write("\n")  # ends a line that was cut short; an empty line is no file
            tasks = {executor.submit(store.get, one, place / FILES / one.path): one for one in lacking}
            for task in as_completed(tasks):
                task.result()
                here[tasks[task].path] = tasks[task]
                journal.write(json.dumps(asdict(tasks[task])) + "\n")
                journal.flush()
                bar.update(tasks[task].size)
    finally:
        executor.shutdown(cancel_futures=True)  # what is under way ends whole; on Ctrl-C the rest does not begin


def _drop(place: Path, names: Iterable[str], listed: set[str], here: dict[str, Stored]) -> None:
    """Remove what lies below ``names`` and is not in the store, what a killed fetch has left included."""
    files = place / FILES
    for name in names:
        below = [files / name] if (files / name).is_file() else list((files / name).rglob("*"))
        for path in below:
            relative = path.relative_to(files).as_posix()
            if relative not in listed and (path.is_file() or path.is_symlink()):
                path.unlink()
                here.pop(relative, None)


def _is_whole(files: Path, stored: Stored) -> bool:
    path = files / stored.path
    return path.is_file() and not path.is_symlink() and path.stat().st_size == stored.size


def _refuse_links(files: Path, listed: Sequence[Stored]) -> None:
    """Refuse a folder that is a link to another one: files would be fetched to there, or removed there.

    Raises:
        UserError: Naming it.
    """
    folders = {files, *(files / parent for one in listed for parent in PurePosixPath(one.path).parents)}
    for folder in sorted(folders):
        refuse_link(folder)


def _read_journal(place: Path) -> dict[str, Stored]:
    """Return the files that are here whole, by path; a line that was cut short counts for nothing."""
    here = {}
    try:
        with open_plain(place / JOURNAL, "rb") as journal:
            lines = journal.read(MOST_JOURNAL).splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            stored = Stored(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(stored.path, str) and type(stored.size) is int and isinstance(stored.version, str):
            here[stored.path] = stored
    return here


def _write_journal(place: Path, files: Iterable[Stored]) -> None:
    """Write the journal anew, each file once."""
    write_whole(place / JOURNAL, "".join(json.dumps(asdict(one)) + "\n" for one in files).encode())


def _refuse_clashes(store: Store, listed: Sequence[Stored]) -> None:
    """Refuse what a store can hold and a disk cannot: one name for a file and a folder."""
    folders = {parent.as_posix() for one in listed for parent in PurePosixPath(one.path).parents}
    both = sorted(one.path for one in listed if one.path in folders)
    if both:
        raise UserError(
            f"{store.key}={store.url}: {both[0]!r} names a file and a folder in the store, which no disk can hold. "
            "Rename one of them."
        )
    if clash := clash_of({one.path for one in listed}):
        raise UserError(
            f"{store.key}={store.url}: {clash[0]!a} and {clash[1]!a} are one name for many disks. Rename one."
        )


@contextmanager
def _explained(store: Store, place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{store.key}={store.url} could not be copied to {place}: {error.strerror or error}. What has arrived is "
            "kept. Give data.cache_dir=FOLDER on another disk."
        ) from error
