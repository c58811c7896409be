"""Names of files from elsewhere that would do harm, on this system or on the next one to which they are copied."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

DEEPEST = 32  # folders within folders; no data set has ten
LONGEST_PART, LONGEST_PATH = 255, 1000  # bytes: what most disks, and macOS in one call, can name
DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"}
DEVICES |= {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
_BREAKS = ("Cc", "Zl", "Zp")  # categories of what controls a screen or ends a line
_GIT = (".git", "git~1")  # the second is what Windows calls the first besides
_TURNED = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # have a name look like another


def harm_of(name: str) -> str | None:
    """Return why a relative path with ``/`` between its parts is refused, as a clause after "which"; None if it is not.

    Where a part would do harm on any system, it is refused on all: what was unpacked here may be copied there.
    """
    path, elsewhere = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or elsewhere.drive or elsewhere.root or ".." in elsewhere.parts or "\\" in name:
        return "would lie outside the folder"
    if len(path.parts) > DEEPEST:
        return f"lies more than {DEEPEST} folders deep"
    if len(name.encode(errors="surrogatepass")) > LONGEST_PATH:
        return f"has more than {LONGEST_PATH} bytes"
    return next((why for part in path.parts if (why := _harm_of_part(part))), None)


def _harm_of_part(part: str) -> str | None:
    if len(part.encode(errors="surrogatepass")) > LONGEST_PART:
        return f"has a part of more than {LONGEST_PART} bytes"
    if part.isascii() and part.isalnum() and len(part) > len("conout$"):
        return None  # most names
    if ":" in part:
        return "Windows takes for a drive, or for a second content of a file"
    if part.partition(".")[0].rstrip(" ").lower() in DEVICES:
        return "Windows takes for a device"
    if part[-1] in ". ":
        return "ends in a dot or a space, which Windows takes away"
    if any(unicodedata.category(letter) in _BREAKS or letter in _TURNED for letter in part):
        return "holds a control character"
    if _folded(part) in _GIT:
        return "git takes for a repository, whose settings can start a program"
    return None


def clash_of(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return two of the files' paths, or of their folders', that a disk may take for one; None if there are none.

    Disks differ in whether they tell letters by their case and by how an accent is written, and see what has no width;
    none has a file and a folder of one name.
    """
    seen: dict[str, tuple[str, bool]] = {}  # what a disk may see -> the path, and whether it is a file
    for path in paths:
        parts = path.split("/")
        for end in range(len(parts), 0, -1):
            own, is_file = "/".join(parts[:end]), end == len(parts)
            key = own.lower() if own.isascii() else _folded(own)
            known = seen.get(key)
            if known and (is_file or known != (own, False)):
                return known[0], own
            if known:
                break  # the folder was seen before, and so were those that it lies in
            seen[key] = own, is_file
    return None


def _folded(text: str) -> str:
    seen = "".join(letter for letter in text.upper() if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", seen).casefold())
