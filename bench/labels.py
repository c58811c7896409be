"""How many wrong labels `covidnet labels` finds, where it is known which labels are wrong.

python -m bench.labels --seeds 0 1 2 3 4

Phantoms are drawn, some are moved at random into the folder of another class, and the real commands look for them:
`crossval k=5`, then `labels`. Told is the share of the moved images among the most doubtful ones. With `--folder` what
is there goes on.
"""

import argparse
import csv
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from bench.seeds import each_seed
from covidnet.commands.main import main as command
from covidnet.commands.train import main as train
from covidnet.data.phantom import CLASSES
from covidnet.data.phantoms import write_phantoms
from covidnet.files.reading import read_table

MOVED = "moved.csv"
QUICK = ("trainer=cpu", "data.batch_size=32", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false")


def draw(folder: Path, seed: int, share: float, per_class: int | None) -> Path:
    """Draw phantoms and move a share of them; return their root, beside which ``moved.csv`` names the moved ones."""
    root, file = folder / "xrays", folder / MOVED
    if file.is_file():
        return root
    shutil.rmtree(root, ignore_errors=True)  # of a try that was ended
    counts = dict.fromkeys(CLASSES, per_class) if per_class else None
    shutil.copytree(write_phantoms(folder.parent / f"phantoms-{per_class or 'all'}", counts), root)
    (root / "metadata.csv").unlink()  # which names the images where they were
    images = sorted(path for name in CLASSES for path in (root / name).glob("*.png"))
    rng = np.random.default_rng(seed)
    moved = []
    for number in rng.choice(len(images), round(share * len(images)), replace=False):
        source = images[number]
        target = root / rng.choice([name for name in CLASSES if name != source.parent.name]) / source.name
        moved.append([target.relative_to(root).as_posix(), source.parent.name])
        source.rename(target)
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows([["path", "label"], *sorted(moved)])
    return root


def measure(folder: Path, seed: int, given: argparse.Namespace) -> dict[str, float]:
    """Return which share of the moved images is found among the most doubtful ones that are looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    root = draw(folder.absolute(), seed, given.share, given.per_class)
    os.chdir(folder)
    if not Path("runs/convnet/crossval_0/predictions.csv").is_file():
        train(["crossval", "k=5", f"data.root={root}", "report=false", *QUICK, *given.options])
    command(["labels", "runs/convnet/crossval_0", "--top", "5"])
    moved = {row["path"]: row["label"] for row in read_table(Path(MOVED))[1]}
    rows = read_table(Path("runs/convnet/crossval_0/labels.csv"))[1]
    first = {row["path"]: row["suggested"] for row in rows[: round(given.looked * len(rows))]}
    found = moved.keys() & first.keys()
    return {
        "images": len(rows),
        "moved": len(moved),
        "looked at": len(first),
        "found": len(found) / len(moved),
        "put right": sum(first[path] == moved[path] for path in found) / len(moved),
        "suspects": sum(row["suspect"] == "yes" for row in rows),
        "suspects moved": sum(row["suspect"] == "yes" for row in rows if row["path"] in moved),
        "accuracy": sum(max(CLASSES, key=lambda name: float(row[f"prob_{name}"])) == row["label"] for row in rows)
        / len(rows),
    }


def main() -> None:
    """Measure and print, a line a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of which images are moved")
    parser.add_argument("--share", type=float, default=0.05, help="of the images that are moved")
    parser.add_argument("--looked", type=float, default=0.07, help="share of the images that are looked at")
    parser.add_argument("--per-class", type=int, metavar="N", help="so many images a class; the set's own if left out")
    parser.add_argument("--folder", type=Path, help="where to work; a folder that goes where left out")
    parser.add_argument("options", nargs="*", help="keys of the training")
    given = parser.parse_args()
    found = each_seed(given.seeds, given.folder, partial(measure, given=given))
    print(f"found, mean over seeds: {np.mean([line['found'] for line in found]):.3f}")


if __name__ == "__main__":
    main()
