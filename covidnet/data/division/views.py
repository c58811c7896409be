"""Views of the chest: the spellings of tables -> one name each, and which of them take part."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

from covidnet.data.listing import Labelled, Listing, Naming, chosen
from covidnet.errors import UserError, some

KEY = "data.views"
PA, AP, FRONTAL, LATERAL = "PA", "AP", "FRONTAL", "LATERAL"
NO_HEADERS: Mapping[str, str] = {}
# Of the words of a cell, in the order in which they decide: "XTABLE LATERAL" is a lateral view, "AP LORDOTIC" an AP.
_WORDS = {
    LATERAL: ("lateral", "lat", "l", "ll", "rl"),
    PA: ("pa", "posteroanterior", "posterioranterior"),
    AP: ("ap", "anteroposterior", "anteriorposterior"),
    FRONTAL: ("frontal", "front"),
    "OBLIQUE": ("oblique", "lao", "rao", "lpo", "rpo", "llo", "rlo", "swimmers"),
    "RIBS": ("costal", "ribs"),
    "CT": ("axial", "coronal", "sagittal", "ct"),  # slices among radiographs, as in covid-chestxray-dataset
    "EXCLUDE": ("exclude",),  # PadChest's own word
}


def view_of(cell: str) -> str:
    """Return the one name of a view however a table spells it, "" where it is not known.

    "AP Supine", "AP_horizontal" and "antero-posterior" are AP; "L", "LL" and "Lateral" are LATERAL; "Frontal" is PA or
    AP, which of them nobody said.
    """
    words = re.findall(r"[a-z]+", cell.casefold())
    words.append("".join(words))
    return next((name for name, spelt in _WORDS.items() if any(word in spelt for word in words)), "")


def read_views(given: Sequence[str] | None) -> list[str] | None:
    """Return the names of the views that a key asks for; None for all.

    Raises:
        UserError: Where one is no view.
    """
    if given is None:
        return None
    names = [view_of(text) for text in given]
    unknown = [text for text, name in zip(given, names, strict=True) if not name]
    if unknown or not names:
        raise UserError(
            f"{KEY}={list(given)} must name one view or more, of {', '.join(_WORDS)}"
            f"{f'; {unknown[0]!r} is none' if unknown else ''}. {KEY}=null takes all."
        )
    return list(dict.fromkeys(names))


def other_views(rows: Mapping[str, Mapping[str, str]], wanted: Sequence[str]) -> dict[str, str]:
    """Return the images whose rows tell a view that is not wanted, path -> view.

    An image of unknown view is none of them, nor is a frontal one where PA or AP is wanted.

    Args:
        rows: Path -> column -> value; the column is "view".
        wanted: Names of views, as ``read_views`` returns them.
    """
    known = {path: view_of(row.get("view", "")) for path, row in rows.items()}
    fit = {"", *wanted}
    fit |= {FRONTAL} if {PA, AP} & fit else set()
    fit |= {PA, AP} if FRONTAL in wanted else set()
    return {path: view for path, view in known.items() if view not in fit}


def choose_views(
    listing: Listing,
    rows: Mapping[str, Mapping[str, str]],
    wanted: Sequence[str],
    keep: Set[str] = frozenset(),
    headers: Mapping[str, str] = NO_HEADERS,
) -> Listing:
    """Return a listing without the images whose rows tell another view, and tell how many these are.

    Args:
        listing: The images.
        rows: Path -> column -> value; the column is "view".
        wanted: Names of views, as ``read_views`` returns them.
        keep: Paths that take part whatever their view.
        headers: Path -> view, as the image's own header tells it; it goes before that of a row.
    """
    told_of = with_headers(rows, headers)
    present = {path: told_of[path] for path in listing.paths if path in told_of and path not in keep}
    out = other_views(present, wanted)
    cells = [row.get("view", "") for row in present.values()]
    odd = Counter(repr(cell) for cell in cells if cell and not view_of(cell))
    told = [f"{views_told(out, len(listing.paths), wanted, headers)}; {KEY}=null takes all."] if out else []
    if odd:
        cell = f"{odd.total():,} images of a view that is not understood"
        told.append(Naming(f"{cell} ({some(sorted(odd), 3, ', ')}) stay in.", f"{cell} stay in."))
    return chosen(listing, lambda path: path not in out, told) if told else listing


def refuse_lost(before: Iterable[Labelled], after: Iterable[Labelled], wanted: Sequence[str]) -> None:
    """Refuse views that leave a class without images.

    Raises:
        UserError: Naming the class.
    """
    had, has = (sum((Counter(part.class_counts) for part in parts), Counter()) for parts in (before, after))
    lost = [name for name, count in had.items() if count and not has[name]]
    if lost:
        raise UserError(
            f"{KEY}=[{', '.join(wanted)}] leaves no image of {lost}: all {had[lost[0]]:,} images of {lost[0]} are of "
            f"other views. {KEY}=null takes all."
        )


def with_headers(rows: Mapping[str, Mapping[str, str]], headers: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """Return rows by path with the views that headers tell, path -> view."""
    return {**rows, **{path: {**rows.get(path, {}), "view": view} for path, view in headers.items()}}


def views_told(out: Mapping[str, str], of: int, wanted: Sequence[str], headers: Mapping[str, str] = NO_HEADERS) -> str:
    """Return which images their view leaves out, in words, and how many of them by their own ``headers``."""
    counts = ", ".join(f"{count:,} {view}" for view, count in Counter(out.values()).most_common())
    own = len(out.keys() & headers.keys())
    by = f" ({own:,} by that in their DICOM headers)" if own else ""
    return f"{counts} of {of:,} images are left out by their view{by}: {KEY}=[{', '.join(wanted)}]"
