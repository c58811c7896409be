"""Facts about pictures that are stored turned: shown as their files tell it, and as their models were trained."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import torch
from made_run import write_run
from PIL import Image

import covidnet
from bench.written.plain import png
from bench.written.tiff import DEFLATE, SHORT, Tiff
from covidnet.data.cache import Decoding
from covidnet.evidence.audit import audit
from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.radiograph import USUAL, Reading
from covidnet.inference.inputs import open_given
from covidnet.runs.checkpoint import KEY, Checkpoint
from covidnet.training.args import expand
from covidnet.training.resume import recipe_layer

STORED = Reading(orientation="stored")
PIXELS = np.kron(np.array([[0, 60, 120], [180, 240, 30]]), np.ones((16, 16))).astype(np.uint8)
UPRIGHT = {  # by the number in the file (CIPA DC-008, 4.6.5)
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.T,
    6: np.rot90(PIXELS, -1),
    7: PIXELS[::-1, ::-1].T,
    8: np.rot90(PIXELS),
}


def exif(number, order="<"):
    """Return EXIF of one entry, the orientation."""
    mark, entry = (b"II", (274, 3, 1, number, 0)) if order == "<" else (b"MM", (274, 3, 1, number, 0))
    return b"Exif\0\0" + mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, *entry, 0)


def xmp(number):
    return f'<x:xmpmeta><rdf:Description tiff:Orientation="{number}"/></x:xmpmeta>'.encode()


def saved(kind, **options):
    content = io.BytesIO()
    Image.fromarray(PIXELS).convert("RGB" if kind == "WEBP" else "L").save(content, kind, **options)
    return content.getvalue()


def png_of(number, *, after=False):
    chunk = [(b"eXIf", exif(number)[6:])]
    return png(PIXELS, after=chunk) if after else png(PIXELS, before=chunk)


def deep_jpeg(number):
    coded = imagecodecs.jpeg8_encode(PIXELS.astype(np.uint16) * 16, level=99, bitspersample=12)
    told = exif(number)
    return coded[:2] + b"\xff\xe1" + struct.pack(">H", len(told) + 2) + told + coded[2:]


TURNED = {
    "JPEG": lambda number: saved("JPEG", quality=100, exif=exif(number)),
    "JPEG, the other byte order": lambda number: saved("JPEG", quality=100, exif=exif(number, ">")),
    "JPEG by XMP": lambda number: saved("JPEG", quality=100, xmp=xmp(number)),
    "JPEG of 12 bits": deep_jpeg,
    "PNG": png_of,
    "PNG, behind the pixels": lambda number: png_of(number, after=True),
    "PNG by XMP": lambda number: png(PIXELS, before=[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(number))]),
    "WEBP": lambda number: saved("WEBP", lossless=True, exif=exif(number)),
    "AVIF": lambda number: saved("AVIF", quality=100, exif=exif(number)),
    "TIFF": lambda number: Tiff(tags=[(274, SHORT, [number])]).write(PIXELS),
    "TIFF, compressed": lambda number: Tiff(compression=DEFLATE, tags=[(274, SHORT, [number])]).write(PIXELS),
    "TIFF that Pillow does not read": lambda number: Tiff(16, "i", ">", tags=[(274, SHORT, [number])]).write(PIXELS),
    "JPEG XL": lambda number: bytes(imagecodecs.jpegxl_encode_jpeg(TURNED["JPEG"](number))),  # its decoder turns it
}
TURNED_BEFORE = [name for name in TURNED if name.startswith(("TIFF", "JPEG XL"))]


def greys(content, reading=USUAL):
    return np.asarray(open_radiograph(content, reading).image).astype(int)


def alike(pixels, expected):
    """Tell whether all pixels but those at edges, which coders smear, are those expected, in the range of 8 bits."""
    spread = (expected - expected.min()) * (255 / np.ptp(expected)) if pixels.max() == 255 else expected
    return pixels.shape == expected.shape and np.median(abs(pixels - spread)) <= 2


@pytest.mark.parametrize("number", UPRIGHT)
@pytest.mark.parametrize("name", TURNED)
def test_a_picture_is_shown_as_its_file_tells_it_in_every_format(name, number):
    content = TURNED[name](number)
    assert alike(greys(content), UPRIGHT[number])
    assert alike(greys(content, STORED), UPRIGHT[number if name in TURNED_BEFORE else 1])


@pytest.mark.parametrize("told", [0, 9, 65535])
def test_a_number_that_stands_for_no_turn_is_none(told):
    assert alike(greys(saved("JPEG", quality=100, exif=exif(told))), PIXELS)


@pytest.mark.parametrize("damaged", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nothing", exif(6)[:20]])
def test_damaged_exif_turns_nothing_and_warns_of_nothing(damaged, recwarn):
    assert alike(greys(saved("JPEG", quality=100, exif=damaged)), PIXELS)
    assert not list(recwarn)


def test_a_pillow_image_is_turned_as_its_file_would_be():
    for name in ("JPEG", "TIFF"):
        image = Image.open(io.BytesIO(TURNED[name](6)))
        assert alike(np.asarray(open_given(image, None, USUAL).image).astype(int), UPRIGHT[6])


def test_a_cache_of_turned_pictures_is_another_one():
    new, old = (Decoding("/x", 50, "bilinear", orientation=orientation) for orientation in ("upright", "stored"))
    assert new.name != old.name
    assert "orientation" not in old.header


# --- what a checkpoint remembers


@pytest.fixture
def run(tmp_path):
    """A run from before there was a choice, and a picture that is stored turned."""
    (tmp_path / "turned.jpg").write_bytes(TURNED["JPEG"](6))
    return write_run(tmp_path)


def with_orientation(run, orientation):
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content[KEY]["data"]["init_args"]["orientation"] = orientation
    torch.save(content, file)


def test_a_checkpoint_from_before_sees_pictures_as_they_are_stored_a_new_one_upright(run, tmp_path):
    old = covidnet.load(run, "cpu")
    with_orientation(run, "upright")
    new = covidnet.load(run, "cpu")
    plain = saved("JPEG", quality=100)
    np.testing.assert_array_equal(old.decode(tmp_path / "turned.jpg"), old.decode(plain))
    turned = np.rot90(old.decode(plain), -1, axes=(1, 2)).astype(int)
    assert abs(new.decode(tmp_path / "turned.jpg") - turned).max() <= 1  # resizing rounds


@pytest.mark.parametrize("recorded", [None, "upright", "stored"])
@pytest.mark.parametrize("typed", [[], ["data=radiography"]])
def test_whoever_goes_on_with_a_checkpoint_reads_pictures_as_it_did(run, recorded, typed):
    if recorded:
        with_orientation(run, recorded)
    file = run / "checkpoints" / "best.ckpt"
    layer = recipe_layer(Checkpoint(file).recipe, file, expand(["fit", f"ckpt_path={file}", *typed]))
    data = layer["data"].get("init_args", layer["data"])
    assert data["orientation"] == (recorded or "stored")


def test_the_audit_tells_how_many_are_turned(tmp_path):
    for label in "AB":
        (tmp_path / label).mkdir()
        for number, kind in enumerate(("JPEG", "TIFF", "PNG", "JPEG XL")):
            content = TURNED[kind](6 if label == "A" else 1)
            (tmp_path / label / f"{number}.png").write_bytes(content)
    check = next(check for check in audit(tmp_path).report["checks"] if check["name"] == "format")
    assert check["details"]["turned"] == 4
    assert "4 are turned, as their files tell it." in check["sentence"]
