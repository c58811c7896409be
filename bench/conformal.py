"""Whether prediction sets hold the true class as often as stated: a run's held-out images, split anew many times.

Validation and test images of each run are pooled, halved at random, linked images kept together, and on one half all is
fitted that a run fits: the temperature, then the sets. The other half tells how often they hold the true class.

python -m bench.conformal RUN [RUN ...]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.evaluation.conformal import COVERAGE, set_scores
from covidnet.evaluation.fit import fit_calibration
from covidnet.models.outputs import outputs_of
from covidnet.runs.run import Run

LINE = "{:<18} {:>7} {:>10} {:>17} {:>8} {:>8}".format


def held_out(run: Run) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return logits (N, C), labels (N,) and patients (N,) of a run's validation and test images."""
    data, model = run.open_data(), run.load_model()
    numbers = np.concatenate([data.numbers(name) for name in ("val", "test")])
    labels = np.array(data.images.labels)[numbers]
    patients = np.concatenate([data.patients(name) for name in ("val", "test")])
    logits, _ = outputs_of(model, data.images.gather, numbers, torch.device("cpu"), title="asking the model")
    return logits.astype(np.float64), labels, patients


def halves(patients: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which images (N,) are in the first half, each patient's in one."""
    names = np.unique(patients)
    return np.isin(patients, rng.permutation(names)[: len(names) // 2])


def main() -> None:
    """Measure and print a table a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="directories of finished runs, with checkpoints/best.ckpt")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for folder in args.runs:
        run = Run(folder)
        logits, labels, patients = held_out(run)
        rng = np.random.default_rng(args.seed)
        found = []
        for _ in range(args.splits):
            first = halves(patients, rng)
            fitted = fit_calibration(logits[first], labels[first], run.classes)
            assert fitted is not None, "the model has diverged"
            probabilities = softmax(logits[~first] / fitted["temperature"], axis=1)
            found.append(set_scores(probabilities, labels[~first], fitted["conformal"], patients[~first]))
        print(f"{folder}: {len(labels)} held-out images, {args.splits} splits, stated {COVERAGE:.0%}")
        print(LINE("class", "images", "coverage", "5 to 95 % of them", "size", "empty"))
        size, empty = (float(np.mean([one[key] for one in found])) for key in ("size", "empty"))
        rows = {"all": [one["coverage"] for one in found]}
        rows |= {name: [one["per_class"][name]["coverage"] for one in found] for name in run.classes}
        counts = {"all": len(labels), **dict(zip(run.classes, np.bincount(labels).tolist(), strict=True))}
        for name, shares in rows.items():
            low, high = np.quantile(shares, [0.05, 0.95])
            more = (f"{size:.2f}", f"{100 * empty:.1f} %") if name == "all" else ("", "")
            range_ = f"{100 * low:.1f} to {100 * high:.1f} %"
            print(LINE(name, counts[name], f"{100 * np.mean(shares):.1f} %", range_, *more), flush=True)


if __name__ == "__main__":
    main()
