"""Which layout a folder has, and its listing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covidnet.data.division.names import name_patients
from covidnet.data.listing import Listing


@dataclass(frozen=True)
class Layout:
    """How the images of a root are listed: all that the keys of a data module say of it.

    Attributes:
        whole: Whether a root holds all classes, two or more; one of several roots may lack some.
        patient_pattern: A regular expression whose one group is the patient in a path; None where names tell none.
        patient_across_classes: Whether one name in two classes is one patient.
    """

    whole: bool = True
    patient_pattern: str | None = None
    patient_across_classes: bool = False

    def listing(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine.

        Args:
            root: The folder.
            classes: Those wanted, in the order of their labels, or None for all.
            key: The setting that gave the folder, as an error names it.

        Raises:
            UserError: Where there is nothing to learn from.
        """
        listing = self._folders(root, classes, key)
        if self.patient_pattern:
            return name_patients(listing, self.patient_pattern, across=self.patient_across_classes)
        return listing

    def _folders(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        # What only predicts lists nothing, and needs no torchvision.
        from covidnet.data.folder import RadiographFolder
        from covidnet.data.split_folders import find_split_folders, list_split_folders

        if folders := find_split_folders(root, classes):
            return list_split_folders(root, folders, classes, key, whole=self.whole)
        return RadiographFolder(root, classes, key, whole=self.whole)
