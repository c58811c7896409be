"""Which layout a folder has, and its listing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from covidnet.data.division.names import name_patients
from covidnet.data.division.split_lists import follow_lists
from covidnet.data.given_files import find_given, is_below_root
from covidnet.data.listing import Listed, Listing, apart
from covidnet.data.roots import KEY as ROOTS
from covidnet.data.roots import refuse_empty
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.listing import TableListing
from covidnet.errors import UserError

TEST_ROOT = "data.test_root"  # the images of which lie in folders by class


@dataclass(frozen=True)
class Layout:
    """How the images of a root are listed: all that the keys of a data module say of it.

    Attributes:
        tables: The tables of labels as they were typed -> the side of the split that each stands for, "" for none;
            empty where folders tell the classes.
        keys: How a table is read.
        split_lists: The lists of names of images as they were typed -> side of the split.
        cache_dir: Where a table out of a store is copied to.
        whole: Whether a root holds all classes, two or more; one of several roots may lack some.
        patient_pattern: A regular expression whose one group is the patient in a path; None where names tell none.
        patient_across_classes: Whether one name in two classes is one patient.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    keys: TableKeys = field(default_factory=TableKeys)
    split_lists: Mapping[str, str] = field(default_factory=dict)
    cache_dir: Path | None = None
    whole: bool = True
    patient_pattern: str | None = None
    patient_across_classes: bool = False

    @property
    def words(self) -> list[str]:
        """The keys that list a root so, as they are typed."""
        values = {
            "table": _typed(self.tables),
            **{key: value for key, value in asdict(self.keys).items() if value != getattr(TableKeys(), key)},
            "split_lists": _typed(self.split_lists),
            "patient_pattern": self.patient_pattern,
            "patient_across_classes": self.patient_across_classes,
        }
        texts = {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in values.items()
            if value
        }
        return [f"data.{key}={text}" for key, text in texts.items()]

    def listing(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine; a table is that of ``data.root``, other roots have classes.

        Args:
            root: The folder.
            classes: Those wanted, in the order of their labels, or None for all.
            key: The setting that gave the folder, as an error names it.

        Raises:
            UserError: Where there is nothing to learn from.
        """
        listing = self._listed(root, classes, key)
        if self.split_lists and key != TEST_ROOT:
            listing = follow_lists(listing, self._files(self.split_lists, root, "data.split_lists"), key)
        if self.patient_pattern:
            return name_patients(listing, self.patient_pattern, across=self.patient_across_classes)
        return listing

    def listings(self, roots: Mapping[str, Path], classes: Sequence[str] | None) -> dict[str, Listing]:
        """List the images of several folders whose classes one table tells, by what their paths begin with.

        Raises:
            UserError: Where there is nothing to learn from.
        """
        found: dict[str, Listing] = {**self._by_table(roots, classes, ROOTS)}
        refuse_empty(found, classes, "the table must give some of its images a class")
        if pattern := self.patient_pattern:
            across = self.patient_across_classes
            return {
                prefix: name_patients(part, pattern, across=across, within=prefix) for prefix, part in found.items()
            }
        return found

    def _listed(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        if self.tables and key != TEST_ROOT:
            return self._by_table({"": root}, classes, key)[""]
        return self._folders(root, classes, key)

    def _by_table(self, roots: Mapping[str, Path], classes: Sequence[str] | None, key: str) -> dict[str, Listed]:
        if len(roots) > 1 and (sought := next(filter(is_below_root, self.tables), None)):
            raise UserError(
                f"data.table={sought} is sought in data.root, but {key} names several. Give data.table=FILE."
            )
        files = self._files(self.tables, next(iter(roots.values())), "data.table")
        return apart(TableListing(roots, files, self.keys, classes, key), roots)

    def _files(self, typed: Mapping[str, str], root: Path, key: str) -> dict[Path, str]:
        return {find_given(file, root, self.cache_dir, key): side for file, side in typed.items()}

    def _folders(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        # What only predicts lists nothing, and needs no torchvision.
        from covidnet.data.folder import RadiographFolder
        from covidnet.data.split_folders import find_split_folders, list_split_folders

        if folders := find_split_folders(root, classes):
            return list_split_folders(root, folders, classes, key, whole=self.whole)
        return RadiographFolder(root, classes, key, whole=self.whole)


def _typed(files: Mapping[str, str]) -> str | list[str] | dict[str, list[str]]:
    """Return files by their side as a key takes them."""
    if not any(files.values()):
        return next(iter(files)) if len(files) == 1 else list(files)
    return {side: [file for file, one in files.items() if one == side] for side in dict.fromkeys(files.values())}
