"""How many copies that were altered before upload are linked to the radiograph that they show, by what was done to it.

Of each kind, so many images of a folder are altered and laid beside all of its images; a copy is found where its pair
is linked. Half of the folder's images and some of the kinds are kept back: the search was adjusted by the others alone.

python -m bench.copies --data FOLDER
python -m bench.copies --data FOLDER --half tuning
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.altered import KINDS
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.metadata import linked_groups
from covidnet.data.radiographs import Radiographs
from covidnet.imaging.decode import open_radiograph, read, thumbnail

LINE = "{:<40} {:>9} {:>8} {:>14}".format
HALVES = ("tuning", "checking")


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of radiographs by class")
    parser.add_argument("--copies", type=int, default=120, help="images of each kind")
    parser.add_argument("--half", choices=HALVES, default="checking", help="of the folder's images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose names hold this")
    args = parser.parse_args()
    data = Radiographs(args.data, metadata="none")
    thumbnails, paths = data.images.thumbnails, data.images.paths
    order = np.random.default_rng(args.seed).permutation(len(paths))
    middle = len(order) // 2
    chosen = (order[:middle] if args.half == HALVES[0] else order[middle:])[: args.copies]
    started = time.perf_counter()
    own = find_duplicates(thumbnails)
    seconds = time.perf_counter() - started
    groups = np.array(linked_groups(paths, {}, own.pairs))
    print(f"{len(paths):,} images, {len(own.pairs)} pairs among them ({own.told() or 'none altered'}), {seconds:.2f} s")
    print(f"{len(chosen)} copies a kind, of images for {args.half}, seed {args.seed}")
    print(LINE("kind", "adjusted", "found", "other links"))
    originals = [open_radiograph(read(Path(data.image_file(paths[number])))).image.convert("L") for number in chosen]
    rng = np.random.default_rng(args.seed)
    for kind in [kind for kind in KINDS if args.only in kind.name]:
        altered = np.stack([thumbnail(kind.change(image, rng)) for image in originals])
        found, wrong = _found(thumbnails, altered, chosen, groups)
        print(LINE(kind.name, "by it" if kind.tuned else "", found, wrong or "-"), flush=True)


def _found(
    thumbnails: NDArray[np.uint8], altered: NDArray[np.uint8], chosen: NDArray[np.int64], groups: NDArray[np.int64]
) -> tuple[int, int]:
    """Return how many copies are linked to their original, and how many are to what shows another radiograph."""
    pairs = find_duplicates(np.concatenate([thumbnails, altered])).pairs
    of = np.concatenate([groups, groups[chosen]])  # which radiograph each shows
    right = (of[pairs[:, 0]] == of[pairs[:, 1]]) & (pairs[:, 1] >= len(thumbnails))
    wrong = (of[pairs[:, 0]] != of[pairs[:, 1]]) & (pairs[:, 1] >= len(thumbnails))
    return len(np.unique(pairs[right, 1])), int(wrong.sum())


if __name__ == "__main__":
    main()
