"""Files in an object store, by fsspec: list, fetch, send. Nothing else knows fsspec.

Credentials come from where the store's own library looks for them, its environment variables and configuration files:
a URL that holds any is refused, and no message tells one.
"""

import errno
import hashlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from covidnet.errors import UserError
from covidnet.files.names import harm_of
from covidnet.files.whole import UNFINISHED

Result = TypeVar("Result")

INSTALL = {  # protocol -> what brings its library
    "s3": 'pip install "covidnet[s3]"',
    "gs": "pip install gcsfs",
    "az": "pip install adlfs",
    "abfs": "pip install adlfs",
    "abfss": "pip install adlfs",
    "file": "",
    "memory": "",
}
# The store's library tries each connection anew by itself; botocore beneath it would do so again, for minutes.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"retries": {"max_attempts": 0}}},
    "file": {"auto_mkdir": True},
}
ATTEMPTS = 6  # of each transfer, the first included
WAIT, LONGEST = 0.5, 30.0  # seconds before the second attempt, twice as many before each one more; at most
QUIET = 5.0  # seconds after a message in which other threads do not tell the same
FINAL = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of this machine; no store's library raises them
VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "last_modified", "created")  # what tells that a file is another one
SECRETS = re.compile("SECRET|TOKEN|PASSWORD|KEY|CREDENTIAL|CONNECTION_STRING")  # in names of environment variables


@dataclass(frozen=True)
class Stored:
    """A file in a store."""

    path: str  # POSIX, below the store's folder
    size: int  # bytes
    version: str  # another one after each change: the ETag, or a time where there is none


def is_url(text: object) -> bool:
    """Tell a URL from the path of a local folder or file."""
    return isinstance(text, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) is not None and "://" in text


def check_url(url: str, key: str) -> None:
    """Refuse a URL that holds a secret, names no store that we know, or leaves its own bucket.

    Raises:
        UserError: Naming the setting ``key``; never a secret.
    """
    protocol, _, rest = url.partition("://")
    if re.match(r"[^@]*:[^@]*@", rest) or "?" in rest:
        raise UserError(
            f"{key} is a URL with a password, a token or a query in it, which would be kept in config.yaml. Leave it "
            "out; credentials belong into the environment, or the files that the store's library reads "
            "(docs/stores.md)."
        )
    if protocol not in INSTALL or "::" in url:
        raise UserError(f"{key}={url} is in no store that is known here: give a folder, or {_known()}.")
    path = rest.strip("/")
    if not path:
        raise UserError(f"{key}={url} names no bucket: give {protocol}://BUCKET/FOLDER.")
    _refuse_escape(path, url)


def split_url(url: str) -> tuple[str, str]:
    """Return the URL of the folder that holds what ``url`` names, and its name; "" for the name of a bucket."""
    protocol, _, rest = url.partition("://")
    folder, _, name = rest.rstrip("/").rpartition("/")
    return (f"{protocol}://{folder}", name) if folder else (url.rstrip("/"), "")


def location(url: str) -> tuple[str, ...]:
    """Return the parts of a URL as names of nested folders: ``s3://bucket/a`` is ("s3", "bucket", "a")."""
    protocol, _, rest = url.partition("://")
    return (protocol, *rest.strip("/").split("/"))


