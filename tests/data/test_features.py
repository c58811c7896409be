"""Features are computed once for the same pixels and encoder, and are right whatever happened to their files."""

import numpy as np
import pytest
import torch
from helpers import call

from covidnet.commands import cache as command
from covidnet.data.cache_shelf import ENCODED, shelves
from covidnet.data.feature_shelf import ABOUT, ROWS, digest_of
from covidnet.data.features import BLOCK, Encoder, features_of
from covidnet.errors import UserError

COUNT = BLOCK + 5
PIXELS = np.random.default_rng(0).integers(0, 255, (COUNT, 1, 4, 4), dtype=np.uint8)


class Asked:
    """An encoder that counts the images that it was shown, and may fail after some."""

    def __init__(self, lasts=10**9):
        self.seen, self.lasts = 0, lasts

    def __call__(self, images):
        self.seen += len(images)
        if self.seen > self.lasts:
            raise KeyboardInterrupt
        return images.mean(dim=(1, 2)) * 255

    def of(self, cache, numbers=None, key="some", **how):
        encoder = Encoder(self, torch.device("cpu"), "net", key)
        numbers = np.arange(COUNT) if numbers is None else np.asarray(numbers)
        return features_of(encoder, lambda part: PIXELS[part], numbers, cache_dir=cache, **how)


def right(numbers):
    return torch.from_numpy(PIXELS[np.asarray(numbers), 0].mean(axis=1, dtype=np.float32))


def test_they_are_computed_once_in_any_order_and_again_for_another_encoder(tmp_path):
    first, again, other = Asked(), Asked(), Asked()
    torch.testing.assert_close(first.of(tmp_path), right(range(COUNT)))
    backwards = np.arange(COUNT)[::-1]
    torch.testing.assert_close(again.of(tmp_path, backwards), right(backwards))
    other.of(tmp_path, key="other")
    assert (first.seen, again.seen, other.seen) == (2 * BLOCK, 0, 2 * BLOCK)


def test_whole_blocks_outlive_an_interruption_and_give_the_same_bits(tmp_path):
    expected = Asked().of(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Asked(lasts=BLOCK).of(tmp_path / "cut")
    again = Asked()
    assert torch.equal(again.of(tmp_path / "cut"), expected)
    assert again.seen == BLOCK  # the five that were left, in a block that is filled up


@pytest.mark.parametrize("harm", ["cut", "turned", "other", "gone", "about"])
def test_damaged_files_give_the_right_features(tmp_path, harm):
    Asked().of(tmp_path)
    rows, about = (tmp_path / "features" / "some" / name for name in (ROWS, ABOUT))
    content = bytearray(rows.read_bytes())
    if harm == "cut":
        rows.write_bytes(content[:-7])
    if harm == "turned":
        content[30] ^= 1
        rows.write_bytes(content)
    if harm == "other":
        about.write_text(about.read_text().replace('"features": 4', '"features": 3'))
    if harm == "about":
        about.write_text("{")
    if harm == "gone":
        rows.unlink()
    again, after = Asked(), Asked()
    torch.testing.assert_close(again.of(tmp_path), right(range(COUNT)))
    assert again.seen > 0
    torch.testing.assert_close(after.of(tmp_path), right(range(COUNT)))
    assert after.seen == 0


def test_a_link_in_the_place_of_the_rows_is_refused(tmp_path):
    Asked().of(tmp_path)
    rows = tmp_path / "features" / "some" / ROWS
    (tmp_path / "mine").write_bytes(rows.read_bytes())
    rows.unlink()
    rows.symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="is a link"):
        Asked().of(tmp_path)


@pytest.mark.parametrize("keep", [True, False])
def test_features_that_are_no_numbers_are_refused_each_time(tmp_path, keep, monkeypatch):
    monkeypatch.setattr(Asked, "__call__", lambda self, images: torch.log(images.mean(dim=(1, 2)) - 1))
    for _ in range(2):
        with pytest.raises(UserError, match=r"37 of 37 images by net are not finite .* model\.weights"):
            Asked().of(tmp_path, keep=keep)


def test_without_a_cache_nothing_is_written(tmp_path):
    torch.testing.assert_close(Asked().of(tmp_path, keep=False), right(range(COUNT)))
    assert not any(tmp_path.iterdir())


def test_grey_pixels_are_the_same_image_in_one_channel_and_in_three():
    assert digest_of(PIXELS[0]) == digest_of(PIXELS[0].repeat(3, axis=0)) != digest_of(PIXELS[1])
    assert digest_of(PIXELS[0]) != digest_of(PIXELS[0].reshape(1, 2, 8))


def test_the_cache_command_lists_and_removes_them(tmp_path, capsys):
    Asked().of(tmp_path)
    [shelf] = shelves(tmp_path)
    assert (shelf.kind, shelf.what) == (ENCODED, "by net")
    call(command, tmp_path)
    assert "by net" in capsys.readouterr().out
    call(command, "clean", tmp_path, "--all", "--yes")
    assert shelves(tmp_path) == []
