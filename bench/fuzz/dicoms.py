"""DICOM files whose header and pixels may disagree: shown as pydicom shows them, or refused by a sentence."""

import io
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_presentation_lut, apply_voi_lut
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from bench.fuzz.running import expect
from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.radiograph import UnreadableImageError

ROWS, COLUMNS = 12, 16
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
SYNTAXES = (*NATIVE, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
TABLES = ("none", "no item", "an empty item", "a table")
DEPTHS = (8, 10, 12, 16)


@dataclass(frozen=True)
class Case:
    """What a header tells, and what is stored."""

    syntax: str
    told: int  # bits
    stored: int
    signed: bool
    truly_signed: bool
    colours: str
    channels: int
    frames: int
    told_frames: str
    planar: int
    shape: str  # of the presentation
    table: str
    window: bool
    slope: str
    rows: int  # more than there are
    seed: int

    def write(self) -> bytes:
        """Return the file."""
        rng = np.random.default_rng(self.seed)
        low = -(1 << (self.stored - 1)) if self.truly_signed else 0
        kind = f"{'i' if self.truly_signed else 'u'}{1 if self.stored <= 8 else 2}"
        shape = (ROWS, COLUMNS, 3) if self.channels == 3 else (ROWS, COLUMNS)
        pixels = (rng.integers(0, 1 << self.stored, shape) + low).astype(kind)
        data = self._header()
        if self.syntax in NATIVE:
            order = ">" if self.syntax == ExplicitVRBigEndian else "<"
            plain = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() * self.frames
            data.PixelData = plain + bytes(len(plain) % 2)
        else:
            data.PixelData = encapsulate([self._coded(pixels)] * self.frames, has_bot=False)
            data["PixelData"].is_undefined_length = True
        data["PixelData"].VR = "OW" if data.BitsAllocated > 8 and self.syntax in NATIVE else "OB"
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = self.syntax
        data.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        content = io.BytesIO()
        data.save_as(
            content,
            implicit_vr=self.syntax == ImplicitVRLittleEndian,
            little_endian=self.syntax != ExplicitVRBigEndian,
            enforce_file_format=True,
        )
        return content.getvalue()

    def _coded(self, pixels: NDArray[Any]) -> bytes:
        if self.syntax == JPEG2000Lossless:
            return bytes(imagecodecs.jpeg2k_encode(pixels, bitspersample=self.stored, codecformat="J2K", level=0))
        plain = pixels.view(f"u{pixels.itemsize}") & ((1 << self.stored) - 1)
        plain = plain.astype(f"u{pixels.itemsize}")
        if self.syntax == JPEGLSLossless:
            return bytes(imagecodecs.jpegls_encode(plain))
        if self.syntax == JPEGLosslessSV1:
            return bytes(imagecodecs.jpeg8_encode(plain, lossless=True, predictor=1, bitspersample=self.stored))
        return bytes(imagecodecs.jpeg8_encode((plain >> max(self.stored - 8, 0)).astype(np.uint8), level=95))

    def _header(self) -> Dataset:
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
        data.Modality, data.BodyPartExamined = "CR", "CHEST"
        data.Rows, data.Columns = ROWS + self.rows, COLUMNS
        data.SamplesPerPixel = 3 if self.colours not in ("MONOCHROME1", "MONOCHROME2") else 1
        data.PhotometricInterpretation = self.colours
        if data.SamplesPerPixel == 3:
            data.PlanarConfiguration = self.planar
        data.BitsAllocated = 8 if self.told <= 8 else 16
        data.BitsStored, data.HighBit = self.told, self.told - 1
        data.PixelRepresentation = int(self.signed)
        if self.told_frames:
            data.NumberOfFrames = self.told_frames
        if self.shape:
            data.PresentationLUTShape = self.shape
        if self.window:
            middle = 0 if self.signed else 1 << (self.told - 1)
            data.WindowCenter, data.WindowWidth = middle, 1 << self.told
        if self.slope:
            data.RescaleSlope, data.RescaleIntercept = self.slope, "-5"
        if self.table != "none":
            data.VOILUTSequence = {"no item": [], "an empty item": [Dataset()]}.get(self.table, [_table()])
        return data


def _table() -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "US", (np.arange(4096) ** 2 // 4096).tolist())
    return item


dicoms = st.builds(
    Case,
    syntax=st.sampled_from(SYNTAXES),
    told=st.sampled_from(DEPTHS),
    stored=st.sampled_from((*DEPTHS, *DEPTHS[1:])),
    signed=st.booleans(),
    truly_signed=st.booleans(),
    colours=st.sampled_from([*["MONOCHROME1", "MONOCHROME2"] * 5, "RGB", "YBR_FULL", "YBR_FULL_422"]),
    channels=st.sampled_from([1] * 8 + [3]),
    frames=st.sampled_from([1] * 9 + [2]),
    told_frames=st.sampled_from([""] * 9 + ["1", "2", "0"]),
    planar=st.sampled_from([0, 0, 1, 2]),
    shape=st.sampled_from(["", "", "IDENTITY", "INVERSE"]),
    table=st.sampled_from(TABLES),
    window=st.booleans(),
    slope=st.sampled_from(["", "0.5"]),
    rows=st.sampled_from([0] * 9 + [1]),
    seed=st.integers(0, 2**32 - 1),
)


def show_as_pydicom(case: Case) -> None:
    """Decode a file: greys whose order is that of pydicom's own, or a sentence."""
    content = case.write()
    try:
        greys = np.asarray(open_radiograph(content).image).astype(float)
    except UnreadableImageError as error:
        expect(bool(str(error)), "no reason")
        return
    expect(greys.shape[:2] == (ROWS, COLUMNS), "another size")
    unseen = case.syntax in NATIVE and (case.told > 8) != (case.stored > 8)  # two frames have the bytes of one
    expect(case.frames == 1 or unseen, "one of several frames is shown")
    expected = _of_pydicom(content)
    if expected is None or greys.ndim == 3 or expected.ndim == 3:
        return
    order = np.lexsort((greys.reshape(-1), expected.reshape(-1)))
    expect((np.diff(greys.reshape(-1)[order]) >= 0).all(), f"other greys than pydicom's: {case}")


def _of_pydicom(content: bytes) -> NDArray[np.float64] | None:
    """Return the values that pydicom shows, brighter ones higher; None where it shows none."""
    try:
        data = dcmread(io.BytesIO(content))
        values = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)
        if data.PhotometricInterpretation == "MONOCHROME1":
            return -values.astype(np.float64)
        return apply_presentation_lut(values.astype(np.float64), data)
    except Exception:  # whatever it meets: then nothing is compared
        return None