class Store:
    """A folder in a store; paths are POSIX and relative to it.

    A transfer that breaks off is tried again after a growing wait. Every failure is a ``UserError``.

    Args:
        url: Of the folder.
        key: The setting that gave it, for messages.
        attempts: Of each transfer.
    """

    def __init__(self, url: str, key: str, attempts: int = ATTEMPTS) -> None:
        check_url(url, key)
        self.url, self.key, self.attempts = url.rstrip("/"), key, attempts
        self.protocol = url.partition("://")[0]
        self._lock = threading.Lock()
        self._told = 0.0
        logging.getLogger("asyncio").addFilter(_is_ours_to_tell)
        try:
            self._files = fsspec.filesystem(self.protocol, **OPTIONS.get(self.protocol, {}))
        except ImportError as error:
            raise UserError(f"{key}={url} needs a library that is not installed: {INSTALL[self.protocol]}") from error
        # The public url_to_fs would also take settings out of the URL.
        self._root = str(self._files._strip_protocol(self.url)).rstrip("/")  # noqa: SLF001

    def files(self, below: str = "") -> list[Stored]:
        """Return all files in and below a folder, sorted by path; none where there is no such folder.

        Raises:
            UserError: Where a name would lead out of a local copy, besides what ``Store`` says.
        """
        start = self._at(below)

        def listed() -> dict[str, dict[str, Any]]:
            self._files.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._files.find(start, detail=True)
            return found

        found = self._tried(f"list {self._url(below)}", listed)
        # A store may list an empty object as a folder's mark, or the folder itself where its first file has just come.
        names = [name for name, one in found.items() if one["type"] == "file" and not str(name).endswith("/")]
        paths = {name: str(name).removeprefix(f"{self._root}/") for name in names}
        for path in paths.values():
            _refuse_escape(path, self.url)
        return sorted((_stored(path, found[name]) for name, path in paths.items()), key=lambda one: one.path)

    def file(self, path: str) -> Stored | None:
        """Return one file, or None where it is not there."""

        def asked() -> Stored | None:
            self._files.invalidate_cache()
            try:
                found = self._files.info(self._at(path))
            except FileNotFoundError:
                return None
            return _stored(path, found) if found["type"] == "file" else None

        return self._tried(f"look for {self._url(path)}", asked)

    def get(self, stored: Stored, target: Path) -> None:
        """Fetch a file, whole or not at all."""
        name = hashlib.sha256(target.name.encode(errors="surrogatepass")).hexdigest()[:16]  # never too long
        part = target.with_name(f".{name}{UNFINISHED}")
        target.parent.mkdir(parents=True, exist_ok=True)

        def fetched() -> None:
            part.unlink(missing_ok=True)  # a link that others have put there would be followed
            self._files.get_file(self._at(stored.path), str(part))
            if part.stat().st_size != stored.size:
                raise OSError(f"{part.stat().st_size:,} of {stored.size:,} bytes arrived")
            with part.open("rb") as content:
                os.fsync(content.fileno())  # a file under its own name is whole even after a power cut

        try:
            self._tried(f"fetch {self._url(stored.path)}", fetched)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def put(self, file: Path, path: str) -> Stored:
        """Send a file, whole or not at all; return what is then in the store."""

        def sent() -> Stored:
            target = self._at(path)
            if self.protocol == "file":  # a copy of a file is not whole until it ends; an object is there at once
                self._files.put_file(str(file), f"{target}.part")
                self._files.mv(f"{target}.part", target)
            else:
                self._files.put_file(str(file), target)
            self._files.invalidate_cache()
            return _stored(path, self._files.info(target))

        return self._tried(f"send {file.name} to {self._url(path)}", sent)

    def create(self, path: str, content: bytes) -> bool:
        """Write a small file that is not there yet, all at once; return False where it is there already."""

        def created() -> bool:
            try:
                self._files.pipe_file(self._at(path), content, mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, OSError) as error:
                if not isinstance(error, NotImplementedError) and error.errno != errno.ENOSYS:
                    raise
                if self._files.exists(self._at(path)):  # a store that cannot do both in one step
                    return False
                self._files.pipe_file(self._at(path), content)
            return True

        return self._tried(f"write {self._url(path)}", created)

    def remove(self, path: str) -> None:
        """Remove a file, which may be gone already."""

        def removed() -> None:
            try:
                self._files.rm_file(self._at(path))
            except FileNotFoundError:
                return

        self._tried(f"remove {self._url(path)}", removed)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _url(self, path: str) -> str:
        return f"{self.url}/{path}" if path else self.url

    def _tried(self, what: str, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns, tried as often as is allowed; explain why it cannot be had."""
        attempt = 1
        while True:
            try:
                return work()
            # Each store's library has its own errors, without a common base.
            except Exception as error:
                if attempt >= self.attempts or _is_final(error):
                    raise self._explained(what, error, attempt) from error
                wait = min(WAIT * 2 ** (attempt - 1), LONGEST)
                self._tell(f"covidnet: could not {what}: {plain(error)}; trying again.")
            time.sleep(wait)
            attempt += 1

    def _tell(self, line: str) -> None:
        """Print a line, once where many threads have the same to tell."""
        with self._lock:
            now = time.monotonic()
            if now - self._told < QUIET and self._told:
                return
            self._told = now
        print(line, file=sys.stderr)

    def _explained(self, what: str, error: Exception, attempts: int) -> UserError:
        where = f"{self.key}={self.url}"
        if isinstance(error, UserError):
            return error
        if getattr(error, "errno", None) in DISK:
            return UserError(f"{where}: could not {what}: {plain(error)}. Make room, or name a folder on another disk.")
        if _lacks_credentials(error):
            return UserError(
                f"{where}: no usable credentials were found ({plain(error)}). Set them where the store's library looks "
                "for them, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile in ~/.aws (docs/stores.md)."
            )
        if isinstance(error, PermissionError):
            return UserError(f"{where}: these credentials may not {what}: {plain(error)}.")
        if isinstance(error, FileNotFoundError):
            return UserError(f"{where}: could not {what}: {plain(error)}. Check the names of bucket and folder.")
        tries = f" after {attempts} attempts" if attempts > 1 else ""
        return UserError(
            f"{where}: could not {what}{tries}: {plain(error)}. Check the network, and for a server of your own "
            "AWS_ENDPOINT_URL; what is finished is kept."
        )


def plain(error: BaseException) -> str:
    """Return an error in one line, without what might be secret: queries, passwords, values of the environment."""
    text = next(iter(str(error).splitlines()), "").strip().rstrip(".")
    text = re.sub(r"//[^/@\s]*@", "//", text)
    text = re.sub(r"\?[^\s\"']*", "", text)
    for name, value in os.environ.items():
        if SECRETS.search(name) and len(value) > 3:
            text = text.replace(value, "***")
    name = type(error).__name__
    return f"{text[:200]} ({name})" if text else name


def _is_ours_to_tell(record: logging.LogRecord) -> bool:
    """Drop the traceback of a broken connection, which also reaches the one who asked, as an error to be caught."""
    return "never retrieved" not in record.getMessage()


def _stored(path: str, found: dict[str, Any]) -> Stored:
    version = next((str(found[name]) for name in VERSIONS if found.get(name)), "")
    return Stored(path, int(found["size"] or 0), version)


def _is_final(error: Exception) -> bool:
    """Tell what another attempt would not mend."""
    return isinstance(error, (UserError, *FINAL)) or _lacks_credentials(error) or getattr(error, "errno", None) in DISK


def _lacks_credentials(error: BaseException) -> bool:
    """Tell the errors of the stores' libraries for missing or unknown credentials, by their names."""
    return any("Credentials" in kind.__name__ or kind.__name__ == "ProfileNotFound" for kind in type(error).__mro__)


def _refuse_escape(path: str, url: str) -> None:
    """Refuse a name that would lead out of the folder of a local copy, or that no file can have."""
    harm = "would lie outside the folder" if {"", ".", ".."} & set(path.split("/")) else harm_of(path)
    if harm:
        raise UserError(
            f"{url} holds the name {path!r}, which {harm}, or could lie outside a local copy of it: nothing was "
            "fetched. Rename it in the store: names without '..', empty parts, colons and backslashes."
        )


def _known() -> str:
    *some, last = [f"{protocol}://" for protocol in INSTALL]
    return f"{', '.join(some)} or {last}"
