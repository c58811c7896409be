"""What `covidnet rebalance` lifts, where a marker agrees with the class in most training images.

python -m bench.rebalance --seeds 0 1 2

A model is trained on phantoms whose marker names the class in 95 % of the training images, and rebalanced. In the test,
which is drawn apart, the marker tells nothing. Told is the recall of its images by whether their marker agrees with
their class, the mean over classes, before and after. With `--folder` what is there goes on.
"""

import argparse
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.seeds import each_seed
from covidnet.commands.main import main as command
from covidnet.commands.train import main as train
from covidnet.data.phantom import CLASSES, CORNERS

RUN, NEW = (Path("runs", "convnet", f"version_{number}") for number in range(2))
QUICK = ("trainer=cpu", "report=false", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false")
SIDES = ("first", "second")


def measure(folder: Path, seed: int, shortcut: float, options: Sequence[str]) -> dict[str, float]:
    """Train and rebalance below ``folder`` unless that is done; return the recalls in percent, and the strength."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    if not (RUN / "results.json").is_file():
        data = ["data=phantom", f"data.shortcut={shortcut}", "data.test_shortcut=0.33", "data.opacity=0.4"]
        train([*data, f"seed_everything={seed}", f"data.seed={seed}", "ckpt_path=auto", *QUICK, *options])
    if not (NEW / "results.json").is_file():
        command(["rebalance", str(RUN), "--device=cpu"])
    results = json.loads((NEW / "results.json").read_text())
    found = results["rebalanced"]
    recalls = {
        f"{name} {when}": 100 * recall_of(found["cells"], side, agrees=name == "agree")
        for name in ("agree", "disagree")
        for side, when in zip(SIDES, ("before", "after"), strict=True)
    }
    worst = {
        f"worst {when}": 100 * found["worst"][side]["recall"]
        for side, when in zip(SIDES, ("before", "after"), strict=True)
    }
    lifted = recalls["disagree after"] - recalls["disagree before"]
    return {**recalls, **worst, "lifted": lifted, "strength": found["strength"], "training": found["training"]}


def recall_of(cells: Sequence[dict[str, Any]], side: str, *, agrees: bool) -> float:
    """Return the recall of the images whose marker agrees with their class or not, the mean over classes."""
    recalls = []
    for label, name in enumerate(CLASSES):
        own = [one for one in cells if one["class"] == name and (one["source"] == CORNERS[label]) == agrees]
        recalls.append(np.average([one[side] for one in own], weights=[one["images"] for one in own]))
    return float(np.mean(recalls))


def main() -> None:
    """Measure and print, a line a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split and of the training")
    parser.add_argument("--shortcut", type=float, default=0.95, help="share of training images whose marker agrees")
    parser.add_argument("--folder", type=Path, help="where to work; a folder that goes where left out")
    parser.add_argument("options", nargs="*", help="keys of the training")
    given = parser.parse_args()
    found = each_seed(given.seeds, given.folder, partial(measure, shortcut=given.shortcut, options=given.options))
    print(f"lifted, mean over seeds: {np.mean([one['lifted'] for one in found]):.1f} points")


if __name__ == "__main__":
    main()
