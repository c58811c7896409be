"""Where the images of a run lie, and what is known of them before one is opened."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from covidnet.data.division.metadata import Metadata, find_metadata, merge_rows, read_metadata
from covidnet.data.division.split import TEST_PREFIX
from covidnet.data.layouts import Layout
from covidnet.data.listing import Listing
from covidnet.data.local import folder_beside, local_file, local_folder
from covidnet.errors import UserError


class Located:
    """The folders and tables that keys name, each listed once where it is first asked for.

    Attributes:
        default_root: The folder of the images where no key names one.
        layout: How a root is listed.
        given_root: The keys as they were typed: folder of the images,
        given_test_root: folder of test images,
        given_metadata: table beside the images, "none" for no table.
        wanted_classes: The classes, in the order of their labels; None for all.
        use_split: Whether a split that the data give is followed.
        cache_dir: Where copies out of a store are kept.
    """

    default_root: Path
    layout: Layout
    given_root: str | None
    given_test_root: str | None
    given_metadata: str | None
    wanted_classes: list[str] | None
    use_split: bool
    cache_dir: Path | None

    def list_images(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine: all that another layout has to change.

        ``classes`` are those wanted, in the order of their labels, or None for all; an error calls the folder ``key``.
        """
        return self.layout.listing(root, classes, key)

    @cached_property
    def root(self) -> Path:
        """The folder of the images; its local copy where it is in a store."""
        return local_folder(self.given_root, self.cache_dir, "data.root") or self.default_root

    @cached_property
    def folder(self) -> Listing:
        """The images and classes of the root, listed once."""
        return self.list_images(self.root, self.wanted_classes, "data.root")

    @cached_property
    def test_root(self) -> Path | None:
        """The separate folder of test images, if there is one; a test that the data give goes before one beside it."""
        given = local_folder(self.given_test_root, self.cache_dir, "data.test_root")
        if "test" not in self.sides.values():
            return given or folder_beside(self.root)
        if given:
            raise UserError(
                f"data.test_root={given} is a test, and {self.root} gives one too. Leave data.test_root out, or draw a "
                "split: data.use_split=false."
            )
        return None

    @cached_property
    def test_folder(self) -> Listing | None:
        """The images of the test root, if there is one."""
        root = self.test_root
        if root and root.resolve() == self.root.resolve():
            raise UserError(f"data.test_root={root} is data.root itself: the test would be on the training images.")
        return self.list_images(root, self.classes, "data.test_root") if root else None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their labels."""
        return list(self.folder.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes C; known before an image is decoded."""
        return len(self.folder.classes)

    @cached_property
    def metadata(self) -> Metadata | None:
        """What is known of patients, groups and sources, by the layout itself and by a table beside it."""
        own = self.folder.known
        told = Metadata(own.origin, own.rows) if own.rows else None
        if self.given_metadata == "none":
            return told
        file = local_file(self.given_metadata, self.cache_dir, "data.metadata")
        if not file and not self.layout.table:  # which says itself what is known
            file = find_metadata(self.root)
        if not (file or self.layout.table) and self.layout.keys.columns:
            raise UserError(
                f"data.columns={dict(self.layout.keys.columns)} is for a table, but there is none. Give "
                "data.table=FILE or data.metadata=FILE, or leave data.columns out."
            )
        table = self._read_table(file) if file else None
        return merge_rows(told, table)

    @property
    def sides(self) -> Mapping[str, str]:
        """The split that the data give, path -> "train", "val" or "test"; empty where one is drawn."""
        return self.folder.known.sides if self.use_split else {}

    def image_file(self, path: str) -> Path:
        """Return where the image ``path`` of a split lies."""
        apart = self.test_root if path.startswith(TEST_PREFIX) else None
        return apart / path.removeprefix(TEST_PREFIX) if apart else self.root / path

    def _read_table(self, file: Path) -> Metadata:
        columns = None if self.layout.table else self.layout.keys.columns
        metadata = read_metadata(file, self.root, self.folder.paths, columns=columns)
        if not metadata.rows:
            raise UserError(
                f"{file} names {metadata.unmatched} images, but none of those in {self.root}. Its paths must be "
                "relative to data.root or to the table's own folder. Change data.metadata (or none)."
            )
        return metadata
