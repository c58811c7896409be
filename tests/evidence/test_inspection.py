"""Facts about inspecting files: each is decoded once, and what is kept of it says what it is like."""

import numpy as np
import pytest
from PIL import Image

import covidnet.evidence.inspection as module
from covidnet.evidence.inspection import inspect_files
from covidnet.imaging.decode import open_radiograph, thumbnail


def inspect(folder, *names):
    return list(inspect_files([folder / name for name in names]))


def test_the_traits_of_a_file_are_those_of_its_pixels(tmp_path):
    pixels = np.array([[0, 0, 255], [10, 10, 255]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (traits,) = inspect(tmp_path, "a.png")
    assert (traits.mode, traits.size, traits.coloured) == ("L", (3, 2), False)
    assert {grey: round(float(share), 4) for grey, share in enumerate(traits.histogram) if share} == {
        0: 0.3333,
        10: 0.3333,
        255: 0.3333,
    }
    expected = thumbnail(open_radiograph((tmp_path / "a.png").read_bytes()).image)
    np.testing.assert_array_equal(traits.thumbnail, expected)


def test_the_hash_is_of_the_pixels_whatever_the_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "b.bmp")  # three channels of one picture
    Image.fromarray(pixels.reshape(7, 9)).save(tmp_path / "c.png")  # the same bytes in another shape
    a, b, c = inspect(tmp_path, "a.png", "b.bmp", "c.png")
    assert a.pixels == b.pixels != c.pixels
    assert (b.mode, b.coloured) == ("RGB", False)


def test_colour_is_seen(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    assert inspect(tmp_path, "a.png")[0].coloured


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"<html>", "web page"), (None, "cannot be opened")])
def test_an_unreadable_file_comes_with_its_reason(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    (why,) = inspect(tmp_path, "a.png")
    assert reason in why


def test_processes_give_what_one_gives_in_order(tmp_path, monkeypatch, capsys):
    names = [f"{number}.png" for number in range(40)]
    for number, name in enumerate(names):
        Image.new("L", (4, 4), number).save(tmp_path / name)
    (tmp_path / names[3]).write_bytes(b"")
    alone = inspect(tmp_path, *names)
    monkeypatch.setattr(module, "FEW", 1)
    monkeypatch.setattr(module, "cores", lambda: 2)
    together = inspect(tmp_path, *names)
    assert [type(traits) for traits in together] == [type(traits) for traits in alone]
    assert [traits.pixels for traits in together[4:]] == [traits.pixels for traits in alone[4:]]
    assert "inspecting" in capsys.readouterr().err
