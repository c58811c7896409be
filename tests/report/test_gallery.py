from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_run import write_run
from PIL import Image

from covidnet.report.gallery import choose, make_gallery, sampled
from covidnet.runs.predictions import Predictions
from covidnet.runs.run import Run


def test_images_are_chosen_by_rule() -> None:
    sure = np.linspace(0.51, 0.99, 12)
    labels = np.array([0] * 9 + [1] * 3)
    probabilities = np.stack([sure, 1 - sure], axis=1)  # all called 0: the last three are wrong
    predictions = Predictions([str(number) for number in range(12)], labels, probabilities, [])
    typical, errors = choose(predictions, 2)
    assert typical == [[1, 4, 7], []]
    assert errors == [11, 10, 9]
    assert sampled(predictions, 2) == list(range(12))


def mask(run: Run, paths: Sequence[str]) -> None:
    """Give images of a run a mask whose left third is lung, in folders of any letter case."""
    data = run.open_data()
    pixels = np.zeros((12, 12), dtype=np.uint8)
    pixels[:, :4] = 255
    for path in paths:
        file = data.image_file(path)
        folder = file.parent / "Masks"
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / file.name)


def test_heat_is_compared_with_masks_where_every_image_of_the_run_has_one_else_with_the_box(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    assert run.predictions is not None
    boxed = make_gallery(run, run.predictions, run.open_data())
    paths = [row["path"] for row in run.split] or run.predictions.paths
    mask(run, [path for path in paths if path != paths[0]])
    some = make_gallery(run, run.predictions, run.open_data())
    assert some.masked == 0
    assert (some.shares, some.overall, some.typical) == (boxed.shares, boxed.overall, boxed.typical)
    mask(run, paths)
    masked = make_gallery(run, run.predictions, run.open_data())
    assert masked.masked == boxed.overall.images == masked.overall.images
    assert masked.overall.area == pytest.approx(1 / 3, abs=0.05)
    assert all(card.masked for cards in masked.typical.values() for card in cards)


def test_a_checkpoint_that_no_longer_gives_the_predictions_is_noticed(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    assert run.predictions is not None
    flipped = replace(run.predictions, probabilities=run.predictions.probabilities[:, ::-1])
    changed = [make_gallery(run, made, run.open_data()).changed for made in (run.predictions, flipped)]
    assert sum(changed) == len(run.predictions.paths)
