"""Where the lungs of images lie, by one rule for all that asks: mask files for all, or the central box for all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from covidnet.data.changes.lungs import MASK_LEVEL, mask_paths
from covidnet.data.division.split import prefix_of
from covidnet.data.local import check_places, local_folder
from covidnet.data.mask_names import possible_names
from covidnet.data.spelling import one_name
from covidnet.data.typed import AUTO, BOX, refuse_no_masks
from covidnet.data.walk import is_folder, names_in, spelt_below, told_by_reason
from covidnet.errors import UserError, some
from covidnet.imaging.decode import decode, read
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.machine.parallel import cores, parallel_map

FEW = 64  # so few masks are decoded sooner than worker processes start
BETWEEN = (32, 223)  # greys between black and white; a mask has few, a radiograph has little else
Listed = Mapping[str, tuple[Path, Sequence[str]]]  # what the paths of a root's images begin with -> folder, images
Found = dict[str, tuple[Path, list[str]]]  # the same of the masks, one an image


class LungMasks:
    """What says where the lungs lie.

    Args:
        given: "auto": the masks beside the images where every image has one, else the central box; "box": the box; or
            a folder of masks, one for each image. Empty is "auto", as other keys that are left empty are left out.
        cache_dir: Where the copy of a folder in a store is kept.
        key: The setting that gave it, for messages.
    """

    def __init__(self, given: str = AUTO, cache_dir: Path | None = None, key: str = "data.masks") -> None:
        check_places({"masks": given})
        self.given, self.cache_dir, self.key = given or AUTO, cache_dir, key

    @property
    def named(self) -> bool:
        """Whether a folder is named: then each image must have its mask there."""
        return self.given not in (AUTO, BOX)

    @cached_property
    def folder(self) -> Path:
        """The folder that is named, on this machine.

        Raises:
            UserError: Where it is none.
        """
        refuse_no_masks(self.given, self.key)
        found = local_folder(self.given, self.cache_dir, self.key)
        assert found is not None, "a folder is named"
        return found

    def told(self, masked: bool) -> str:
        """Return the rule that stood, in words; ``masked``: masks were found."""
        if self.named:
            return f"by mask files of {self.given}"
        return "by the mask files beside the images" if masked else "by the central box"

    def of(self, listed: Listed) -> Found:
        """Return the mask of each image of roots that stand together; nothing where the box stands for all lungs.

        In a named folder the mask of ``X/NAME.jpg`` is ``X/NAME.jpg.png``, ``X/NAME.png`` or the name with another
        ending of images, in any letter case and spelling; those of one of several roots lie in a folder of its name,
        those of a test root in ``test``.

        Raises:
            UserError: Where a folder is named, and the mask of an image is not there, stands for two, or is the image.
        """
        if self.given == BOX:
            return {}
        if not self.named:
            beside = {prefix: (root, mask_paths(root, paths)) for prefix, (root, paths) in listed.items()}
            return beside if all(len(beside[prefix][1]) == len(paths) for prefix, (_, paths) in listed.items()) else {}
        found: Found = {}
        missing: dict[str, list[str]] = {}  # folder in the named one -> images
        for prefix, (root, paths) in listed.items():
            name = prefix.rstrip("/:")
            below = self.folder / (_Names(self.folder).find(name) or name) if name else self.folder
            if below.resolve() == root.resolve():
                raise UserError(
                    f"{self.key}={self.given} is the folder of the images themselves. Give the folder of their masks; "
                    f"those that lie beside the images are taken by {self.key}=auto."
                )
            masks = _named_masks(below, paths)
            if lacking := [prefix + path for path, mask in zip(paths, masks, strict=True) if mask is None]:
                missing[f"{self.given.rstrip('/')}/{name}" if name else self.given] = lacking
            found[prefix] = below, [mask for mask in masks if mask is not None]
        if missing:
            total = sum(len(paths) for _, paths in listed.values())
            images = [image for lacking in missing.values() for image in lacking]
            raise UserError(
                f"{self.key}={self.given} lacks the masks of {len(images):,} of {total:,} images: "
                f"{some(images, 3, ', ')}. The mask of X/NAME.jpg is sought as X/NAME.png in {' or '.join(missing)}; "
                f"covidnet lungs writes one for each image of a folder. Or give {self.key}=box: the central box then "
                "stands for the lungs of all images."
            )
        for below, masks_there in found.values():
            _refuse_shared(below, masks_there)
        return found

    def of_split(self, units: Sequence[Mapping[str, Path]], paths: Sequence[str]) -> dict[str, Path]:
        """Return the mask file of each image of a split, by its path there; none for those of a unit under the box.

        Args:
            units: The roots of the training, then the test root: what the paths of a root's images begin with -> its
                folder. The roots of a unit stand together.
            paths: The images.

        Raises:
            UserError: As ``of``.
        """
        prefixes = [prefix for unit in units for prefix in unit]
        own: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
        for path in paths:
            prefix = prefix_of(path, prefixes)
            own.setdefault(prefix, []).append(path.removeprefix(prefix))
        masks: dict[str, Path] = {}
        for unit in units:
            found = self.of({prefix: (root, spelt_below(root, own[prefix])) for prefix, root in unit.items()})
            for prefix, (folder, names) in found.items():
                masks |= {prefix + path: folder / name for path, name in zip(own[prefix], names, strict=True)}
        return masks

    def regions(self, files: Sequence[Path], size: int) -> NDArray[np.bool_] | None:
        """Return where the lungs lie (N, S, S) by mask files, decoded on all cores; None where one cannot be read.

        Raises:
            UserError: Where one of a named folder cannot be read, or is no mask.
        """
        work = partial(_greys, size=size)
        found = list(parallel_map(work, files, processes=1 if len(files) < FEW else cores()))
        unreadable = {str(file): one for file, one in zip(files, found, strict=True) if isinstance(one, str)}
        self.refuse_unreadable(unreadable)
        if unreadable:
            return None
        greys = np.stack([one for one in found if not isinstance(one, str)])
        self.refuse_no_lungs([*map(str, files)], greys)
        return np.asarray(greys > MASK_LEVEL)

    def refuse_unreadable(self, unreadable: Mapping[str, str]) -> None:
        """Refuse files of a named folder that cannot be read, path -> reason; one beside an image is none then.

        Raises:
            UserError: Naming the first ones.
        """
        if unreadable and self.named:
            told = told_by_reason([*unreadable.items()], "; ")
            raise UserError(f"{len(unreadable):,} masks of {self.key}={self.given} cannot be read: {told}. Mend them.")

    def refuse_no_lungs(self, paths: Sequence[str], thumbnails: NDArray[np.uint8]) -> None:
        """Refuse files of a named folder that show no lung, nothing but lung, or are radiographs.

        Args:
            paths: Of the masks.
            thumbnails: Of each, (N, T, T).

        Raises:
            UserError: Naming the first ones.
        """
        if not self.named:
            return
        grey = (thumbnails > BETWEEN[0]) & (thumbnails < BETWEEN[1])
        lungs = thumbnails > MASK_LEVEL
        for wrong, told in (
            (~lungs.any(axis=(1, 2)), f"show no lung, which is what is lighter than {MASK_LEVEL}"),
            ((thumbnails >= BETWEEN[1]).all(axis=(1, 2)), "show nothing but lung, which is what is white"),
            (grey.mean(axis=(1, 2)) > 0.5, "are no masks, black and white, but pictures of many greys"),
        ):
            if wrong.any():
                names = some([paths[number] for number in np.flatnonzero(wrong).tolist()], 3, ", ")
                raise UserError(
                    f"{wrong.sum():,} of {len(paths):,} files of {self.key}={self.given} {told}: {names}. A mask is "
                    "white (255) in the lungs and black elsewhere. Save them so, or take images without lungs out."
                )


def _greys(mask: Path, size: int) -> NDArray[np.uint8] | str:
    """Return a mask (S, S), or why it cannot be read."""
    try:
        return np.asarray(decode(read(mask), size, "nearest").max(axis=0))
    except UnreadableImageError as error:
        return str(error)


class _Names:
    """Names in a folder, each of which is found in any letter case and spelling, where only one fits."""

    def __init__(self, folder: Path) -> None:
        self._alike: dict[str, list[str]] = {}
        for name in names_in(folder) if is_folder(folder) else ():
            self._alike.setdefault(one_name(name).casefold(), []).append(name)

    def find(self, name: str) -> str | None:
        alike = self._alike.get(one_name(name).casefold(), [])
        return name if name in alike else alike[0] if len(alike) == 1 else None


def _named_masks(folder: Path, paths: Sequence[str]) -> list[str | None]:
    """Return the mask of each image among the files of a folder, by the names of the images."""
    names: dict[PurePosixPath, _Names] = {}
    folders: dict[PurePosixPath, PurePosixPath | None] = {PurePosixPath(): PurePosixPath()}

    def names_of(below: PurePosixPath) -> _Names:
        if below not in names:
            names[below] = _Names(folder / below)
        return names[below]

    def spelt(given: PurePosixPath) -> PurePosixPath | None:
        """Return a folder below the folder as the disk writes it."""
        if given not in folders:
            above = spelt(given.parent)
            own = None if above is None else names_of(above).find(given.name)
            folders[given] = None if above is None or own is None else above / own
        return folders[given]

    def found(path: PurePosixPath) -> str | None:
        below = spelt(path.parent)
        if below is None:
            return None
        there = names_of(below)
        name = next(filter(None, map(there.find, possible_names(path.name))), None)
        return name and (below / name).as_posix()

    return [found(PurePosixPath(path)) for path in paths]


def _refuse_shared(folder: Path, masks: Sequence[str]) -> None:
    """Refuse one mask for two images, as of NAME.jpg and NAME.png."""
    shared = [name for name, times in Counter(masks).items() if times > 1]
    if shared:
        raise UserError(
            f"{len(shared):,} masks in {folder} are each of several images, by their names: {some(shared, 3, ', ')}. "
            "Call the masks as the whole name of each image with .png behind it: NAME.jpg.png."
        )
