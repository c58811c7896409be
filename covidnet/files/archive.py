"""Archives from elsewhere -> a new folder: no path outside it, no links, no bombs; whole or not at all."""

import errno
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from covidnet.errors import UserError, short
from covidnet.files.folders import check_space, in_words
from covidnet.files.names import clash_of, harm_of
from covidnet.machine.parallel import progress_bar

MOST_GROWTH = 20  # radiographs are compressed already and hardly grow: what grows so much is a bomb
FREE_GROWTH = 2**20  # bytes that any archive may hold: a few small texts shrink well
MOST_FILES = 500_000  # some ten times as many as the largest release has
LONGEST_HEAD = 2**20  # bytes of a name or a list of attributes in a TAR, which are read at once
_HEADS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


# What the libraries raise of bytes that no archiver writes.
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError),
)


class Member(NamedTuple):
    """A file in an archive."""

    path: PurePosixPath  # relative, without ".."
    size: int  # bytes, unpacked, as the archive states it
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path) -> None:
    """Unpack a ZIP or TAR file into the new folder ``target``, under a progress bar.

    All names and sizes are checked before the first byte is written. Files get plain modes of their own.

    Raises:
        UserError: Where the archive is damaged, holds a link, a path outside ``target`` or one name twice, unpacks to
            far more than its own size, or the disk is too small. ``target`` is then gone again.
    """
    try:
        with _opened(archive) as members:
            files = _checked(archive, members())
            check_space(target.parent, sum(file.size for file in files), f"unpack {archive}")
            try:
                _write(files, target)
            except BaseException:  # Ctrl-C too: the archive stays, and it is quickly unpacked again
                shutil.rmtree(target, ignore_errors=True)
                raise
    except FileExistsError as error:
        raise UserError(f"{archive} holds a name twice ({error.filename}): it is not unpacked.") from error
    except OSError as error:
        if error.errno is None:  # as gzip tells of a damaged file
            raise _damaged(archive, error) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"The disk of {target.parent} is full: {archive} could not be unpacked.") from error
        raise UserError(f"{archive} could not be unpacked to {target}: {error.strerror}.") from error
    except UserError:
        raise
    except DAMAGE as error:
        raise _damaged(archive, error) from error


@contextmanager
def _opened(archive: Path) -> Iterator[Callable[[], Iterator[Member]]]:
    """Open an archive; give what lists its members."""
    if archive.exists() and not archive.is_file():
        raise UserError(f"{archive} is no file: give a ZIP or TAR file.")
    try:
        tar = tarfile.open(archive, tarinfo=_Head)  # noqa: SIM115  # what fails here is no TAR; closed below
    except tarfile.ReadError:
        if not zipfile.is_zipfile(archive):
            what = f"{archive} is neither a ZIP nor a TAR file, or only a part of one. Download it anew."
            raise UserError(what) from None
        with zipfile.ZipFile(archive) as packed:
            yield lambda: _zip_members(archive, packed)
    else:
        with tar:
            yield lambda: _tar_members(archive, tar)


class _Head(tarfile.TarInfo):
    """A member's head; it refuses to read another one of many megabytes, such as a name that is a bomb.

    The method is private to tarfile, but the only place between a head and the bytes that it has tarfile read at once.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size > LONGEST_HEAD and self.type in _HEADS:
            raise UserError(f"An archive holds a head of {in_words(self.size)}: it is not unpacked.")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]  # not in typeshed


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, info.filename, "is a link or a device")
        if info.flag_bits & 0x1:
            raise _refused(archive, info.filename, "is encrypted")
        path = _inner(archive, info.filename)
        if not info.is_dir():
            _refuse_nameless(archive, path)
            yield Member(path, info.file_size, partial(packed.open, info))


def _tar_members(archive: Path, tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        if not (info.isfile() or info.isdir()):
            raise _refused(archive, info.name, "is a link or a device")
        path = _inner(archive, info.name)
        if info.isfile():
            _refuse_nameless(archive, path)
            yield Member(path, info.size, partial(tar.extractfile, info))  # type: ignore[arg-type]  # None for folders


def _inner(archive: Path, name: str) -> PurePosixPath:
    """Return a member's path, if it stays inside whatever folder it is laid in, on any system."""
    if harm := harm_of(name):
        raise _refused(archive, name, harm)
    return PurePosixPath(name)


def _refuse_nameless(archive: Path, path: PurePosixPath) -> None:
    if not path.name:
        raise _refused(archive, str(path), "names no file")


def _checked(archive: Path, members: Iterator[Member]) -> list[Member]:
    """List the members; stop at the first sign of a bomb, as even listing one takes its time."""
    most = MOST_GROWTH * archive.stat().st_size + FREE_GROWTH
    files: list[Member] = []
    total = 0
    for member in members:
        files.append(member)
        total += member.size
        if total > most or len(files) > MOST_FILES:
            raise UserError(
                f"{archive} ({in_words(archive.stat().st_size)}) would unpack to more than {in_words(most)} or "
                f"{MOST_FILES:,} files: no radiographs do. It is not unpacked."
            )
    if clash := clash_of(str(file.path) for file in files):
        one, other = (ascii(name) if clash[0] != clash[1] else repr(name) for name in clash)
        raise UserError(
            f"{archive} holds a name twice, {short(one)} and {short(other)}: a disk that does not tell them apart "
            "would put one over the other. It is not unpacked."
        )
    return files


def _write(files: list[Member], target: Path) -> None:
    target.mkdir(parents=True)
    with progress_bar(len(files), "Unpacking", unit="file") as bar:
        for file in files:
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with file.open() as content, path.open("xb") as sink:
                shutil.copyfileobj(content, sink, 2**20)
            bar.update()


def _refused(archive: Path, name: str, why: str) -> UserError:
    return UserError(
        f"{archive} holds {short(repr(name))}, which {why}: it is not unpacked. Do not trust where it came from."
    )


def _damaged(archive: Path, error: Exception) -> UserError:
    return UserError(f"{archive} is damaged ({error}). Move it away and download it anew.")
