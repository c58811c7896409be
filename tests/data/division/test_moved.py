"""Facts about altered copies: which are found and what they are called, and that strangers are not taken for copies."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

from bench.altered import KINDS
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.pictures import detail_of
from covidnet.data.division.signatures import find_candidates
from covidnet.data.phantom import draw_radiograph
from covidnet.imaging.decode import thumbnail

COPIED = range(0, 40, 4)


@cache
def drawn():
    """Return drawn radiographs: those in the middle of 40 overlap with none, and each is alike to all."""
    return [Image.fromarray(draw_radiograph(n % 3, np.random.SeedSequence(n), 192)[0]) for n in range(40)]


@cache
def blots():
    """Return pictures of blots of all sizes: no two are alike."""
    images = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        grids = [rng.normal(size=(n, n)).astype(np.float32) for n in (5, 9, 15, 22)]
        plane = sum(np.asarray(Image.fromarray(grid).resize((192, 192), 3)) / len(grid) ** 0.5 for grid in grids)
        images.append(Image.fromarray(np.interp(plane, (plane.min(), plane.max()), (20, 235)).astype(np.uint8)))
    return images


def links(images, kind):
    """Return the pairs among images and altered copies of some, by number, and what the copies are called."""
    rng = np.random.default_rng(0)
    copies = [kind.change(images[number], rng) for number in COPIED]
    found = find_duplicates(np.stack([thumbnail(image) for image in [*images, *copies]]))
    return found.pairs.tolist(), found


@pytest.mark.parametrize("kind", KINDS[::6], ids=lambda kind: kind.name)  # all of them: python -m bench.copies
def test_an_altered_copy_is_found_and_no_other_image(kind):
    expected = [[number, 40 + copy] for copy, number in enumerate(COPIED)]
    found, _ = links(blots(), kind)
    assert all(pair in expected for pair in found)
    assert len(found) >= 9


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("mirrored", "mirrored"),
        ("upside down", "mirrored"),
        ("transposed", "mirrored"),
        ("turned by 90", "turned"),
        ("turned by 180", "turned"),
        ("inverted", "inverted"),
        ("inverted, turned by 270", "inverted"),
        ("framed in black, 8 %", "cropped, framed or moved"),
    ],
)
def test_what_was_done_to_a_copy_is_told(name, called):
    pairs, found = links(blots(), next(kind for kind in KINDS if kind.name == name))
    assert found.told() == f"{len(pairs)} {called}"


def test_drawn_thoraces_are_alike_but_no_copies_and_a_mirrored_one_is_found_among_them():
    assert find_duplicates(np.stack([thumbnail(image) for image in drawn()])).pairs.tolist() == []
    found, _ = links(drawn(), KINDS[0])
    assert found == [[number, 40 + copy] for copy, number in enumerate(COPIED)]


def test_blank_images_are_not_even_candidates():
    blank = np.zeros((300, 48, 48), dtype=np.uint8)
    blank[::2] = 200
    assert find_duplicates(blank).pairs.shape == (0, 2)
    assert len(find_candidates(detail_of(blank.astype(np.float32)), np.arange(300)).staying) == 0
