"""Which layout a folder has, and its listing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from covidnet.data.division.names import name_patients
from covidnet.data.listing import Listed, Listing, apart
from covidnet.data.local import local_file
from covidnet.data.roots import KEY as ROOTS
from covidnet.data.roots import refuse_empty
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.listing import TableListing


@dataclass(frozen=True)
class Layout:
    """How the images of a root are listed: all that the keys of a data module say of it.

    Attributes:
        table: The table of labels as it was typed; None where folders tell the classes.
        keys: How a table is read.
        cache_dir: Where a table out of a store is copied to.
        whole: Whether a root holds all classes, two or more; one of several roots may lack some.
        patient_pattern: A regular expression whose one group is the patient in a path; None where names tell none.
        patient_across_classes: Whether one name in two classes is one patient.
    """

    table: str | None = None
    keys: TableKeys = field(default_factory=TableKeys)
    cache_dir: Path | None = None
    whole: bool = True
    patient_pattern: str | None = None
    patient_across_classes: bool = False

    @property
    def words(self) -> list[str]:
        """What a command takes that is to list a folder so: the keys that differ from those of a plain one."""
        plain, own = (
            {
                "table": layout.table,
                **vars(layout.keys),
                "patient_pattern": layout.patient_pattern,
                "patient_across_classes": layout.patient_across_classes,
            }
            for layout in (Layout(), self)
        )
        changed = {key: value for key, value in own.items() if value != plain[key]}
        return [
            f"data.{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            for key, value in changed.items()
        ]

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
        if self.table and key != "data.test_root":
            return self._by_table({"": root}, classes, key)[""]
        return self._folders(root, classes, key)

    def _by_table(self, roots: Mapping[str, Path], classes: Sequence[str] | None, key: str) -> dict[str, Listed]:
        table = local_file(self.table, self.cache_dir, "data.table")
        assert table is not None
        return apart(TableListing(roots, table, self.keys, classes, key), roots)

    def _folders(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        # What only predicts lists nothing, and needs no torchvision.
        from covidnet.data.folder import RadiographFolder
        from covidnet.data.split_folders import find_split_folders, list_split_folders

        if folders := find_split_folders(root, classes):
            return list_split_folders(root, folders, classes, key, whole=self.whole)
        return RadiographFolder(root, classes, key, whole=self.whole)
