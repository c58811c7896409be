from dataclasses import replace
from pathlib import Path

import numpy as np
from made_run import write_run
from PIL import Image

from covidnet.report.gallery import choose, lungs, make_gallery, sampled
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


def test_a_mask_file_comes_before_the_box(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "COVID" / folder).mkdir(parents=True)
    mask = np.zeros((10, 10), dtype=np.uint8)
    mask[:, :3] = 255
    Image.fromarray(mask).save(tmp_path / "COVID" / "masks" / "a.png")
    region, masked = lungs(tmp_path / "COVID" / "images" / "a.png", 10)
    assert masked
    assert region.sum() == 30
    region, masked = lungs(tmp_path / "COVID" / "images" / "b.png", 10)
    assert not masked
    assert region[5, 5]
    assert not region[0].any()


def test_a_checkpoint_that_no_longer_gives_the_predictions_is_noticed(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    assert run.predictions is not None
    flipped = replace(run.predictions, probabilities=run.predictions.probabilities[:, ::-1])
    changed = [make_gallery(run, made, run.open_data()).changed for made in (run.predictions, flipped)]
    assert sum(changed) == len(run.predictions.paths)
