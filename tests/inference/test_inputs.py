"""Facts about what Python callers give: each form is read as a file of these pixels, or refused with what to give."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.radiograph import USUAL, UnreadableImageError
from covidnet.inference.inputs import listed, open_given

RNG = np.random.default_rng(0)
GREY = np.arange(1200).reshape(30, 40).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
ALPHA = np.dstack([COLOUR, GREY])


def opened(image, scale=None):
    return open_given(image, scale, USUAL).image


def pixels(image, scale=None):
    return np.asarray(opened(image, scale))


def file_of(image, kind="PNG"):
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


GREYS = {
    "uint8": GREY,
    "floats": GREY / 255,
    "float32": (GREY / 255).astype(np.float32),
    "float16": (GREY / 255).astype(np.float16),
    "a channel at the end": GREY[..., None],
    "a channel in front": GREY[None] / 255,
    "three equal channels": np.dstack([GREY] * 3),
    "three equal channels in front": np.stack([GREY] * 3),
    "not contiguous": np.asfortranarray(GREY),
    "read only": np.frombuffer(GREY.tobytes(), np.uint8).reshape(GREY.shape),
    "tensor": torch.from_numpy(GREY.copy()),
    "tensor (1, H, W)": torch.from_numpy(GREY / 255).float()[None],
    "tensor with gradients": (torch.from_numpy(GREY / 255)[None]).requires_grad_(),
    "Pillow": Image.fromarray(GREY),
    "bytes": file_of(Image.fromarray(GREY)),
    "bytearray": bytearray(file_of(Image.fromarray(GREY))),
    "memoryview": memoryview(file_of(Image.fromarray(GREY))),
}


@pytest.mark.parametrize("given", GREYS.values(), ids=GREYS)
def test_grey_in_any_form_is_its_file(given):
    np.testing.assert_array_equal(pixels(given), GREY)


COLOURS = {
    "(H, W, 3)": COLOUR,
    "(3, H, W)": COLOUR.transpose(2, 0, 1),
    "(H, W, 4)": ALPHA,
    "(4, H, W) floats": ALPHA.transpose(2, 0, 1) / 255,
    "tensor (3, H, W)": torch.from_numpy(COLOUR.transpose(2, 0, 1) / 255),
    "tensor (H, W, 3)": torch.from_numpy(COLOUR),
}


@pytest.mark.parametrize("given", COLOURS.values(), ids=COLOURS)
def test_colour_in_any_order_is_its_file(given):
    np.testing.assert_array_equal(pixels(given), COLOUR)


def test_bfloat16_is_read_within_its_precision():
    assert abs(pixels(torch.from_numpy(GREY / 255).bfloat16()).astype(int) - GREY).max() <= 1


def test_where_both_orders_fit_arrays_have_channels_last_and_tensors_first():
    array = RNG.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(array), array)
    np.testing.assert_array_equal(pixels(torch.from_numpy(array)), array.transpose(1, 2, 0))


@pytest.mark.parametrize("low", [0, 900])
def test_uint16_is_read_as_a_16_bit_file_of_these_pixels(low):
    wide = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 7 + low
    expected = open_radiograph(file_of(Image.fromarray(wide)))
    for given in (wide, wide.astype(">u2"), wide[None], wide[..., None], torch.from_numpy(wide), Image.fromarray(wide)):
        radiograph = open_given(given, None, USUAL)
        np.testing.assert_array_equal(np.asarray(radiograph.image), np.asarray(expected.image))
        assert radiograph.mode == expected.mode == "I;16"


MODES = [
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "HSV",
    "I",
    "F",
    "LA",
    "PA",
    "RGBX",
    "RGBa",
    "La",
    "I;16",
    "I;16B",
]


@pytest.mark.parametrize("mode", MODES)
def test_a_pillow_image_of_any_mode_is_read(mode):
    source = Image.fromarray(ALPHA)
    middle = {"La": "LA", "PA": "P", "RGBa": "RGBA", "I;16B": "I;16"}.get(mode)
    if mode.startswith("I;16"):
        source = Image.fromarray(GREY.astype(np.uint16) * 200)
    if middle:
        source = source.convert(middle)
    image = Image.new(mode, source.size) if mode == "I;16B" else source.convert(mode)
    radiograph = opened(image)
    assert (radiograph.mode in ("L", "RGB"), radiograph.size) == (True, (40, 30))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_a_pillow_image_gives_what_its_file_gives(mode, kind):
    image = Image.fromarray(GREY.astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(ALPHA).convert(mode)
    expected = open_radiograph(file_of(image, kind)).image
    np.testing.assert_array_equal(pixels(image), np.asarray(expected))


def test_scale_says_which_numbers_are_black_and_white():
    wide = GREY.astype(np.int16) * 8 - 1024
    np.testing.assert_array_equal(pixels(wide, scale=(-1024, 1016)), GREY)
    np.testing.assert_array_equal(pixels(torch.from_numpy(wide), scale=(-1024, 1016)), GREY)
    np.testing.assert_array_equal(pixels(COLOUR.astype(np.uint16) * 257, scale=(0, 65535)), COLOUR)
    np.testing.assert_array_equal(pixels(GREY > 100, scale=(0, 1)), np.where(GREY > 100, 255, 0))
    beyond = pixels(np.array([[-9.0, 0.0], [5.0, 99.0]]), scale=(0, 10))
    assert beyond.tolist() == [[0, 0], [128, 255]]


REFUSED = {
    "floats of 255": (GREY * 1.0, r"floats must lie in \[0, 1\].*scale=\(BLACK, WHITE\), such as scale=\(0, 255\)"),
    "normalised floats": (GREY / 127.5 - 1, r"numbers from -1 to 1, .* such as scale=\(-1, 1\)"),
    "floats of 12 bits": (GREY * 16.0, r"such as scale=\(0, 4095\)"),
    "Hounsfield": (GREY * 8.0 - 1024, r"such as scale=\(-1024, 1024\)"),
    "odd floats": (GREY * 1e3 - 7e4, r"such as scale=\(-70000, 185000\)"),
    "ImageNet's numbers": (GREY / 40 - 3, r"such as scale=\(-3, 3\.375\)"),
    "one number": (np.full((4, 4), 7), r"such as scale=\(0, 255\)"),
    "partly masked": (np.ma.masked_greater(GREY, 9), r"a part is masked; .*\.filled\(0\)"),
    "a little above 1": (GREY / 250, r"numbers from 0 to 1\.02"),
    "NaN": (np.full((4, 4), np.nan), "not finite"),
    "infinity": (np.full((4, 4), np.inf, np.float32), "not finite"),
    "int64": (GREY.astype(np.int64), r"array of int64, which tells neither black nor white; .* scale=\(0, 255\)"),
    "int16": (GREY.astype(np.int16) - 90, "array of int16, .*scale="),
    "uint32": (GREY.astype(np.uint32), "array of uint32, .*scale="),
    "bool": (GREY > 3, r"array of bool, .*scale=\(0, 1\)"),
    "deep colours": (COLOUR.astype(np.uint16), "16 bits in each of 3 channels; give one channel, or .*scale="),
    "complex": (GREY * 1j, "array of complex128, which are no grey values"),
    "objects": (np.array([[None]]), "array of object"),
    "texts": (np.array([["a"]]), "no grey values"),
    "one axis": (np.zeros(9, np.uint8), r"shape \(9,\), but one image is"),
    "no axis": (np.array(9, np.uint8), r"shape \(\)"),
    "five channels": (np.zeros((5, 9, 7), np.uint8), r"shape \(5, 9, 7\).*give several as a list"),
    "no pixels": (np.zeros((0, 9), np.uint8), "no pixels"),
    "int tensor": (torch.zeros(4, 4, dtype=torch.int64), "array of int64"),
    "normalised tensor": (torch.full((3, 8, 8), -2.0), "numbers from -2 to -2"),
    "sparse tensor": (torch.eye(4).to_sparse(), "is a tensor that gives no array .* give a dense one"),
    "a tensor without numbers": (torch.empty(4, 4, device="meta"), "is a tensor that gives no array"),
    "None": (None, "is of type NoneType; give a path, the bytes of a file, a Pillow image, an array or a tensor"),
    "a number": (3, "is of type int; give a path"),
    "a list": ([[0.5]], "is of type list: make it an array first, or give"),
    "an open file": (io.BytesIO(b""), "is of type BytesIO; give a path, the bytes"),
    "an empty picture": (Image.new("L", (0, 5)), "has no pixels"),
    "a path that is not there": (Path("nowhere.png"), "cannot be opened"),
    "a folder": (".", "is no plain file"),
    "no file": ("", "is no plain file"),
    "a null": ("a\0b", "cannot be opened"),
    "no image": (b"text", "not an image"),
}


@pytest.mark.parametrize(("given", "says"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_a_value_error_that_says_what_to_give(given, says):
    with pytest.raises(ValueError, match=says) as refused:
        opened(given)
    assert isinstance(refused.value, UnreadableImageError)


@pytest.mark.parametrize("scale", [(1, 0), (3, 3), (0, float("nan")), 5, "ab", (0, 1, 2), (None, 1), (0, float("inf"))])
def test_a_scale_that_is_none_is_explained(scale):
    with pytest.raises(
        UnreadableImageError, match=r"scale=.*give two numbers, that of black and a greater one of white"
    ):
        opened(GREY, scale)


def test_a_pillow_image_that_is_cut_or_closed_is_a_reason(tmp_path):
    (tmp_path / "cut.png").write_bytes(file_of(Image.fromarray(COLOUR))[:900])
    with (
        Image.open(tmp_path / "cut.png") as cut,
        pytest.raises(UnreadableImageError, match="is a Pillow image that cannot be loaded"),
    ):
        opened(cut)
    closed = Image.open(io.BytesIO(file_of(Image.fromarray(COLOUR))))
    closed.close()
    with pytest.raises(UnreadableImageError, match=r"cannot be loaded|closed"):
        opened(closed)


def test_what_is_given_is_not_changed():
    array, tensor = GREY / 255, torch.from_numpy(GREY / 255)
    opened(array)
    opened(tensor)
    np.testing.assert_array_equal(array, GREY / 255)
    np.testing.assert_array_equal(tensor, GREY / 255)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ("x.png", 1),
        (Path("x.png"), 1),
        (b"x", 1),
        (GREY, 1),
        (COLOUR, 1),
        (np.stack([COLOUR] * 5), 5),
        (torch.zeros(7, 3, 8, 8), 7),
        (torch.zeros(3, 8, 8), 1),
        (["x.png", GREY], 2),
        ((name for name in "abc"), 3),
        ([], 0),
    ],
)
def test_one_or_several_are_told_apart(given, count):
    assert len(listed(given)) == count


@pytest.mark.parametrize("given", [None, {"a.png": GREY}, io.BytesIO(b"x")], ids=["none", "a mapping", "an open file"])
def test_what_is_neither_is_explained(given):
    says = rf"What was given is of type {type(given).__name__}; give a path, .*, or several of these"
    with pytest.raises(ValueError, match=says):
        listed(given)
