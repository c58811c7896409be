"""Facts about what is kept of the search for copies: its pairs, and none of other thumbnails or of a stranger."""

import numpy as np
import pytest
from helpers import paint
from PIL import Image

from covidnet.data import copies
from covidnet.data.radiographs import Radiographs
from covidnet.imaging.decode import thumbnail


@pytest.fixture
def thumbnails():
    """Return 24 thumbnails of which two are one picture and one is another turned."""
    blots = np.random.default_rng(0).integers(0, 256, (22, 16, 16), dtype=np.uint8)
    images = [Image.fromarray(grid).resize((192, 192), Image.Resampling.BICUBIC) for grid in blots]
    return np.stack([thumbnail(image) for image in [*images, images[3], images[5].rotate(180)]])


@pytest.fixture
def searched(monkeypatch):
    """How many thumbnails each search had."""
    numbers, search = [], copies.find_duplicates
    monkeypatch.setattr(copies, "find_duplicates", lambda some: (numbers.append(len(some)), search(some))[1])
    return numbers


def same(one, other):
    arrays = all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one[:2], other[:2], strict=True))
    return arrays and one.kinds == other.kinds


def test_the_same_thumbnails_are_searched_once(thumbnails, searched, tmp_path):
    first = copies.copies_among(thumbnails, tmp_path)
    assert first.pairs.tolist() == [[3, 22], [5, 23]]
    assert first.kinds == ["", "turned"]
    assert same(copies.copies_among(thumbnails, tmp_path), first)
    assert searched == [24]


@pytest.mark.parametrize(
    "change",
    [
        lambda given, file, patch: given.__setitem__((0, 0, 0), given[0, 0, 0] ^ 1),
        lambda given, file, patch: patch.setattr(copies, "RULE", copies.RULE + 1),
        lambda given, file, patch: file.write_bytes(file.read_bytes()[:-1]),
        lambda given, file, patch: file.write_bytes(b""),
        lambda given, file, patch: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]),
        lambda given, file, patch: (file.rename(file.with_name("other")), file.symlink_to(file.with_name("other"))),
        lambda given, file, patch: (file.unlink(), file.mkdir()),
    ],
    ids=["thumbnail", "rule", "cut", "empty", "bit", "link", "folder"],
)
def test_whatever_is_not_what_was_kept_is_searched_anew(change, thumbnails, searched, tmp_path, monkeypatch):
    copies.copies_among(thumbnails, tmp_path)
    change(thumbnails, tmp_path / copies.COPIES, monkeypatch)
    assert copies.copies_among(thumbnails, tmp_path).pairs.tolist() == [[3, 22], [5, 23]]
    assert searched == [24, 24]


@pytest.mark.parametrize("row", [(-1, 3, 1, 0), (3, 3, 1, 0), (3, 24, 1, 0), (3, 4, 1, 9), (3, 4, np.nan, 0)])
def test_rows_that_no_search_gives_are_searched_anew_whoever_signed_them(row, thumbnails, searched, tmp_path):
    rows = np.array([row], dtype=copies.PAIR).tobytes()
    (tmp_path / copies.COPIES).write_bytes(rows + copies._digest(thumbnails, rows))
    assert copies.copies_among(thumbnails, tmp_path).pairs.tolist() == [[3, 22], [5, 23]]


@pytest.mark.parametrize(("cache", "searches"), [(True, 1), (False, 2)])
def test_a_second_run_searches_only_where_nothing_is_kept(cache, searches, searched, tmp_path):
    root = str(paint(tmp_path / "xrays"))
    found = [Radiographs(root, image_size=12, test_per_class=3, cache=cache).copies for _ in range(2)]
    assert same(*found)
    assert searched == [36] * searches
