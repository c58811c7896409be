"""Names and words that people write in many ways."""

import unicodedata

# What stands in a table where nothing is known.
UNKNOWN = frozenset(
    {"", "-", "--", "?", "nan", "na", "n/a", "<na>", "#n/a", "none", "null", "nil", "unknown", "unk", "not known"}
)
SIDES = {  # as splits are called, by ``plain`` -> what we call them
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "tst", "testing"), "test"),
}


def plain(name: str) -> str:
    """Return a name without case and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def folded(name: str) -> str:
    """Return a name as a disk may see it that tells neither case nor how an accent is written."""
    return (
        name.lower() if name.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    )


def known(cell: str) -> str:
    """Return what a cell says, nothing where it says that nothing is known."""
    return "" if cell.casefold() in UNKNOWN else cell
