"""Folders of a split above those of the classes, as in ``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from covidnet.data.folder import RadiographFolder
from covidnet.data.listing import Listed, gather
from covidnet.data.spelling import composed, plain
from covidnet.data.walk import holds_no_images, is_folder, is_junk, names_in, pictures_in, side_folders


def find_split_folders(root: Path, classes: Sequence[str] | None) -> dict[str, str]:
    """Return the folders of a root that are named like splits, name -> split; none without one of training images.

    Where all ``classes`` that were asked for are folders of the root, these are read and no split.
    """
    if not is_folder(root) or (classes and set(map(composed, classes)) <= set(_folder_names(root))):
        return {}
    found = side_folders(root)
    return found if "train" in found.values() else {}


def list_split_folders(
    root: Path, folders: dict[str, str], classes: Sequence[str] | None, key: str, *, whole: bool
) -> Listed:
    """List the images of all split folders; the classes are those of the training images.

    Args:
        root: The folder above.
        folders: Its split folders, name -> split.
        classes: Those wanted, in the order of their labels, or None for all.
        key: The setting that gave the root, as an error names it.
        whole: As for ``RadiographFolder``, of the training images.
    """
    trained = {
        name: RadiographFolder(root / name, classes, key, whole=whole)
        for name, side in folders.items()
        if side == "train"
    }
    others = {
        name: RadiographFolder(root / name, _folder_names(root / name), key, whole=False)
        for name in folders
        if name not in trained
    }
    names = [*map(composed, classes)] if classes else sorted({one for part in trained.values() for one in part.classes})
    labels = {name: label for label, name in enumerate(names)}
    spelt = {plain(name): label for name, label in labels.items()}
    parts = {f"{name}/": (trained | others)[name] for name in folders}
    found = gather(parts, names, lambda name: labels.get(name, spelt.get(plain(name))))
    sides = {path: folders[path.partition("/")[0]] for path in found.paths}
    learned = set(spelt) if classes is None else None
    told = [line for name, part in others.items() for line in _told(root / name, part, learned)]
    ignored = [*found.ignored, *_beside(root, folders)]
    known = replace(found.known, sides=sides, told=[*found.known.told, *told])
    return replace(found, ignored=ignored, known=known).below(root)


def _folder_names(folder: Path) -> list[str]:
    """Return what the folders in a folder are called that may be classes, composed."""
    names = (name for name in names_in(folder) if not holds_no_images(name) and is_folder(folder / name))
    return sorted({composed(name) for name in names})


def _told(folder: Path, part: RadiographFolder, learned: set[str] | None) -> list[str]:
    """Return what of a part has no class of the training images, a sentence each; None where the user chose these."""
    lines = []
    if learned is not None:
        lines += [
            f"{folder} has the class {name!r}, which the training images lack: its {count:,} images are left out."
            for name, count in part.class_counts.items()
            if count and plain(name) not in learned
        ]
    loose = sum(1 for _ in pictures_in(folder, names_in(folder)))
    if loose:
        lines.append(f"{folder} holds {loose:,} images in no class folder: they have no label and are left out.")
    return lines


def _beside(root: Path, folders: dict[str, str]) -> list[tuple[str, str]]:
    """Return the folders and images beside the folders of the split, and why they are left out."""
    names = sorted(name for name in names_in(root) if name not in folders and not is_junk(name))
    again = "holds split folders again, such as a copy of these, and is not read"
    reasons = {True: again, False: "lies beside the split folders, which alone are read"}
    loose = [(path.name, "lies beside the split folders, in no class") for path in pictures_in(root, names)]
    found = [(name, reasons[bool(side_folders(root / name))]) for name in names if is_folder(root / name)]
    return [*found, *loose]
