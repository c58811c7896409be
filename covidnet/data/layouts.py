"""Which layout a folder has, and its listing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covidnet.data.listing import Listing


@dataclass(frozen=True)
class Layout:
    """How the images of a root are listed: all that the keys of a data module say of it."""

    def listing(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine.

        Args:
            root: The folder.
            classes: Those wanted, in the order of their labels, or None for all.
            key: The setting that gave the folder, as an error names it.

        Raises:
            UserError: Where there is nothing to learn from.
        """
        from covidnet.data.folder import RadiographFolder  # what only predicts lists nothing, and needs no torchvision

        return RadiographFolder(root, classes, key)
