"""Where the images of a run lie, and what is known of them before one is opened."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from covidnet.data.division.metadata import NAME, Metadata, find_metadata, merge_rows, read_metadata
from covidnet.data.division.names import refuse_unmatched
from covidnet.data.division.split import TEST_PREFIX, paths_in_split, prefix_of
from covidnet.data.division.views import refuse_lost
from covidnet.data.layouts import Layout
from covidnet.data.listing import Known, Labelled, Listing, gather
from covidnet.data.local import folder_beside, local_file, local_folder
from covidnet.data.lung_masks import LungMasks
from covidnet.data.roots import known_of, refuse_overlap, told_of_roots, with_one_label
from covidnet.data.typed import AUTO
from covidnet.data.viewing import Viewing
from covidnet.data.walk import spelt_below
from covidnet.errors import UserError


class Located:
    """The folders and tables that keys name, each listed once where it is first asked for.

    Attributes:
        default_root: The folder of the images where no key names one.
        layout: How a root is listed.
        given_root: The keys as they were typed: folder of the images,
        given_roots: or several of them, by the names that their paths begin with,
        given_test_root: folder of test images,
        given_metadata: table beside the images, "none" for no table,
        given_split_file: a split.csv.
        wanted_classes: The classes, in the order of their labels; None for all.
        wanted_views: Names of the views that take part; None for all.
        wanted_subgroups: More columns that tell subgroups,
        age_bins: and ages at which one begins; None for the usual ones.
        use_split: Whether a split that the data give is followed.
        cache_dir: Where copies out of a store are kept.
        masks: What says where the lungs lie.
    """

    default_root: Path
    layout: Layout
    given_root: str | None
    given_roots: dict[str, str] | None
    given_test_root: str | None
    given_metadata: str | None
    given_split_file: str | None
    wanted_classes: list[str] | None
    wanted_views: list[str] | None
    wanted_subgroups: list[str] | None
    age_bins: list[int] | None
    use_split: bool
    cache_dir: Path | None
    masks: LungMasks

    def list_images(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine: all that another layout has to change.

        ``classes`` are those wanted, in the order of their labels, or None for all; an error calls the folder ``key``.
        """
        return self.layout.listing(root, classes, key)

    @cached_property
    def roots(self) -> dict[str, Path]:
        """What the paths of a root's images begin with -> the folder, its local copy where it is in a store.

        Nothing of an only root, its name and a slash of each of several.
        """
        if not self.given_roots:
            return {"": local_folder(self.given_root, self.cache_dir, "data.root") or self.default_root}
        keys = {name: f"data.roots[{name}]" for name in sorted(self.given_roots)}
        return {
            f"{name}/": folder
            for name, key in keys.items()
            if (folder := local_folder(self.given_roots[name], self.cache_dir, key))
        }

    @property
    def place(self) -> str:
        """Where the images lie, for a message."""
        return ", ".join(map(str, self.roots.values()))

    @property
    def words(self) -> list[str]:
        """What a command takes that is to look at the same images: the folder, or the keys that name more."""
        named = ", ".join(f"{prefix.rstrip('/')}: {root}" for prefix, root in self.roots.items())
        place = f"data.roots={{{named}}}" if self.given_roots else str(self.roots[""])
        chosen = self.layout.tables and self.wanted_classes  # folders have names, and an audit may see them all
        return [
            place,
            *self.layout.words,
            *([f"data.classes={json.dumps(self.wanted_classes, ensure_ascii=False)}"] if chosen else []),
            *([] if self.masks.given == AUTO else [f"data.masks={self.masks.given}"]),
        ]

    @cached_property
    def _all_listings(self) -> dict[str, Listing]:
        """The images of each root, of whatever view."""
        keys = {prefix: f"data.roots[{prefix.rstrip('/')}]" if prefix else "data.root" for prefix in self.roots}
        refuse_overlap(self.roots)
        if together := self.given_roots and self.layout.tables:
            listings = self.layout.listings(self.roots, self.wanted_classes)
        else:
            listings = {
                prefix: self.list_images(root, self.wanted_classes, keys[prefix]) for prefix, root in self.roots.items()
            }
        if self.layout.patient_pattern:
            refuse_unmatched(self.layout.patient_pattern, listings.values())
        return with_one_label(listings, self.wanted_classes) if self.given_roots and not together else listings

    @cached_property
    def _all_known(self) -> Metadata | None:
        file = local_file(None if self._no_table else self.given_metadata, self.cache_dir, "data.metadata")
        seek = not (self._no_table or self.layout.tables)  # which says itself what is known
        columns = self.layout.keys.columns
        if columns and seek and not (file or any(map(find_metadata, self.roots.values()))):
            raise UserError(
                f"data.columns={dict(columns)} is for a table, but there is none. Give data.table=FILE or "
                "data.metadata=FILE, or leave data.columns out."
            )
        return known_of(self._all_listings, file, self._columns, seek=seek, shared=bool(self.layout.tables))

    @property
    def _columns(self) -> Mapping[str, str] | None:
        """What the columns of metadata are called; with a table of labels the key is of its own columns."""
        return None if self.layout.tables else self.layout.keys.columns

    @property
    def _no_table(self) -> bool:
        return self.given_metadata == "none"

    @cached_property
    def listings(self) -> dict[str, Listing]:
        """The images of each root that take part, by what their paths begin with.

        Raises:
            UserError: Where a class is left without images.
        """
        found = self._all_listings
        if not self.wanted_views:
            return found
        kept = {
            prefix: self._viewing.choose(listing, prefix, self._all_known, self._headers[prefix])
            for prefix, listing in found.items()
        }
        refuse_lost(found.values(), kept.values(), self.wanted_views)
        return kept

    @cached_property
    def _viewing(self) -> Viewing:
        return Viewing(self.wanted_views, paths_in_split(self.split_file) if self.split_file else frozenset())

    @property
    def header_views(self) -> dict[str, str]:
        """The views of images of the roots that their own headers tell, and nothing else: path -> view."""
        return {prefix + path: view for prefix, own in self._headers.items() for path, view in own.items()}

    @cached_property
    def _headers(self) -> dict[str, dict[str, str]]:
        """The same by root; no header is read before somebody asks for views."""
        listed = self._all_listings.items()
        return {prefix: self._viewing.headers(listing, prefix, self._all_known) for prefix, listing in listed}

    @cached_property
    def folder(self) -> Labelled:
        """The images and classes of all roots."""
        if not self.given_roots:
            return self.listings[""]
        classes = next(iter(self.listings.values())).classes
        found = gather(self.listings, classes, {name: label for label, name in enumerate(classes)}.get)
        told = [*told_of_roots(self.listings), *found.known.told]
        return replace(found, known=replace(found.known, told=told))

    @cached_property
    def test_root(self) -> Path | None:
        """The separate folder of test images, if there is one; a test that the data give goes before one beside it."""
        given = local_folder(self.given_test_root, self.cache_dir, "data.test_root")
        found = given or (None if self.given_roots else folder_beside(self.roots[""]))
        if not found or "test" not in self.sides.values():
            return found
        if given:
            raise UserError(
                f"data.test_root={given} is a test, and {self.place} gives one too. Leave data.test_root out, or draw "
                "a split: data.use_split=false."
            )
        return None

    @cached_property
    def _all_tested(self) -> Listing | None:
        """The images of the test root, of whatever view."""
        root = self.test_root
        if root and any(root.resolve() == folder.resolve() for folder in self.roots.values()):
            raise UserError(f"data.test_root={root} is data.root itself: the test would be on the training images.")
        return self.list_images(root, self.classes, "data.test_root") if root else None

    @cached_property
    def _known_of_test(self) -> Metadata | None:
        """What the layout and a table in the test root tell of its images; that beside it is of the training."""
        listing = self._all_tested
        if listing is None:
            return None
        own = Metadata(listing.known.origin, listing.known.rows) if listing.known.rows else None
        file = listing.root / NAME
        beside = file.is_file() and not self._no_table
        table = read_metadata(file, listing.root, listing.paths, columns=self._columns) if beside else None
        known = merge_rows(own, table)
        return known and replace(known, rows={TEST_PREFIX + path: row for path, row in known.rows.items()})

    @cached_property
    def test_folder(self) -> Listing | None:
        """The images of the test root that take part, if there is one."""
        found, known = self._all_tested, self._known_of_test
        if not (found and self.wanted_views):
            return found
        headers = self._viewing.headers(found, TEST_PREFIX, known)
        return self._viewing.choose(found, TEST_PREFIX, known, headers)

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
        """What is known of patients, groups and sources, by the layouts, by tables and by the names of the roots."""
        known = merge_rows(self._all_known, self._known_of_test)
        apart = self.test_folder.paths if self.test_folder else []
        part = {*self.folder.paths, *(TEST_PREFIX + path for path in apart)}
        return known and replace(known, rows={path: row for path, row in known.rows.items() if path in part})

    @property
    def known(self) -> list[Known | Metadata]:
        """What layouts and tables tell of the images, each with its sentences."""
        tested = self.test_folder
        return [self.folder.known, *([self.metadata] if self.metadata else []), *([tested.known] if tested else [])]

    @property
    def sides(self) -> Mapping[str, str]:
        """The split that the data give, path -> "train", "val" or "test"; empty where one is drawn."""
        return self.folder.known.sides if self.use_split else {}

    @cached_property
    def split_file(self) -> Path | None:
        """The split to use, if one was given."""
        return local_file(self.given_split_file, self.cache_dir, "data.split_file")

    @property
    def units(self) -> list[dict[str, Path]]:
        """The roots, then the test root if there is one: what the paths of a root's images begin with -> the folder."""
        return [self.roots, *([{TEST_PREFIX: self.test_root}] if self.test_root else [])]

    def image_file(self, path: str) -> Path:
        """Return where the image ``path`` of a split lies, which may spell it otherwise than the disk.

        Raises:
            UserError: Where it is of none of the roots.
        """
        apart = self.test_root if path.startswith(TEST_PREFIX) else None
        folders = {TEST_PREFIX: apart} if apart else self.roots
        prefix = prefix_of(path, folders)
        if prefix not in folders:
            raise UserError(f"The image {path} is in none of the folders of data.roots, {sorted(folders)}.")
        return folders[prefix] / spelt_below(folders[prefix], [path.removeprefix(prefix)])[0]
