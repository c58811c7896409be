"""A tree of DICOM files -> the table that keeps a patient's images together, without saying who the patient is."""

import os
import secrets
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from covidnet.data.headers import read_headers
from covidnet.data.walk import images_below, is_junk
from covidnet.errors import UserError, some
from covidnet.files.reading import UNREADABLE, read_bytes
from covidnet.imaging.dicom.facts import read_facts
from covidnet.imaging.kinds import DICOM

SALT = 32  # bytes of a new salt
LONGEST_SALT = 4096


@dataclass(frozen=True)
class DicomTable:
    """What the headers of a tree tell.

    Attributes:
        rows: A row a file, sorted by path: ``path`` and the columns of ``imaging.dicom.facts``.
        unread: Path -> why a file tells nothing.
        others: Files that are no DICOM.
    """

    rows: list[dict[str, str]]
    unread: dict[str, str]
    others: int


def read_tree(folder: Path, salt: bytes) -> DicomTable:
    """Read the headers of all DICOM files below a folder, on all cores, under a progress bar.

    Raises:
        UserError: Where there are none.
    """
    images, others = images_below(folder, lambda name: "" if is_junk(name) else None)
    paths = sorted(path.relative_to(folder).as_posix() for path, kind in images.items() if kind is DICOM)
    if not paths:
        raise UserError(
            f"{folder} holds no DICOM files, but {len(images):,} other images. FOLDER must be a folder that holds them "
            "at any depth; a table of other images is begun by: covidnet audit."
        )
    found = dict(
        zip(paths, read_headers(partial(read_facts, salt=salt), [folder / path for path in paths]), strict=True)
    )
    rows = [{"path": path, **facts} for path, facts in found.items() if not isinstance(facts, str)]
    unread = {path: why for path, why in found.items() if isinstance(why, str)}
    return DicomTable(rows, unread, len(images) - len(paths) + len(others))


def told_of(table: DicomTable) -> list[str]:
    """Return what the table holds and what to know of it, a sentence each."""
    patients = Counter(row["patient"] for row in table.rows if row["patient"])
    unknown = sum(not row["patient"] for row in table.rows)
    lines = [f"{len(table.rows):,} DICOM files of {len(patients):,} patients."]
    if unknown:
        lines.append(f"{unknown:,} files name no patient, or a placeholder: they count as unknown, not as one patient.")
    views = Counter(row["view"] or "unknown" for row in table.rows)
    lines.append(f"Views: {', '.join(f'{count:,} {view}' for view, count in views.most_common(6))}.")
    largest, count = next(iter(patients.most_common(1)), ("", 0))
    if len(table.rows) >= 10 and count > len(table.rows) / 2:
        lines.append(
            f"One patient has {count:,} of the files: is the ID in the headers a placeholder? Then empty {largest} in "
            "the column patient."
        )
    if table.unread:
        lines.append(
            f"{len(table.unread):,} files tell nothing: {some([f'{p} {why}' for p, why in table.unread.items()])}"
        )
    if table.others:
        lines.append(f"{table.others:,} other files are not in the table.")
    return lines


def read_salt(file: Path) -> tuple[bytes, bool]:
    """Return the salt in a file, and whether it is new: where there is none, one is drawn and kept for its owner alone.

    Raises:
        UserError: Where the file cannot be read or written, or is too short to keep a secret.
    """
    try:
        if file.exists():
            salt = read_bytes(file, LONGEST_SALT)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            salt = secrets.token_hex(SALT).encode()
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # for nobody else to read
            with os.fdopen(opened, "wb") as out:
                out.write(salt)
            return salt, True
    except UNREADABLE as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{file} cannot be used as a salt: {why}. Give another --salt FILE.") from error
    if len(salt.strip()) < SALT:
        raise UserError(
            f"{file} holds {len(salt.strip())} bytes, but a salt that keeps a secret has {SALT} or more. Give another "
            "--salt FILE; one that does not exist is made."
        )
    return salt, False
