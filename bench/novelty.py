"""How often a run's check "does this look like a training image at all?" flags what it should, and what it should not.

python -m bench.novelty RUN
python -m bench.novelty RUN --external FOLDER
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.other_images import other_images, turned
from covidnet.data.external import list_external
from covidnet.data.images import open_pixels
from covidnet.evaluation.intervals import proportion_interval
from covidnet.evaluation.novelty import novelty_scores
from covidnet.imaging.decode import resize
from covidnet.models.outputs import outputs_of
from covidnet.runs.run import Run
from covidnet.training.fitted import fit_looks

CPU = torch.device("cpu")
LINE = "{:<44} {:>7} {:>8} {:>8}   {}".format


def tell(name: str, scores: NDArray[np.float64], patients: NDArray[np.int64] | None = None) -> None:
    """Print how many of the images are flagged, with the 95 % interval of that share."""
    flagged = scores > 1
    low, high = proportion_interval(flagged, patients) or (0.0, 1.0)
    interval = f"{100 * low:.1f} to {100 * high:.1f} %"
    print(LINE(name, len(flagged), int(flagged.sum()), f"{100 * flagged.mean():.1f} %", interval), flush=True)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="directory of a finished run, with checkpoints/best.ckpt")
    parser.add_argument("--external", type=Path, help="radiographs from elsewhere, as covidnet evaluate takes them")
    parser.add_argument("--drawn", type=int, default=200, help="so many drawings, and as many pages of text")
    args = parser.parse_args()
    run = Run(args.run)
    model, data = run.load_model(), run.open_data()
    state = (run.recipe or {}).get("novelty")
    if state is None:
        print(f"{run.checkpoint} holds no such check; it is fitted here as a run of today would fit it.")
        state = fit_looks(run.checkpoint, data, CPU)
        assert state is not None, "the model has diverged"
    size = sum(part.nbytes for part in state.values() if isinstance(part, torch.Tensor))
    print(f"{len(state['looks']):,} training images, {size / 1e6:.1f} MB in the checkpoint")

    def scores_of(pixels: list[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float64]:
        in_colour = np.stack([np.broadcast_to(one, (3, *one.shape[1:])) for one in pixels])
        _, features = outputs_of(model, in_colour.__getitem__, np.arange(len(pixels)), CPU, title="looking")
        return novelty_scores(state, features)

    print(LINE("images", "n", "flagged", "share", "95 % interval"))
    test = data.images.gather(data.numbers("test"))
    tell("radiographs of the run's own test", scores_of(test), data.patients("test"))
    others = {
        kind: [resize(image, data.image_size, data.interpolation) for image in images]
        for kind, images in other_images(args.drawn).items()
    }
    found = [(kind, scores_of(pixels)) for kind, pixels in [*others.items(), *turned(test).items()]]
    for kind, scores in found:
        tell(kind, scores)
    tell("all that are no radiographs, or turned", np.concatenate([scores for _, scores in found]))
    if args.external:
        folder = list_external(args.external, run.classes, {})
        opened = open_pixels(args.external, folder.paths, data.image_size, data.interpolation)
        source_of = dict(zip(folder.paths, folder.sources, strict=True))
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, path in enumerate(opened.paths):
            numbers[source_of[path]].append(number)
        for source, own in numbers.items():
            tell(f"radiographs of {source}", scores_of(opened.gather(np.array(own, dtype=np.int64))))


if __name__ == "__main__":
    main()
