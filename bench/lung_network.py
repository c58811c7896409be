"""Make the network of `covidnet lungs`, and measure it on films of patients, and of sources, that it has not seen.

It learns from the masks of FOLDER/metadata.csv that `bench/lung_data.py` allows. Each training takes one core and some
minutes, and is kept in --work: the same command goes on where it ended, and several may share the work by --only.

python -m bench.lung_network FOLDER --work WORK                          # all: four folds, each source left out, final
python -m bench.lung_network FOLDER --work WORK --only final --out FILE  # the network itself, from all masks
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.stats import spearmanr

from bench.lung_data import COVID, Masked, allowed, read_mask, read_masked
from bench.lung_training import cycle, train
from covidnet.data.division.folds import deal_folds
from covidnet.errors import UserError
from covidnet.imaging.decode import open_radiograph, read, resize
from covidnet.inference.lung_masks import at_size, dice, lung_maps
from covidnet.lung_box import lung_box
from covidnet.models.lung_network import SIDE, LungNetwork, with_weights

FINAL, FOLD, WITHOUT = "final", "fold_", "without_"
FEW = 20  # a source of fewer films is in the training of all who test other sources, and no fold of its own
LINE = "{:<40} {:>6} {:>6} {:>7} {:>8} {:>7} {:>7} {:>7}".format
WHAT = ("dice", "quality", "box")
HEADS = ("masks", "films", "Dice", "5th pct.", "least", "box", "rank")


@dataclass(frozen=True)
class Judged:
    """A mask, and how well another names its pixels."""

    one: Masked
    dice: float
    quality: float
    box: float  # the Dice of the central box


def main() -> None:
    """Train what is not trained yet, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="metadata.csv, images/ and masks/")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps each training")
    parser.add_argument("--only", nargs="+", help="these trainings, such as fold_1, without_sirm or final")
    parser.add_argument("--out", type=Path, help="copy the final network there")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--steps", type=int, nargs="+", default=[600, 700], help="of each cycle of a training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", type=Path, help="folder of CLASS/SOURCE__NAME: tells more films of COVID")
    parser.add_argument("--other", type=Path, help="folder with images/ and masks/ of others, for the final network")
    args = parser.parse_args()
    torch.set_num_threads(1)  # so that the numbers do not hang on the machine's cores
    masked = read_masked(args.folder)
    own = [one for one in masked if allowed(one.row)]
    held = {**folds(own, args.folds, args.seed), **sources_out(own), FINAL: set[int]()}
    args.work.mkdir(parents=True, exist_ok=True)
    files = {name: args.work / f"{name}.{len(args.steps)}.safetensors" for name in args.only or held}
    for name in files:
        if name not in held:
            raise SystemExit(f"--only {name}: there are {', '.join(held)}.")
        seen = {own[number].group for number in held[name]}  # by patient, and by what the films show
        teach([one for one in own if one.group not in seen], args.work, name, args.steps, args.seed)
    report(own, files, held, names_of_class(args.classes))
    if FINAL in files:
        others = [one for one in masked if one.row["convention"] != own[0].row["convention"]]
        tell_final(own, others, read_other(args.other), files[FINAL])
        if args.out:
            args.out.write_bytes(files[FINAL].read_bytes())


def teach(learned: Sequence[Masked], work: Path, name: str, steps: Sequence[int], seed: int) -> None:
    """Train by cycles, each of which goes on from the weights of the one before; what is there already stays."""
    before: Path | None = None
    for number, count in enumerate(steps):
        file = work / f"{name}.{number + 1}.safetensors"
        if not file.is_file():
            network = with_weights(before) if before else None
            told = f"{name}, {len(learned)} masks, cycle {number + 1},"
            going_on = file.with_suffix(".going_on")
            save(train(learned, cycle(number, count), seed + number, going_on, network, told), file)
        before = file


def folds(own: Sequence[Masked], k: int, seed: int) -> dict[str, set[int]]:
    """Return the masks that each fold holds out, by number: no patient in two folds, the sources alike in all."""
    sources = sources_of(own)
    labels = [sources.index(one.source) if one.source in sources else 0 for one in own]
    paths, groups = [one.row["mask"] for one in own], [one.group for one in own]
    dealt = deal_folds(paths, labels, groups, sources, k=k, seed=seed, val_fraction=0.2)
    return {
        f"{FOLD}{fold}": {number for number, other in enumerate(dealt.numbers) if other == fold}
        for fold in range(1, k + 1)
    }


def sources_out(own: Sequence[Masked]) -> dict[str, set[int]]:
    """Return the masks of each source that is large enough, by number."""
    return {
        f"{WITHOUT}{source}": {number for number, one in enumerate(own) if one.source == source}
        for source in sources_of(own)
    }


def sources_of(own: Sequence[Masked]) -> list[str]:
    """Return the sources of more than a few films."""
    films = {source: {one.film for one in own if one.source == source} for source in {o.source for o in own}}
    return sorted(source for source, numbers in films.items() if len(numbers) >= FEW)


