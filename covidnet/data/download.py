"""The COVID-19 Radiography Database: hub or archive -> a folder that training reads."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from covidnet.data.folder import RadiographFolder
from covidnet.errors import UserError
from covidnet.files.archive import unpack
from covidnet.files.folders import check_space, in_words

HANDLE = "tawsifurrahman/covid19-radiography-database"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
TOKENS = "https://www.kaggle.com/settings"
UNKNOWN_SIZE = 4 * 2**30  # bytes asked for where the hub tells no size
DEEPEST = 3  # so many folders down, the class folders are sought in what was unpacked


def download(target: Path, version: int | None = None, archive: Path | None = None) -> Path:
    """Bring the database to the new folder ``target``; return the folder above its class folders.

    What has arrived of the archive lies beside ``target`` until it is unpacked: a download that broke off goes on
    there. The hub's library would unpack by itself, but asks neither the disk nor the archive whether it fits.

    Args:
        target: Folder to make. It may be there if it is empty.
        version: Of the data set on the hub; the newest where left out.
        archive: File that was downloaded by hand, to unpack instead; it is kept.

    Raises:
        UserError: Where ``target`` is in use, the disk too small, the hub out of reach or the archive not to be
            trusted; it says what to do by hand.
    """
    _refuse_in_use(target)
    if archive is not None:
        if not archive.is_file():
            raise UserError(f"--archive {archive} is no file. Give the ZIP file that {PAGE} gives.")
        return _unpacked(archive, target)
    fetched = _fetched(target, version)
    root = _unpacked(fetched, target)
    fetched.unlink()
    return root


def by_hand(target: Path, version: int | None = None) -> str:
    """Return the steps that bring the database to ``target`` without the hub's library."""
    page = f"{PAGE}/versions/{version}" if version else PAGE
    to, root = shlex.quote(str(target)), shlex.quote(f"data.root={target}")
    return (
        "By hand:\n"
        f"  1. Open {page} and sign in.\n"
        '  2. Press "Download" and take the data set as a ZIP file.\n'
        f"  3. covidnet download --archive FILE.zip --to {to}   (unpacks it there and audits it)\n"
        f"  4. covidnet run {root}"
    )


def _refuse_in_use(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()):
        raise UserError(
            f"{target} is there already and was left as it is. Train on it (data.root), look at it (covidnet audit), "
            "or give another folder: --to FOLDER."
        )
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file. Give a folder: --to FOLDER.")


def _fetched(target: Path, version: int | None) -> Path:
    """Download the archive, or the rest of it; return its file."""
    try:
        from kagglehub import clients
    except ImportError as error:
        raise UserError(
            f"The hub's library is not installed ({error}): pip install 'covidnet[download]', then the same command "
            f"again.\n{by_hand(target, version)}"
        ) from error
    with _explained(target, version), clients.build_kaggle_client() as client:
        handle, unpacked, response = _asked(client.datasets.dataset_api_client, version)
        file = target.with_name(f"{target.name}.v{handle.version}.archive")
        size = int(response.headers.get("Content-Length", 0))  # of the archive, whose bytes have not been read yet
        here = _size(file)
        if size and here > size:
            file.unlink()  # no part of this archive, so nothing can be added to it
            here = 0
        needed = size - here + (unpacked or size)
        check_space(target.parent, needed or UNKNOWN_SIZE, f"download and unpack {handle}")
        print(f"{handle}: {in_words(size) if size else 'of unknown size'}, {in_words(here)} of it here. To {file}")
        file.parent.mkdir(parents=True, exist_ok=True)
        with _kept(file):
            clients.download_file(response, str(file), handle)
        if size and _size(file) != size:
            raise UserError(f"{file} has {_size(file):,} bytes, but the hub's archive has {size:,}. Move it away.")
    return file


def _asked(hub: Any, version: int | None) -> tuple[Any, int, Any]:
    """Ask for a version; return its handle, its bytes when unpacked (0 if not known) and the hub's answer, unread."""
    from kagglehub.handle import parse_dataset_handle
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest, ApiGetDatasetRequest

    handle = parse_dataset_handle(HANDLE)
    question = ApiGetDatasetRequest()
    question.owner_slug, question.dataset_slug = handle.owner, handle.dataset
    described = hub.get_dataset(question)
    newest = described.current_version_number
    handle = handle.with_version(version or newest)
    wanted = ApiDownloadDatasetRequest()
    wanted.owner_slug, wanted.dataset_slug = handle.owner, handle.dataset
    wanted.dataset_version_number = handle.version
    # What the hub tells of the size is about the newest version.
    return handle, described.total_bytes if handle.version == newest else 0, hub.download_dataset(wanted)


@contextmanager
def _kept(file: Path) -> Iterator[None]:
    """Tell, if the download breaks off, what there is of it."""
    try:
        yield
    except BaseException:
        if file.is_file():
            print(f"\n{in_words(_size(file))} are kept in {file}: the same command goes on there.", file=sys.stderr)
        raise


@contextmanager
def _explained(target: Path, version: int | None) -> Iterator[None]:
    """Turn what the hub's library raises into what a user can do."""
    from kagglehub.exceptions import DataCorruptionError
    from requests.exceptions import RequestException

    try:
        yield
    except UserError:
        raise
    except DataCorruptionError as error:
        raise UserError(
            "What arrived is not what the hub holds, and was removed. Run the same command again."
        ) from error
    except RequestException as error:
        raise UserError(f"{_why(error, version)}\n{by_hand(target, version)}") from error
    except ValueError as error:  # kaggle.json that cannot be read
        raise UserError(
            f"The hub's library refuses: {error}. Mend it, or move it away. {by_hand(target, version)}"
        ) from error
    except OSError as error:
        raise UserError(f"The download cannot be written beside {target}: {error}. Give --to FOLDER.") from error


def _why(error: Any, version: int | None) -> str:
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return (
            f"The hub wants to know who asks ({status}). Make a token at {TOKENS} (API, Create New Token), save it as "
            "~/.kaggle/kaggle.json or set KAGGLE_USERNAME and KAGGLE_KEY, then run the same command again."
        )
    if status == 404:
        what = f"version {version} of {HANDLE}" if version else HANDLE
        return f"The hub has no {what} (404): {PAGE} lists what there is."
    if status:
        return f"The hub answered with an error ({error}). Try the same command later."
    reason = str(getattr(error.args[0], "reason", error) if error.args else error)
    return f"The hub cannot be reached, or the connection broke: {reason}."


def _unpacked(archive: Path, target: Path) -> Path:
    """Unpack an archive of the database; return the folder above the class folders."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unpack(archive, unfinished)
    try:
        root = _class_root(unfinished)
        if root is None:
            raise UserError(f"{archive} holds no folder of radiographs by class: is it the archive of {PAGE}?")
        if target.is_dir():
            target.rmdir()  # empty, as _refuse_in_use has seen
        if _holds_all(root, unfinished):
            root.rename(target)
            return target
        unfinished.rename(target)
        return target / root.relative_to(unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _class_root(folder: Path) -> Path | None:
    """Return the highest folder whose folders can be taken for classes."""
    level = [folder]
    for _ in range(DEEPEST):
        for candidate in level:
            try:
                RadiographFolder(candidate, key="--to")
            except UserError:
                continue
            return candidate
        level = [inner for candidate in level for inner in sorted(candidate.iterdir()) if inner.is_dir()]
    return None


def _holds_all(root: Path, folder: Path) -> bool:
    """Tell whether nothing but ``root`` lies in ``folder``."""
    return all(root == path or root.is_relative_to(path) or path.is_relative_to(root) for path in folder.rglob("*"))


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
