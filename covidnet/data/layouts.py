"""Which layout a folder has, and its listing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from covidnet.data.listing import Listing
from covidnet.data.local import local_file
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.listing import TableListing


@dataclass(frozen=True)
class Layout:
    """How the images of a root are listed: all that the keys of a data module say of it.

    Attributes:
        table: The table of labels as it was typed; None where folders tell the classes.
        keys: How a table is read.
        cache_dir: Where a table out of a store is copied to.
    """

    table: str | None = None
    keys: TableKeys = field(default_factory=TableKeys)
    cache_dir: Path | None = None

    def listing(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine; a table is that of ``data.root``, other roots have classes.

        Args:
            root: The folder.
            classes: Those wanted, in the order of their labels, or None for all.
            key: The setting that gave the folder, as an error names it.

        Raises:
            UserError: Where there is nothing to learn from.
        """
        table = local_file(self.table, self.cache_dir, "data.table") if key != "data.test_root" else None
        if table:
            return TableListing(root, table, self.keys, classes, key)
        from covidnet.data.folder import RadiographFolder  # what only predicts lists nothing, and needs no torchvision

        return RadiographFolder(root, classes, key)
