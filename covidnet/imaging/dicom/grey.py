"""The stored values of a DICOM frame -> grey values, as its header says that they are to be shown."""

import numpy as np
from numpy.typing import NDArray

from covidnet.imaging.dicom.frame import Frame, Samples
from covidnet.imaging.dicom.header import Header
from covidnet.imaging.radiograph import UnreadableImageError

VALUES = 1 << 16  # that 16 bits can hold

Floats = NDArray[np.float64]


def stored_bits(header: Header, precision: int = 0) -> int:
    """Return how many bits a pixel has: the header's number, or the compressed picture's where that is smaller."""
    told = header.integer("BitsStored", header.integer("BitsAllocated", 0))
    return min(told, precision) if precision else told


def to_grey(frame: Frame, header: Header) -> NDArray[np.uint8]:
    """Map samples ``(H, W)`` to uint8 through a table with one entry for each value that 16 bits can hold.

    The modality table or rescaling comes first, then the first VOI table, or else the first window (PS3.3 C.11.1 and
    C.11.2). Without either, or where the window lies beside all values, 8 bits are shown as they are and others scaled
    by their own minimum and maximum, padding left out. MONOCHROME1 is inverted, and so is what is to be
    presented inverted; rounding comes last.

    Raises:
        UnreadableImageError: Where rescaling leads to no finite number, a table is cut, or header and picture disagree.
    """
    signed = header.integer("PixelRepresentation", 0) == 1
    inverted = _is_inverted(header)
    bits = stored_bits(header, frame.precision)
    _refuse_other_bits(frame, header, signed=signed)
    stored = _stored_values(frame, header, bits, signed=signed)
    present = _present(frame.samples)
    content = present & ~_is_padding(stored, header, signed=signed)
    if content.any():
        present = content
    lowest = -(1 << (bits - 1)) if signed else 0
    range_of_bits = np.array([lowest, lowest + (1 << bits) - 1], dtype=np.float64)
    with np.errstate(all="ignore"):  # absurd numbers end as infinite ones, which are refused or clipped
        values = _rescale(stored.astype(np.float64), header, signed=signed)
        if not np.isfinite(values).all():
            raise UnreadableImageError("is a damaged DICOM file: its rescaling leads to no finite number")
        grey = _windowed(values, header, inverted=inverted)
        if grey is None or (_is_flat(grey[present].clip(0, 255)) and not _is_flat(values[present])):
            limits = _rescale(range_of_bits, header, signed=signed) if bits == 8 else values[present]
            grey = _scaled(values, limits, inverted=inverted)
        table = np.rint(np.nan_to_num(grey).clip(0, 255)).astype(np.uint8)
    return np.concatenate([table[part] for part in _parts(frame.samples)]).reshape(frame.samples.shape)