def save(network: LungNetwork, file: Path) -> None:
    """Write the weights in half precision, which moves no mask by more than a pixel here and there."""
    state = network.state_dict()
    save_file({name: value.half().contiguous() for name, value in state.items() if value.is_floating_point()}, file)


def judge(masked: Sequence[Masked], file: Path) -> list[Judged]:
    """Return how well a network names the pixels of each mask, at the mask's own size."""
    maps, quality = lung_maps(np.stack([one.pixels for one in masked]), with_weights(file))
    return [
        Judged(one, dice(at_size(found, *one.mask.shape[::-1]), one.mask), sure, dice(box_of(one.mask), one.mask))
        for one, found, sure in zip(masked, maps, quality.tolist(), strict=True)
    ]


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the central box that stands for the lungs where no mask is, of a mask's size."""
    box = np.zeros_like(mask)
    top, bottom, left, right = lung_box(*mask.shape)
    box[top:bottom, left:right] = True
    return box


def report(own: Sequence[Masked], files: Mapping[str, Path], held: Mapping[str, set[int]], covid: set[str]) -> None:
    """Print the tables of what folds, and left-out sources, say of masks that they had not seen."""
    for title, begins in (("folds by patient", FOLD), ("each source left out", WITHOUT)):
        found: list[Judged] = []
        if not any(name.startswith(begins) for name in files):
            continue
        print(f"\n{title}")
        print(LINE("", *HEADS))
        for name in (name for name in files if name.startswith(begins)):
            part = judge([own[number] for number in sorted(held[name])], files[name])
            tell(f"  {name}", part)
            found += part
        tell("all", found)
        tell("  films of COVID", [one for one in found if is_covid(one.one, covid)])
        tell("  other films, and unknown", [one for one in found if not is_covid(one.one, covid)])
        for column in ("source", "view"):
            for value in sorted({one.one.row[column] for one in found}):
                tell(f"  {column} {value}", [one for one in found if one.one.row[column] == value])
        for limit in (0.6, 0.7, 0.8, 0.85, 0.9):
            tell(f"  quality below {limit}", [one for one in found if one.quality < limit])


def tell(name: str, found: Sequence[Judged]) -> None:
    """Print a row: what is said of films, each once, and the rank correlation between Dice and quality.

    A film that has several masks, or lies there in several files, has the mean of its masks' numbers.
    """
    if not found:
        return
    films: dict[int, list[Judged]] = {}
    for one in found:
        films.setdefault(one.one.film, []).append(one)
    rows = [[np.mean([getattr(one, what) for one in own]) for what in WHAT] for own in films.values()]
    values, quality, box = np.array(rows).T
    rank = spearmanr(values, quality).statistic if len(films) > 2 else np.nan
    shown = (values.mean(), np.percentile(values, 5), values.min(), box.mean(), rank)
    print(LINE(name, len(found), len(films), *(f"{value:.3f}" for value in shown)), flush=True)


def tell_final(own: Sequence[Masked], others: Sequence[Masked], more: Sequence[Masked], file: Path) -> None:
    """Print what the final network says of masks of other makers, and how far two people's masks are alike."""
    print("\nthe final network")
    print(LINE("", *HEADS))
    tell("masks that it has learned from", judge(own, file))
    for source in sorted({one.source for one in others}):
        tell(f"lungs without the region: {source}", judge([one for one in others if one.source == source], file))
    if more:
        tell("masks of --other", judge(more, file))
    by_image: dict[str, list[Masked]] = {}
    for one in own:
        by_image.setdefault(one.row["image"], []).append(one)
    pairs = [dice(two[0].mask, two[1].mask) for two in by_image.values() if len(two) == 2]
    low = np.percentile(pairs, 5)
    print(f"two makers' masks of {len(pairs)} films: Dice {np.mean(pairs):.3f}, 5th percentile {low:.3f}")


def is_covid(one: Masked, covid: set[str]) -> bool:
    """Tell a film that lies, under whatever name, in a folder of COVID elsewhere."""
    return COVID in one.row["also_in_training"] or Path(one.row["image"]).stem in covid


def names_of_class(folder: Path | None) -> set[str]:
    """Return the names, without ending and source, of the films of COVID in a folder by class."""
    return {file.stem.partition("__")[2] for file in folder.glob("COVID/*")} if folder else set()


def read_other(folder: Path | None) -> list[Masked]:
    """Return the masks of a folder that tells nothing of them: images/NAME beside masks/NAME."""
    names = sorted(file.name for file in (folder / "masks").iterdir()) if folder else []
    found = []
    for number, name in enumerate(names):
        pixels = resize(open_radiograph(read(folder / "images" / name)).image.convert("L"), SIDE)[0]
        row = {"image": name, "mask": name, "image_source": str(folder), "also_in_training": ""}
        found.append(Masked(row, pixels, read_mask(folder / "masks" / name), number, number))
    return found


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
