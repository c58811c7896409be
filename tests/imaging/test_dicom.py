"""Facts about DICOM: which pixels an object gives, which objects are refused, and that nothing of a patient is told."""

import io
import logging
import struct
import subprocess
import sys
import time
import warnings
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import (
    apply_modality_lut,
    apply_presentation_lut,
    apply_voi,
    apply_voi_lut,
    apply_windowing,
    get_encoder,
)
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from covidnet.data.cache import Decoding, open_cache
from covidnet.data.folder import RadiographFolder
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evidence.audit import audit
from covidnet.evidence.inspection import inspect_files
from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.dicom import header as dicom_header
from covidnet.imaging.kinds import kind_of_content
from covidnet.imaging.radiograph import Reading, UnreadableImageError

RNG = np.random.default_rng(0)
ROWS, COLUMNS = 48, 60
SMOOTH = np.add.outer(np.arange(ROWS), np.arange(COLUMNS)) / (ROWS + COLUMNS - 2)  # (ROWS, COLUMNS) in [0, 1]
NAME = "Secret^Patient"
ANY = Reading(body_part="any")


def levels(bits):
    """Return smooth values that use all of these bits."""
    return np.rint(SMOOTH * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def header(pixels, bits=None, **elements):
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3.4"
    data.PatientName, data.PatientID, data.PatientBirthDate = NAME, "Secret7", "19010203"
    data.Modality, data.BodyPartExamined, data.ViewPosition = "CR", "CHEST", "PA"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in elements.items():
        if value is None:
            data.pop(name, None)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some values are wrong on purpose
                setattr(data, name, value)
    return data


def dicom(pixels, bits=None, *, syntax=ExplicitVRLittleEndian, coded=None, **elements):
    """Write a DICOM file of these pixels, or of these compressed bytes; None as an element leaves it out."""
    data = header(pixels, bits, **elements)
    if coded is not None:
        data.PixelData = encapsulate([coded])
        data["PixelData"].is_undefined_length = True
    elif "PixelData" not in elements:
        kind = ">" if syntax == ExplicitVRBigEndian else "<"
        plain = pixels.astype(pixels.dtype.newbyteorder(kind)).tobytes()
        data.PixelData = plain + bytes(len(plain) % 2)
    if "PixelData" in data:
        data["PixelData"].VR = "OW" if data.BitsAllocated > 8 and coded is None else "OB"
    return written(data, syntax)


def written(data, syntax=ExplicitVRLittleEndian):
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.get("SOPClassUID", ComputedRadiographyImageStorage)
    buffer = io.BytesIO()
    data.save_as(
        buffer,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return buffer.getvalue()


def decoded(content):
    return np.asarray(open_radiograph(content).image)


def reason(content):
    """Return why a file gives no pixels, "" where it gives some."""
    try:
        open_radiograph(content)
    except UnreadableImageError as error:
        return str(error)
    return ""


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table(entries, first=0, bits=16, stored=None):
    """Return a sequence of one grey table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries if stored is None else stored, "<u2").tobytes())
    return item


# --- which pixels


@pytest.mark.parametrize("ending", ["8 bits", "16 bits"])
def test_without_a_window_an_object_gives_the_pixels_of_the_same_png(ending):
    pixels = levels(8) // 2 + 20 if ending == "8 bits" else levels(16) // 3 + 5000
    np.testing.assert_array_equal(decoded(dicom(pixels)), decoded(png(pixels)), strict=True)


@pytest.mark.parametrize("bits", [7, 10, 12, 14])
def test_other_bits_are_scaled_by_their_own_minimum_and_maximum(bits):
    grey = decoded(dicom(levels(bits).astype(np.uint16), bits))
    np.testing.assert_array_equal(grey, np.rint(levels(bits) * (255 / ((1 << bits) - 1))))


SHOWN = {
    "nothing told": {},
    "a window": {"WindowCenter": 1800, "WindowWidth": 2000},
    "two windows": {"WindowCenter": [1800, 300], "WindowWidth": [2000, 100]},
    "an exact window": {"WindowCenter": 1800, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"},
    "a sigmoid": {"WindowCenter": 1800, "WindowWidth": 2000, "VOILUTFunction": "SIGMOID"},
    "rescaling": {"RescaleSlope": "0.5", "RescaleIntercept": "-1000"},
    "rescaling and a window": {
        "RescaleSlope": "0.5",
        "RescaleIntercept": "-1000",
        "WindowCenter": 100,
        "WindowWidth": 900,
    },
    "a table": {"VOILUTSequence": Sequence([table(np.arange(4096)[::-1] // 2 + 2047, bits=12)])},
    "a part of a table": {"VOILUTSequence": Sequence([table(np.arange(1000), first=900, bits=10)])},
    "two tables and a window": {
        "VOILUTSequence": Sequence([table(np.arange(4096)), table(np.zeros(4096))]),
        "WindowCenter": 5,
        "WindowWidth": 5,
    },
    "a modality table": {"ModalityLUTSequence": Sequence([table(np.arange(4096) ** 2 // 256)])},
}


@pytest.mark.parametrize("elements", SHOWN.values(), ids=SHOWN)
def test_monochrome1_is_monochrome2_inverted(elements):
    grey = decoded(dicom(levels(12), 12, **elements))
    inverted = decoded(dicom(levels(12), 12, PhotometricInterpretation="MONOCHROME1", **elements))
    assert abs(255 - grey.astype(int) - inverted).max() <= 1  # half a grey value is rounded to the even one
    assert np.ptp(grey) > 100


def test_both_interpretations_of_one_radiograph_give_the_same_pixels():
    for pixels, bits in ((levels(8), 8), (levels(12), 12), (levels(16), 16)):
        other = ((1 << bits) - 1 - pixels.astype(int)).astype(pixels.dtype)
        same = decoded(dicom(other, bits, PhotometricInterpretation="MONOCHROME1"))
        np.testing.assert_array_equal(decoded(dicom(pixels, bits)), same, strict=True)
    pair = {"WindowWidth": 1000, "WindowCenter": 1500}, {"WindowWidth": 1000, "WindowCenter": 4096 - 1500}
    grey = decoded(dicom(levels(12), 12, **pair[0]))
    same = decoded(dicom(4095 - levels(12), 12, PhotometricInterpretation="MONOCHROME1", **pair[1]))
    np.testing.assert_array_equal(grey, same)


@pytest.mark.parametrize(
    ("name", "signed"),
    [*((name, False) for name in SHOWN), *((name, True) for name in SHOWN if "table" not in name)],
)
def test_greys_are_those_of_pydicoms_own_functions(name, signed):
    elements = SHOWN[name]
    pixels = levels(12).astype(np.int16) - 2048 if signed else levels(12)
    content = dicom(pixels, 12, **elements)
    data = dcmread(io.BytesIO(content))
    values = apply_modality_lut(pixels, data)
    if "VOILUTSequence" in data:
        values = apply_voi(values, data)
        low, high = 0, (1 << int(values.max()).bit_length()) - 1
    elif "WindowCenter" in data:
        low, high = apply_modality_lut(np.array([-2048, 2047] if signed else [0, 4095]), data)
        values = apply_windowing(values, data)
    else:
        low, high = values.min(), values.max()
    expected = (values.astype(float) - low) / (high - low) * 255
    assert abs(decoded(content) - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("center", "width"), [(90_000, 100), (-500, 10), (100, 0), (100, -5), (100, 0.5)])
def test_a_window_that_shows_nothing_is_not_believed(center, width):
    grey = decoded(dicom(levels(12), 12, WindowCenter=center, WindowWidth=width))
    np.testing.assert_array_equal(grey, decoded(dicom(levels(12), 12)))


def test_a_window_of_one_value_is_a_threshold():
    grey = decoded(dicom(levels(12), 12, WindowCenter=2000, WindowWidth=1))
    np.testing.assert_array_equal(grey, np.where(levels(12) > 1999, 255, 0))


def test_a_table_that_tells_more_bits_than_it_uses_is_not_shown_dark():
    told, used = (decoded(dicom(levels(12), 12, VOILUTSequence=[table(np.arange(4096), bits=b)])) for b in (16, 12))
    np.testing.assert_array_equal(told, used)
    assert told.max() == 255


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_does_not_decide_the_scale(kind):
    pixels = levels(12) // 4 + 1000
    padded = pixels.copy()
    padded[:5], padded[-5:] = 4000, 4095
    told = {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095, "PhotometricInterpretation": kind}
    grey = decoded(dicom(padded, 12, **told))
    inner = decoded(dicom(pixels[5:-5], 12, PhotometricInterpretation=kind))
    np.testing.assert_array_equal(grey[5:-5], inner)
    assert grey[0, 0] == (0 if kind == "MONOCHROME1" else 255)  # beyond the values that count, on their side


def test_an_image_of_padding_alone_is_decoded():
    assert not decoded(dicom(np.full((4, 4), 7, np.uint16), 12, PixelPaddingValue=7)).any()


def test_bits_around_the_stored_ones_are_not_looked_at():
    twelve = levels(12)
    expected = decoded(dicom(twelve, 12))
    noise = RNG.integers(0, 16, twelve.shape).astype(np.uint16)
    np.testing.assert_array_equal(decoded(dicom(twelve | noise << 12, 12)), expected)
    np.testing.assert_array_equal(decoded(dicom(twelve << 4 | noise, 12, HighBit=15)), expected)


def test_negative_values_of_twelve_bits_are_read_with_their_sign():
    values = levels(12).astype(np.int16) - 2048
    for stored in (values, (values & 0xFFF).astype(np.int16)):  # with the sign in the upper four bits, and without
        np.testing.assert_array_equal(decoded(dicom(stored, 12)), decoded(dicom(levels(12), 12)))


# --- transfer syntaxes


def run_lengths(pixels):
    samples, bits = 1 if pixels.ndim == 2 else 3, 8 * pixels.dtype.itemsize
    told = {"rows": ROWS, "columns": COLUMNS, "samples_per_pixel": samples, "number_of_frames": 1}
    told |= {"bits_allocated": bits, "bits_stored": bits, "pixel_representation": 0, "planar_configuration": 0}
    kind = "MONOCHROME2" if samples == 1 else "RGB"
    return get_encoder(RLELossless).encode(pixels, photometric_interpretation=kind, **told)


def jpeg2k(pixels, bits, level):
    return imagecodecs.jpeg2k_encode(pixels, bitspersample=bits, codecformat="J2K", level=level)


CODERS = {  # syntax -> bits that it is tried with, coder, greatest difference of grey values
    RLELossless: ((8, 12, 16), lambda pixels, bits: run_lengths(pixels), 0),
    JPEGBaseline8Bit: ((8,), lambda pixels, bits: imagecodecs.jpeg8_encode(pixels, level=98), 2),
    JPEGExtended12Bit: ((8, 12), lambda p, bits: imagecodecs.jpeg8_encode(p, level=98, bitspersample=bits), 2),
    JPEGLossless: ((8, 10, 12, 16), lambda p, bits: imagecodecs.ljpeg_encode(p, bitspersample=bits), 0),
    JPEGLosslessSV1: (
        (8, 10, 12, 16),
        lambda p, bits: imagecodecs.jpeg8_encode(p, lossless=True, predictor=1, bitspersample=bits),
        0,
    ),
    JPEGLSLossless: ((8, 12, 16), lambda pixels, bits: imagecodecs.jpegls_encode(pixels), 0),
    JPEGLSNearLossless: ((8, 12), lambda pixels, bits: imagecodecs.jpegls_encode(pixels, level=2), 2),
    JPEG2000Lossless: ((8, 12, 16), lambda pixels, bits: jpeg2k(pixels, bits, 0), 0),
    JPEG2000: ((8, 12), lambda pixels, bits: jpeg2k(pixels, bits, 60), 3),
}
if hasattr(imagecodecs, "htj2k_encode"):  # not in the oldest version that we allow, which decodes it all the same
    CODERS[HTJ2KLossless] = ((8, 16), lambda pixels, bits: imagecodecs.htj2k_encode(pixels), 0)
CASES = [(syntax, bits) for syntax, (depths, *_) in CODERS.items() for bits in depths]


@pytest.mark.parametrize(("syntax", "bits"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_compressed_object_gives_the_pixels_of_the_plain_one(syntax, bits):
    _, code, difference = CODERS[syntax]
    window = {"WindowCenter": 1 << (bits - 1), "WindowWidth": 1 << bits}
    plain = decoded(dicom(levels(bits), bits, **window)).astype(int)
    grey = decoded(dicom(levels(bits), bits, syntax=syntax, coded=code(levels(bits), bits), **window))
    assert abs(plain - grey).max() <= difference


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.name,
)
@pytest.mark.parametrize("bits", [8, 12])
def test_each_plain_syntax_gives_the_same_pixels(syntax, bits):
    shown = SHOWN["rescaling and a window"] if bits == 12 else {}
    expected = decoded(dicom(levels(bits), bits, **shown))
    np.testing.assert_array_equal(decoded(dicom(levels(bits), bits, syntax=syntax, **shown)), expected)


def test_big_endian_bytes_that_were_written_as_words_are_put_in_order():
    data = header(levels(8))
    data.PixelData = levels(8).reshape(-1, 2)[:, ::-1].tobytes()
    data["PixelData"].VR = "OW"
    np.testing.assert_array_equal(decoded(written(data, ExplicitVRBigEndian)), levels(8))


def test_signed_values_are_read_from_a_compressed_object():
    values = levels(12).astype(np.int16) - 2048
    for coded, syntax in (
        (imagecodecs.jpeg8_encode(values.view(np.uint16), lossless=True, bitspersample=16), JPEGLosslessSV1),
        (imagecodecs.jpeg8_encode(values.view(np.uint16) & 0xFFF, lossless=True, bitspersample=12), JPEGLosslessSV1),
        (jpeg2k(values, 16, 0), JPEG2000Lossless),
    ):
        np.testing.assert_array_equal(
            decoded(dicom(values, 12, syntax=syntax, coded=coded)), decoded(dicom(values, 12))
        )


def test_a_picture_in_several_fragments_is_one_picture():
    data = header(levels(12), 12)
    data.PixelData = encapsulate([CODERS[JPEGLosslessSV1][1](levels(12), 12)], fragments_per_frame=3)
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    np.testing.assert_array_equal(decoded(written(data, JPEGLosslessSV1)), decoded(dicom(levels(12), 12)))


# --- colours

COLOUR = np.stack([levels(8), levels(8)[::-1], levels(8)[:, ::-1]], axis=-1)


def ycbcr(pixels):
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


COLOURED = {
    "by pixel": (dicom(COLOUR), 0),
    "by plane": (dicom(COLOUR, PlanarConfiguration=1, PixelData=COLOUR.transpose(2, 0, 1).tobytes()), 0),
    "YBR_FULL": (dicom(ycbcr(COLOUR), PhotometricInterpretation="YBR_FULL"), 3),
    "RLE": (dicom(COLOUR, syntax=RLELossless, coded=run_lengths(COLOUR)), 0),
    "JPEG": (
        dicom(
            COLOUR,
            syntax=JPEGBaseline8Bit,
            coded=imagecodecs.jpeg8_encode(COLOUR, level=98),
            PhotometricInterpretation="YBR_FULL_422",
        ),
        8,
    ),
    "JPEG of RGB": (
        dicom(
            COLOUR,
            syntax=JPEGBaseline8Bit,
            coded=imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace="RGB"),
        ),
        3,
    ),
    "JPEG 2000": (
        dicom(COLOUR, syntax=JPEG2000Lossless, coded=jpeg2k(COLOUR, 8, 0), PhotometricInterpretation="YBR_RCT"),
        0,
    ),
}


@pytest.mark.parametrize(("content", "difference"), COLOURED.values(), ids=COLOURED)
def test_a_coloured_capture_keeps_its_colours(content, difference):
    image, mode = open_radiograph(content)
    assert (image.mode, mode) == ("RGB", "RGB")
    assert abs(np.asarray(image).astype(int) - COLOUR).max() <= difference


def test_a_grey_capture_in_three_channels_is_grey():
    image, mode = open_radiograph(dicom(np.repeat(levels(8)[..., None], 3, axis=-1)))
    assert (image.mode, mode) == ("L", "RGB")
    np.testing.assert_array_equal(np.asarray(image), levels(8))


# --- what header and picture tell otherwise: right, as pydicom has it, or a sentence


def as_pydicom_shows(content):
    """Return the greys of one frame by pydicom's own functions, 0 to 255."""
    data = dcmread(io.BytesIO(content))
    values = apply_modality_lut(data.pixel_array, data)
    shown = apply_presentation_lut(apply_voi_lut(values, data), data).astype(float)
    if data.PhotometricInterpretation == "MONOCHROME1":
        shown = shown.max() - shown
    return (shown - shown.min()) / np.ptp(shown) * 255


EMPTY = Sequence([Dataset()])
WIDE_WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
J2K_SIGNED = imagecodecs.jpeg2k_encode(levels(12).astype(np.int16) - 2048, codecformat="J2K", level=0)
TOLD_OTHERWISE = {
    "an empty VOI table": dicom(levels(12), 12, VOILUTSequence=EMPTY),
    "an empty VOI table and a window": dicom(levels(12), 12, VOILUTSequence=EMPTY, **WIDE_WINDOW),
    "a VOI table of no item": dicom(levels(12), 12, VOILUTSequence=Sequence(), **WIDE_WINDOW),
    "shown inverted": dicom(levels(12), 12, PresentationLUTShape="INVERSE"),
    "shown inverted, with a window": dicom(levels(12), 12, PresentationLUTShape="INVERSE", **WIDE_WINDOW),
    "shown as it is": dicom(levels(12), 12, PresentationLUTShape="IDENTITY"),
    "12 bits in a picture of 16": dicom(levels(12), 12, syntax=JPEG2000Lossless, coded=jpeg2k(levels(12), 16, 0)),
    "16 bits of a picture of 12": dicom(levels(12), 16, syntax=JPEG2000Lossless, coded=jpeg2k(levels(12), 12, 0)),
    "a sign that the picture does not know": dicom(
        levels(12).astype(np.int16) - 2048, 12, syntax=JPEG2000Lossless, coded=jpeg2k(levels(12) ^ 2048, 12, 0)
    ),
}


@pytest.mark.parametrize("content", TOLD_OTHERWISE.values(), ids=TOLD_OTHERWISE)
def test_what_is_told_otherwise_is_shown_as_pydicom_shows_it(content):
    assert abs(decoded(content).astype(float) - as_pydicom_shows(content)).max() <= 1


def test_an_inverted_presentation_of_monochrome1_is_told_twice_and_done_once():
    once = dicom(levels(12), 12, PhotometricInterpretation="MONOCHROME1")
    twice = dicom(levels(12), 12, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(decoded(once), decoded(twice))


def jpeg(colours, stored, *, marks=True, **options):
    """Return a JPEG of colours, stored as RGB or YCbCr, with or without the segments that tell it."""
    coded = imagecodecs.jpeg8_encode(colours, level=98, colorspace="RGB", outcolorspace=stored, **options)
    if marks:
        return coded
    for mark in (b"\xff\xe0", b"\xff\xee"):
        if (at := coded.find(mark)) != -1:
            coded = coded[:at] + coded[at + 2 + int.from_bytes(coded[at + 2 : at + 4]) :]
    return coded


@pytest.mark.parametrize("told", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("stored", ["RGB", "YCbCr"])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit], ids=lambda syntax: syntax.name)
def test_a_jpeg_tells_its_colours_whatever_the_header_tells(told, stored, syntax):
    content = dicom(COLOUR, syntax=syntax, coded=jpeg(COLOUR, stored), PhotometricInterpretation=told)
    assert abs(decoded(content).astype(int) - COLOUR).max() <= 8


def test_of_a_jpeg_that_tells_no_colours_the_header_tells_them():
    coded = jpeg(COLOUR, "YCbCr", marks=False)
    content = dicom(COLOUR, syntax=JPEGBaseline8Bit, coded=coded, PhotometricInterpretation="YBR_FULL")
    assert abs(decoded(content).astype(int) - COLOUR).max() <= 8


def in_fragments(pieces, pixels, syntax):
    data = header(pixels)
    data.PixelData = encapsulate(pieces, has_bot=False)
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    return written(data, syntax)


COLOUR_JPEG = jpeg(COLOUR, "YCbCr")
DISAGREEING = {
    "a sign that the header does not know": (
        dicom(levels(12), 16, syntax=JPEG2000Lossless, coded=J2K_SIGNED, PixelRepresentation=0),
        "tells no sign, its compressed picture has negative",
    ),
    "more bits than told": (
        dicom(
            levels(12), 8, syntax=JPEGLosslessSV1, coded=CODERS[JPEGLosslessSV1][1](levels(12), 12), BitsAllocated=16
        ),
        "tells 8 bits, its compressed picture has 12",
    ),
    "a sign in a bit that may be none": (
        dicom(levels(12).view(np.int16), 16, syntax=JPEGLosslessSV1, coded=CODERS[JPEGLosslessSV1][1](levels(12), 12)),
        "tells 16 signed bits, its compressed picture has 12",
    ),
    "grey told of colours": (dicom(levels(8), syntax=JPEGBaseline8Bit, coded=COLOUR_JPEG), "of 1 channels.* of 3"),
    "colours told of grey": (
        dicom(COLOUR, syntax=JPEGBaseline8Bit, coded=imagecodecs.jpeg8_encode(levels(8))),
        "of 3 channels.* of 1",
    ),
    "planes in a third way": (dicom(COLOUR, PlanarConfiguration=2), "PlanarConfiguration is 2"),
    "colours told of a grey frame": (dicom(COLOUR, PixelData=levels(8).tobytes()), "truncated"),
    "grey told of a coloured frame": (dicom(levels(8), PixelData=COLOUR.tobytes()), "damaged .* holds 8,640"),
    "one frame told of three": (dicom(levels(8), NumberOfFrames=1, PixelData=levels(8).tobytes() * 3), "holds 8,640"),
    "JPEG frames without offsets": (
        in_fragments([imagecodecs.jpeg8_encode(levels(8))] * 3, levels(8), JPEGBaseline8Bit),
        "3 frames",
    ),
    "RLE frames without offsets": (in_fragments([run_lengths(levels(8))] * 2, levels(8), RLELossless), "2 frames"),
    "a presentation table": (dicom(levels(12), 12, PresentationLUTSequence=[table(range(256))]), "presentation table"),
}


@pytest.mark.parametrize(("content", "sentence"), DISAGREEING.values(), ids=DISAGREEING)
def test_what_header_and_picture_tell_otherwise_and_nobody_can_know_is_a_sentence(content, sentence):
    with pytest.raises(UnreadableImageError, match=sentence):
        open_radiograph(content)


# --- what is refused

PLAIN = levels(12)
REFUSED = {
    "CT": (dicom(PLAIN, 12, Modality="CT", SOPClassUID=CTImageStorage), "modality CT"),
    "a report": (dicom(PLAIN, 12, Modality="SR", PixelData=None), "modality SR"),
    "a modality that nobody knows": (dicom(PLAIN, 12, Modality="SECRET"), "another modality"),
    "a CT that calls itself a capture": (dicom(PLAIN, 12, Modality="OT", SOPClassUID=CTImageStorage), "CT Image Stor"),
    "a PDF": (dicom(PLAIN, 12, Modality="OT", SOPClassUID=EncapsulatedPDFStorage, PixelData=None), "PDF"),
    "raw data": (dicom(PLAIN, 12, Modality="DX", SOPClassUID=DigitalXRayImageStorageForProcessing), "raw data"),
    "raw data by intent": (dicom(PLAIN, 12, PresentationIntentType="FOR PROCESSING"), "raw data"),
    "a hand": (dicom(PLAIN, 12, BodyPartExamined="HAND"), "HAND"),
    "a spine": (dicom(PLAIN, 12, BodyPartExamined="L-spine"), "LSPINE"),
    "frames": (dicom(PLAIN, 12, NumberOfFrames=30), "30 frames"),
    "no pixels": (dicom(PLAIN, 12, PixelData=None), "without pixels"),
    "no rows": (dicom(PLAIN, 12, Rows=None), "without pixels"),
    "no interpretation": (dicom(PLAIN, 12, PhotometricInterpretation=None), "colours that its header does not name"),
    "a palette": (dicom(levels(8), PhotometricInterpretation="PALETTE COLOR"), "PALETTE COLOR"),
    "shared colours": (dicom(COLOUR, PhotometricInterpretation="YBR_FULL_422"), "YBR_FULL_422"),
    "deep colours": (dicom(COLOUR.astype(np.uint16)), "3 channels of 16 bits"),
    "32 bits": (dicom(PLAIN.astype(np.uint32)), "32 bits"),
    "bits that are not there": (dicom(PLAIN, 12, HighBit=3), "damaged"),
    "grey in three channels": (dicom(COLOUR, PhotometricInterpretation="MONOCHROME2"), "damaged"),
    "more pixels than bytes": (dicom(PLAIN, 12, Rows=ROWS + 1), "truncated .* 60 x 49 pixels, 5,880 bytes.* 5,760"),
    "more bytes than pixels": (dicom(PLAIN, 12, Columns=COLUMNS // 2), "damaged .* holds 5,760"),
    "a picture of another size": (
        dicom(PLAIN[:-1], 12, syntax=JPEGLosslessSV1, coded=CODERS[JPEGLosslessSV1][1](PLAIN, 12)),
        "its header tells 60 x 47 pixels of 1 channels, its compressed picture 60 x 48",
    ),
    "no picture": (dicom(PLAIN, 12, syntax=JPEG2000, coded=b"none"), "do not begin"),
    "a video": (dicom(levels(8), syntax=MPEG2MPML, coded=b"none"), "transfer syntax MPEG2 Main Profile"),
    "a private syntax": (dicom(levels(8), syntax=UID("1.2.3.4.5")), "private transfer syntax"),
    "a short table": (dicom(PLAIN, 12, VOILUTSequence=[table(range(900), stored=range(9))]), "shorter"),
    "an endless slope": (dicom(PLAIN, 12, RescaleSlope="1e308", RescaleIntercept="0"), "finite"),
    "nothing after the letters": (bytes(128) + b"DICM", "without pixels"),
    "random bytes after the letters": (bytes(128) + b"DICM" + RNG.bytes(500), "DICOM"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_chest_radiograph_is_refused_by_name(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        open_radiograph(content)


@pytest.mark.parametrize("part", ["", None, "CHEST", "THORAX", "LUNG", "RIB", "chest ap", "CHESTABDOMEN", "BRUSTKORB"])
def test_the_chest_under_any_name_is_read(part):
    assert decoded(dicom(levels(12), 12, BodyPartExamined=part)).shape == (ROWS, COLUMNS)


@pytest.mark.parametrize("modality", ["CR", "DX", "DR", "RG", "OT", "SC", None])
def test_radiographs_and_captures_are_read(modality):
    assert decoded(dicom(levels(12), 12, Modality=modality, SOPClassUID=None)).shape == (ROWS, COLUMNS)


def test_several_frames_that_no_header_tells_of_are_refused():
    data = header(levels(8))
    data.PixelData = encapsulate([run_lengths(levels(8))] * 3)
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    with pytest.raises(UnreadableImageError, match="3 frames"):
        open_radiograph(written(data, RLELossless))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLosslessSV1], ids=lambda syntax: syntax.name)
def test_a_gigantic_picture_is_refused_before_it_is_decoded(syntax, monkeypatch):
    coded = None if syntax == ExplicitVRLittleEndian else b"never looked at"
    content = dicom(levels(8), syntax=syntax, coded=coded, Rows=65_535, Columns=65_535)
    with pytest.raises(UnreadableImageError, match="too large: 65535 x 65535"):
        open_radiograph(content)


def test_a_gigantic_picture_under_a_small_header_is_refused_before_it_is_decoded():
    coded = bytearray(CODERS[JPEGLosslessSV1][1](levels(8), 8))
    at = coded.index(b"\xff\xc3")
    coded[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(UnreadableImageError, match="65535 x 65535"):
        open_radiograph(dicom(levels(8), syntax=JPEGLosslessSV1, coded=bytes(coded)))


# --- damage and hostility


def small(syntax):
    pixels = levels(8)[:6, :8]
    if syntax == ExplicitVRLittleEndian:
        return dicom(pixels, **SHOWN["two tables and a window"])
    if syntax == RLELossless:
        return dicom(levels(8), syntax=syntax, coded=run_lengths(levels(8)))
    return dicom(pixels, syntax=syntax, coded=CODERS[syntax][1](pixels, 8))


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless],
    ids=lambda syntax: syntax.name,
)
def test_damage_anywhere_gives_pixels_or_a_reason_without_the_patient(syntax, caplog, recwarn, capfd):
    content = small(syntax)
    cut = [content[:length] for length in range(132, len(content), max(len(content) // 60, 1))]
    at = RNG.integers(132, len(content), 100)
    changed = [content[:i] + bytes([content[i] ^ int(RNG.integers(1, 256))]) + content[i + 1 :] for i in at]
    for damaged in cut + changed:
        assert "Secret" not in reason(damaged)
    told = [*caplog.messages, *(str(warning.message) for warning in recwarn), *capfd.readouterr()]
    assert not [text for text in told if text]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *CODERS], ids=lambda syntax: syntax.name)
def test_an_object_that_was_cut_within_its_pixels_is_never_shown_in_part(syntax):
    content = dicom(levels(8), coded=CODERS[syntax][1](levels(8), 8) if syntax in CODERS else None, syntax=syntax)
    for left in (0.95, 0.8):
        with pytest.raises(UnreadableImageError, match=r"truncated|cut"):
            open_radiograph(content[: int(len(content) * left)])


@pytest.mark.parametrize("syntax", [s for s in CODERS if s != RLELossless], ids=lambda syntax: syntax.name)
def test_a_compressed_picture_without_its_end_is_never_shown_in_part(syntax):
    coded = CODERS[syntax][1](levels(8), 8)
    with pytest.raises(UnreadableImageError, match="truncated"):
        open_radiograph(dicom(levels(8), syntax=syntax, coded=coded[: len(coded) // 8 * 7]))


def test_no_word_of_the_patient_is_told(caplog, recwarn, capfd):
    caplog.set_level(logging.DEBUG)
    for keyword in ("Modality", "BodyPartExamined", "PhotometricInterpretation", "PresentationIntentType"):
        content = dicom(levels(12), 12, **{keyword: "SECRET PATIENT"})
        assert "SECRET" not in reason(content)
    wrong = dicom(levels(12), 12, SpecificCharacterSet="SECRET PATIENT", WindowCenter=0, WindowWidth=0)
    open_radiograph(wrong)
    told = [*caplog.messages, *(str(warning.message) for warning in recwarn), *capfd.readouterr()]
    assert not [text for text in told if text]


ITEM, END_OF_ITEM, END = (struct.pack("<HHL", 0xFFFE, element, 0) for element in (0xE000, 0xE00D, 0xE0DD))
ENDLESS = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
META = dicom(levels(8))[: dicom(levels(8)).index(b"\x08\x00\x16\x00")]


def sequence(group, element, value):
    return struct.pack("<HH2sHL", group, element, b"SQ", 0, 0xFFFFFFFF) + value


HOSTILE = {
    "empty items": META + sequence(0x0008, 0x1110, ITEM * 1_000_000),
    "empty items that are counted": META
    + struct.pack("<HH2sHL", 0x0028, 0x3010, b"SQ", 0, 8_000_000)
    + ITEM * 1_000_000
    + dicom(levels(8))[len(META) :],
    "nesting": META + sequence(0x0008, 0x1110, ENDLESS) * 20_000,
    "a length beyond the file": META + struct.pack("<HH2sHL", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFF0),
    "empty fragments": dicom(levels(8), syntax=RLELossless, coded=b"none")[:-8] + ITEM * 1_000_000 + END,
    "filling before a picture": dicom(
        levels(8), syntax=JPEGBaseline8Bit, coded=b"\xff\xd8" + b"\xff" * 3_000_000 + b"\xff\xd9"
    ),
    "run lengths without end": dicom(
        levels(8), syntax=RLELossless, coded=struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 2_000_000
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_answered_soon(content):
    began = time.process_time()
    told = reason(content)
    assert not told or "DICOM" in told
    assert time.process_time() - began < 5


def test_what_inflates_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(dicom_header, "EXTRA", 1_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    meta = dicom(levels(8), syntax=DeflatedExplicitVRLittleEndian)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(20_000_000)) + deflater.flush()
    start = 132 + 12 + int.from_bytes(meta[140:144], "little")
    with pytest.raises(UnreadableImageError, match="too large: it inflates to 3,000,000"):
        open_radiograph(meta[:start] + bomb)


# --- without a preamble


def bare(content, *, meta=False):
    """Return a DICOM file without its preamble and its letters, and without the file meta information too."""
    start = 132 if meta else 132 + 12 + int.from_bytes(content[140:144], "little")
    return content[start:]


BARE_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.mark.parametrize("meta", [False, True], ids=["without meta", "with meta"])
@pytest.mark.parametrize("syntax", BARE_SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("charset", [None, "ISO_IR 100"])
def test_a_file_without_preamble_gives_the_pixels_of_the_whole_one(syntax, meta, bits, charset):
    content = dicom(levels(bits), bits, syntax=syntax, SpecificCharacterSet=charset)
    stripped = bare(content, meta=meta)
    assert b"DICM" not in stripped[:200]
    np.testing.assert_array_equal(decoded(stripped), decoded(content))
    assert kind_of_content(stripped[:132]).name == "DICOM"


@pytest.mark.parametrize("syntax", CODERS, ids=lambda syntax: syntax.name)
def test_compressed_pixels_of_a_syntax_that_nothing_tells_are_refused_with_the_remedy(syntax):
    content = dicom(levels(8), syntax=syntax, coded=CODERS[syntax][1](levels(8), 8))
    np.testing.assert_array_equal(decoded(bare(content, meta=True)), decoded(content))
    with pytest.raises(UnreadableImageError, match=r"does not tell how .* write it anew with dcmconv of DCMTK"):
        open_radiograph(bare(content))


@pytest.mark.parametrize("syntax", BARE_SYNTAXES, ids=lambda syntax: syntax.name)
def test_damage_in_a_file_without_preamble_gives_pixels_or_a_reason_without_the_patient(syntax):
    content = bare(dicom(levels(8)[:6, :8], syntax=syntax))
    cut = [content[:length] for length in range(0, len(content), max(len(content) // 60, 1))]
    at = RNG.integers(0, len(content), 100)
    changed = [content[:i] + bytes([content[i] ^ int(RNG.integers(1, 256))]) + content[i + 1 :] for i in at]
    for damaged in cut + changed:
        assert "Secret" not in reason(damaged)


def test_what_looks_like_dicom_and_cannot_be_understood_names_the_remedy():
    with pytest.raises(UnreadableImageError, match=r"letters DICM .* dcmconv of DCMTK, or export it as PNG"):
        open_radiograph(b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200))


# --- another part of the body


@pytest.mark.parametrize("part", ["HAND", "L-spine", "ABDOMEN"])
def test_a_header_that_names_another_part_is_overruled_by_the_key_that_the_refusal_names(part):
    content = dicom(levels(12), 12, BodyPartExamined=part)
    with pytest.raises(UnreadableImageError, match=r"insist: data\.body_part=any, or --body-part any"):
        open_radiograph(content)
    image = open_radiograph(content, ANY).image
    np.testing.assert_array_equal(np.asarray(image), decoded(dicom(levels(12), 12)))


def test_whoever_insists_on_the_chest_is_still_given_no_ct():
    with pytest.raises(UnreadableImageError, match="modality CT"):
        open_radiograph(dicom(levels(12), 12, Modality="CT", BodyPartExamined="HEAD"), ANY)


def test_training_and_audit_read_another_part_where_that_is_insisted_on(tmp_path):
    for label, name in enumerate("AB"):
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = np.roll(levels(12), 5 * number + 20 * label, axis=1)
            (tmp_path / name / f"1.2.{number}").write_bytes(dicom(pixels, 12, BodyPartExamined="SKULL"))
    options = {"root": str(tmp_path), "image_size": 24, "test_per_class": 1, "duplicates": False}
    with pytest.raises(UserError, match=r"8 images .* cannot be read:\n.*insist: data\.body_part=any"):
        _ = Radiographs(**options).images
    for cache in (True, False):
        assert len(Radiographs(**options, body_part="any", cache=cache).images.paths) == 8
    with pytest.raises(UserError, match="None of the 8 images"):
        audit(tmp_path)
    assert "All 8 images can be read" in audit(tmp_path, body_part="any").report["checks"][0]["sentence"]


def test_a_cache_of_any_part_gives_nothing_to_a_run_on_chests(tmp_path):
    (tmp_path / "hand.dcm").write_bytes(dicom(levels(12), 12, BodyPartExamined="HAND"))
    how = (tmp_path, ["hand.dcm"], 24, "bilinear", tmp_path / "cache")
    assert not open_cache(*how, reading=ANY)[1]
    assert list(open_cache(*how)[1]) == ["hand.dcm"]
    assert not open_cache(*how, reading=ANY)[1]


def test_a_cache_from_before_there_was_a_body_part_holds():
    """Its folder is named by a hash, and its journal begins with this line."""
    decoding = Decoding("/x", 50, "bilinear", decoder=1, resizer="Pillow 13", format=2)
    assert "body_part" not in decoding.header
    assert decoding.name == "d75577ee4028821ab3ca"
    assert replace(decoding, body_part="any").name != decoding.name


# --- beside the decoding


def test_pydicom_is_not_imported_where_no_dicom_is_met(tmp_path):
    (tmp_path / "1.png").write_bytes(png(levels(8)))
    script = (
        "import pathlib, sys; from covidnet.imaging.decode import open_radiograph; "
        "open_radiograph(pathlib.Path(sys.argv[1]).read_bytes()); sys.exit('pydicom' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "1.png")], check=True)


@pytest.fixture
def hospital(tmp_path):
    """Two classes of DICOM files beside a PNG, one of them under no telling ending."""
    for label, name in enumerate(("A", "B")):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = np.roll(levels(12), 7 * number + 20 * label, axis=1)
            ending = ("dcm", "DICOM", "png")[number]
            (tmp_path / name / f"{number}.{ending}").write_bytes(dicom(pixels, 12))
        (tmp_path / name / "3.png").write_bytes(png(levels(8)))
    (tmp_path / "A" / "ct.dcm").write_bytes(dicom(levels(12), 12, Modality="CT"))
    return tmp_path


def test_a_folder_lists_dicom_files_and_the_cache_decodes_them(hospital, tmp_path_factory):
    paths = RadiographFolder(hospital).paths
    assert paths == [*(f"A/{name}" for name in ("0.dcm", "1.DICOM", "2.png", "3.png", "ct.dcm")), *paths[5:]]
    assert len(paths) == 9
    cache, unreadable = open_cache(hospital, paths, 24, "bilinear", tmp_path_factory.mktemp("cache"))
    assert list(unreadable) == ["A/ct.dcm"]
    assert "modality CT" in unreadable["A/ct.dcm"]
    image = open_radiograph((hospital / "A" / "0.dcm").read_bytes()).image
    expected = np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(cache.gather(np.array([0]))[0, 0], expected)


def test_a_folder_of_dicom_with_and_without_ending_loses_none(tmp_path):
    """As a disc, a PACS and a viewer leave them: by UID, by number, in folders of their own, without preamble."""
    content = dicom(levels(12), 12)
    names = ["1.2.840.113619.2.55.3", "IM0001", "1.2.840.9/1.2.840.9.1", "a.dcm", "scan.img", "0001.0002"]
    for label in "AB":
        for name in [*names, "bare"]:
            (tmp_path / label / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / label / name).write_bytes(bare(content) if name == "bare" else content)
        (tmp_path / label / "DICOMDIR").write_bytes(content)
        (tmp_path / label / "VERSION").write_text("1.0")
    folder = RadiographFolder(tmp_path)
    assert folder.class_counts == {"A": 7, "B": 7}
    assert dict(folder.ignored)["A/DICOMDIR"].startswith("is the index of a DICOM disc")
    assert dict(folder.ignored)["B/VERSION"] == "is no image (no ending)"
    cache, unreadable = open_cache(tmp_path, folder.paths, 24, "bilinear", tmp_path / "cache")
    assert (len(cache.index), unreadable) == (14, {})


def test_an_audit_looks_into_dicom_files(hospital):
    first, *_, ct = inspect_files([hospital / "A" / name for name in ("0.dcm", "3.png", "ct.dcm")])
    assert (first.mode, first.size, first.coloured) == ("I;16", (COLUMNS, ROWS), False)
    assert "modality CT" in ct