def _is_inverted(header: Header) -> bool:
    """Tell whether the lowest values are white (PS3.3 C.7.6.3.1.2 and C.11.6; both tell it of one and the same)."""
    shape = header.text("PresentationLUTShape")
    if shape not in ("", "IDENTITY", "INVERSE") or _table(header, "PresentationLUTSequence"):
        raise UnreadableImageError(
            "is a DICOM object with a presentation table of its own, which is not read; export it as PNG"
        )
    return header.text("PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"


def _refuse_other_bits(frame: Frame, header: Header, *, signed: bool) -> None:
    """Refuse a compressed picture that uses other bits than its header tells."""
    told, own = stored_bits(header), frame.precision
    highest_bit = frame.samples.itemsize * 8 - 1
    if frame.signed and not signed and (frame.samples >> highest_bit).any():
        raise UnreadableImageError(
            "is a damaged DICOM file: its header tells no sign, its compressed picture has negative values"
        )
    if not own or own == told:
        return
    values, lowest, highest = frame.samples, 0, (1 << told) - 1
    if own > told and signed:  # whether its sign fills the bits above or not
        values = values.astype(np.int64)
        values = np.where(values >> (own - 1) & 1, values - (1 << own), values)
        lowest = -(1 << (told - 1))
    elif own < told and (not signed or frame.exact_sign):
        return
    elif own < told:
        highest = (1 << (own - 1)) - 1  # else the highest bit may be a sign or none
    if values.min() < lowest or values.max() > highest:
        raise UnreadableImageError(
            f"is a damaged DICOM file: its header tells {told} {'signed ' if signed else ''}bits, its compressed "
            f"picture has {own}"
        )


def _table(header: Header, keyword: str) -> Header | None:
    """Return the first table of a sequence; None where there is none, or nothing in it."""
    item = header.item(keyword)
    return item if item is not None and item.raw("LUTDescriptor") and item.raw("LUTData") else None


def _stored_values(frame: Frame, header: Header, bits: int, *, signed: bool) -> NDArray[np.int64]:
    """Return what each of all sample values stands for: without stray bits, and with its sign."""
    stored = np.arange(VALUES)
    if not frame.precision:  # around values that were compressed there are no others
        stored = stored >> (header.integer("HighBit", bits - 1) + 1 - bits)
    if signed or not frame.precision:
        stored = stored & ((1 << bits) - 1)
    return stored - ((stored >> (bits - 1)) << bits) if signed else stored


def _rescale(stored: Floats, header: Header, *, signed: bool) -> Floats:
    """Apply the modality table, or else rescaling."""
    item = _table(header, "ModalityLUTSequence")
    if item is not None:
        return _looked_up(item, stored, signed=signed)[0]
    return stored * (header.number("RescaleSlope") or 1.0) + (header.number("RescaleIntercept") or 0.0)


def _windowed(values: Floats, header: Header, *, inverted: bool) -> Floats | None:
    """Return the greys, 0 to 255 and beyond, unrounded, of the first VOI table or window; None where there is none."""
    item = _table(header, "VOILUTSequence")
    if item is not None:
        entries, top = _looked_up(item, values, signed=bool((values < 0).any()))
        return (top - entries if inverted else entries) * (255.0 / top)
    center, width = header.number("WindowCenter"), header.number("WindowWidth")
    function = header.text("VOILUTFunction") or "LINEAR"
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    if function == "LINEAR":  # the standard's: from the first value to the last, both included
        center, width = center - 0.5, width - 1
    offsets = center - values if inverted else values - center
    if function == "SIGMOID":
        grey: Floats = 255.0 / (1.0 + np.exp(-4.0 * offsets / width))
        return grey
    return (offsets / width + 0.5) * 255.0 if width else np.sign(offsets) * 255.0


def _looked_up(item: Header, values: Floats, *, signed: bool) -> tuple[Floats, float]:
    """Look values up in a DICOM table; return the entries, and the highest number that an entry may be.

    That number is taken from the entries, for tables tell 16 bits where 12 are used.
    """
    count, _, _ = item.integers("LUTDescriptor")[:3]
    first = item.integers("LUTDescriptor", signed=signed)[1]
    count = count or VALUES
    data = item.raw("LUTData")
    if count <= len(data) < 2 * count:  # one byte an entry
        entries: NDArray[np.int64] = np.frombuffer(data, np.uint8, count).astype(np.int64)
    else:
        entries = np.array(item.integers("LUTData"), dtype=np.int64)[:count]
    if len(entries) < count:
        raise UnreadableImageError("is a damaged DICOM file: a table of grey values is shorter than it tells")
    index = np.rint(values.clip(first, first + count - 1) - first).astype(np.intp)
    return entries[index].astype(np.float64), float((1 << max(int(entries.max()).bit_length(), 1)) - 1)


def _scaled(values: Floats, limits: Floats, *, inverted: bool) -> Floats:
    """Scale from the minimum and maximum of ``limits`` to 0 and 255, by the formula of other formats' 16 bits."""
    if inverted:
        values, limits = -values, -limits
    low, high = float(limits.min()), float(limits.max())
    return (values - low) * (255.0 / (high - low) if high > low else 0.0)


def _is_flat(values: Floats) -> bool:
    return bool(values.min() == values.max())


def _is_padding(stored: NDArray[np.int64], header: Header, *, signed: bool) -> NDArray[np.bool_]:
    """Tell which stored values stand for no pixel."""
    value = header.integers("PixelPaddingValue", signed=signed)[:1]
    if not value:
        return np.zeros(VALUES, dtype=bool)
    ends = value + header.integers("PixelPaddingRangeLimit", signed=signed)[:1]
    return (stored >= min(ends)) & (stored <= max(ends))


def _present(samples: Samples) -> NDArray[np.bool_]:
    """Tell which of all sample values occur."""
    present = np.zeros(VALUES, dtype=bool)
    for part in _parts(samples):
        present[part] = True
    return present


def _parts(samples: Samples) -> list[Samples]:
    """Cut samples in pieces: as an index, each takes eight bytes while it is used."""
    flat = samples.reshape(-1)
    return [flat[start : start + (1 << 20)] for start in range(0, len(flat), 1 << 20)]
