"""Which images of a root are of the views that take part, by what is known of them and by their own headers."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from covidnet.data.division.metadata import Metadata
from covidnet.data.division.views import choose_views
from covidnet.data.headers import views_in_headers
from covidnet.data.listing import Listing, below
from covidnet.data.spelling import Spellings


@dataclass(frozen=True)
class Viewing:
    """The views that take part.

    Attributes:
        wanted: Their names; None for all.
        named: Paths among those of all roots that a split file names, in any spelling: they take part whatever their
            view.
    """

    wanted: Sequence[str] | None
    named: Set[str]

    def headers(self, listing: Listing, prefix: str, known: Metadata | None) -> dict[str, str]:
        """Return the views that headers alone tell: path below the root -> view.

        Args:
            listing: The images of a root, of whatever view.
            prefix: What their paths begin with among those of all roots.
            known: What is known of the images of all roots.
        """
        if not (dicom := listing.known.dicom):
            return {}
        asked = dicom & {*listing.paths} - self._kept(listing, prefix)
        return views_in_headers(listing.root, asked, below(prefix, known.rows if known else {}))

    def choose(self, listing: Listing, prefix: str, known: Metadata | None, headers: Mapping[str, str]) -> Listing:
        """Return the images of the views that take part, and tell of the others; ``headers`` as above."""
        rows = below(prefix, known.rows if known else {})
        return choose_views(listing, rows, self.wanted or [], self._kept(listing, prefix), headers)

    def _kept(self, listing: Listing, prefix: str) -> set[str]:
        here = Spellings(listing.paths)
        named = (path.removeprefix(prefix) for path in self.named if path.startswith(prefix))
        return {own for path in named if (own := here.find(path))}
