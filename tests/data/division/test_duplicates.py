"""Facts about duplicates: what is found of one radiograph, what is not taken for one, and that nothing is missed."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import covidnet.data.division.duplicates as module
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.pictures import detail_of
from covidnet.data.phantom import draw_radiograph
from covidnet.imaging.decode import thumbnail


def texture(seed, size=192):
    """Return a picture of blots of all sizes: no two are alike."""
    rng = np.random.default_rng(seed)
    planes = [
        np.asarray(Image.fromarray(rng.normal(size=(n, n)).astype(np.float32)).resize((size, size), 3)) / n**0.5
        for n in (4, 8, 16, 32)
    ]
    plane = sum(planes)
    return Image.fromarray(np.interp(plane, (plane.min(), plane.max()), (20, 235)).astype(np.uint8))


def jpeg(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("L")


def lettered(image):
    image = image.copy()
    ImageDraw.Draw(image).text((10, 170), "day 1", fill=255)
    return image


def pairs(images):
    return find_duplicates(np.stack([thumbnail(image) for image in images])).pairs.tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        jpeg,
        lambda image: image.resize((100, 100)),
        lambda image: image.point(lambda grey: 255 * (grey / 255) ** 1.6),
        lambda image: image.point(lambda grey: 60 + grey // 3),
        lambda image: ImageOps.expand(image.crop((2, 2, 190, 190)), 2, fill=255),
        lambda image: image.crop((2, 0, 192, 191)),
        lettered,
    ],
    ids=["copy", "JPEG", "smaller", "gamma", "window", "frame", "crop", "letters"],
)
def test_another_file_of_one_radiograph_is_found(change):
    images = [texture(seed) for seed in range(20)]
    assert pairs([*images, change(images[7])]) == [[7, 20]]


def test_blank_images_and_different_ones_are_no_duplicates():
    images = [texture(seed) for seed in range(20)] + [Image.new("L", (64, 64), grey) for grey in (0, 0, 255)]
    assert pairs(images) == []


def test_drawn_thoraces_are_alike_but_no_duplicates_and_a_copy_is_found_among_them():
    drawn = [Image.fromarray(draw_radiograph(n % 3, np.random.SeedSequence(n), 128)[0]) for n in range(60)]
    assert pairs(drawn) == []
    assert pairs([*drawn, jpeg(drawn[5])]) == [[5, 60]]


@pytest.mark.parametrize("number", [0, 1])
def test_no_or_one_image_has_no_pair(number):
    assert find_duplicates(np.zeros((number, 48, 48), dtype=np.uint8)).pairs.shape == (0, 2)


def test_two_images_alone_are_compared_too():
    assert pairs([texture(1), jpeg(texture(1))]) == [[0, 1]]
    assert pairs([texture(1), texture(2)]) == []


@pytest.mark.parametrize("many", [0, module.MANY], ids=["full", "bounded"])
def test_the_search_finds_what_comparing_all_pairs_finds(monkeypatch, many):
    monkeypatch.setattr(module, "MANY", many)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 48, 48))
    for copy in range(100):  # of ever less likeness
        images[200 + copy] = ((100 - copy) * images[copy] + copy * images[200 + copy]) // 100
    images = images.astype(np.uint8)
    details = module._rows(detail_of(images.astype(np.float32)))
    least = module._threshold(module._by_chance(details))
    first, second = np.nonzero(np.triu(details @ details.T >= least, 1))
    monkeypatch.setattr(module, "BLOCK", 64)
    pairs, correlations = module._at_one_place(details, details, least)
    assert 10 < len(pairs) < 90
    assert pairs.tolist() == np.column_stack([first, second]).tolist()
    np.testing.assert_allclose(correlations, (details @ details.T)[first, second], atol=1e-5)


def test_the_order_of_the_images_does_not_matter():
    images = [texture(seed) for seed in range(12)]
    images += [jpeg(images[3]), lettered(images[3])]
    order = np.random.default_rng(1).permutation(len(images))
    shuffled = pairs([images[number] for number in order])
    assert sorted(sorted(order[pair].tolist()) for pair in shuffled) == pairs(images) == [[3, 12], [3, 13], [12, 13]]


def test_noise_whose_bounds_say_nothing_is_not_compared_pair_by_pair(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (1500, 48, 48)).astype(np.uint8)
    compared, einsum = [], np.einsum
    monkeypatch.setattr(np, "einsum", lambda rule, *rows: compared.append(len(rows[0])) or einsum(rule, *rows))
    details = module._rows(detail_of(images.astype(np.float32)))
    module._at_one_place(details, details[: module.SAMPLE], module.LEAST)
    assert sum(compared) < 100  # 487,579 where the bounds alone choose
