"""Two pictures that may show one radiograph: how one lies on the other, and how alike they are there.

One of them stays; the other is turned, mirrored, inverted, enlarged and moved until the two fit. First all orientations
are tried under a bank of small changes, coarsely; the best is then refined as Lucas and Kanade did, by the inverse
compositional algorithm (Baker and Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd), on the halved and then on the
whole thumbnail. Places are (row, column) in halves of a side from the middle, -1 to 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.pictures import Pictures, blur, burnt_out, detail_and_contrast

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

GRID = 12  # side on which orientations are compared, in cells
GUESSES = 2  # orientations of a pair that are refined, at most: a chest is nearly its own mirror image
NEARLY, POSSIBLE = 0.8, 0.45  # of the likeness of the best, and in itself: a guess of less is none
TURNS = (-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0)  # degrees of the bank
MOVE = 0.1  # of the bank, of half a side
# Steps, at every so many places, and the likeness from which on it goes on: on the halved and on the whole thumbnail.
COARSE, FINE = ((2, 2, 0.7), (3, 1, 0.8)), ((1, 1, 0.55), (3, 1, 0.75))
CHUNK = 64  # pairs at once: what they need fits into a processor's cache
LARGEST_STEP = 0.08
RIM = 0.11  # of half a side: letters, frames, collimation
SMOOTH = 0.7  # pixels; Gaussian of both pictures before the last comparison: that which was enlarged is less sharp
SOFTER = 0.8  # Gaussian of the halved thumbnail, in its pixels: what is finer would not find its place
FLAT = 1.0  # grey values of contrast; flatter regions, burnt out or black, tell nothing
LEAST_SEEN = 0.3  # share of a picture that must be left to compare


class Alignment(NamedTuple):
    """How pairs (P,) lie on one another, and how alike they are so."""

    likeness: Floats  # correlation of the fine detail where both show something; 0 where that is little
    orientation: Numbers  # 0 .. 7 of the picture that stays: bit 0 mirrored, bit 1 upside down, bit 2 transposed first
    inverted: NDArray[np.bool_]


class _Guesses(NamedTuple):
    """Ways (G,) in which some of the pairs may lie on one another."""

    pair: Numbers
    orientation: Numbers
    sign: Floats  # -1 where inverted
    maps: Floats


def align(pictures: Pictures, details: Pictures, staying: Numbers, moving: Numbers, shares: Floats) -> Alignment:
    """Align pairs (P,) of pictures (N, S, S), whose detail is known.

    The one that stays shows about the share ``shares`` of the sides of the one that moves.
    """
    low = blur(_halved(details), SOFTER)
    pair, orientation, sign, maps = _guessed(low, staying, moving, shares)
    going = np.arange(len(pair))
    for planes, (steps, every, least) in [(low, part) for part in COARSE] + [(details, part) for part in FINE]:
        found = np.empty(len(going), dtype=np.float32)
        for start in range(0, len(going), CHUNK):
            own = going[start : start + CHUNK]
            stays = sign[own, None, None] * oriented(planes[staying[pair[own]]], orientation[own])
            found[start : start + CHUNK], maps[own] = _refined(
                stays, planes[moving[pair[own]]], maps[own], steps, every
            )
        going = going[found >= least]
    stays = sign[going, None, None] * oriented(pictures[staying[pair[going]]], orientation[going])
    likeness = _compared(stays, pictures[moving[pair[going]]], maps[going])
    best = going[np.argsort(likeness, kind="stable")]  # of two guesses of a pair the better one is written last
    number = len(staying)
    result = Alignment(np.zeros(number, np.float32), np.zeros(number, np.int64), np.zeros(number, np.bool_))
    result.likeness[pair[best]] = np.sort(likeness, kind="stable")
    result.orientation[pair[best]] = orientation[best]
    result.inverted[pair[best]] = sign[best] < 0
    return result


def oriented(pictures: Pictures, orientations: Numbers) -> Pictures:
    """Return pictures (P, S, S), each transposed, then upside down, then mirrored, as its orientation says."""
    mirrored, upside_down, transposed = ((orientations & bit > 0)[:, None, None] for bit in (1, 2, 4))
    turned = np.where(transposed, pictures.swapaxes(1, 2), pictures)
    turned = np.where(upside_down, turned[:, ::-1], turned)
    return np.asarray(np.where(mirrored, turned[:, :, ::-1], turned))


def _halved(pictures: Pictures) -> Pictures:
    number, size, _ = pictures.shape
    return np.ascontiguousarray(pictures.reshape(number, size // 2, 2, size // 2, 2).mean(axis=(2, 4)))


def _places(size: int) -> Floats:
    """Return the homogeneous places (3, size * size) of a picture's pixels."""
    along = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    rows, columns = np.meshgrid(along, along, indexing="ij")
    return np.stack([rows.ravel(), columns.ravel(), np.ones(size * size, dtype=np.float32)])


def _bank(zoom: float) -> Floats:
    """Return the maps (B, 2, 3) of small turns, and of moves to each side, of a picture that is enlarged."""
    maps = []
    for turn in np.radians(TURNS):
        cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
        maps.append([[cos, sin, 0], [-sin, cos, 0]])
    for down in (-MOVE, 0, MOVE):
        for right in (-MOVE, 0, MOVE):
            if down or right:
                shrunk = [zoom * (1 - abs(move)) for move in (down, right)] if zoom == 1 else [zoom, zoom]
                maps.append([[shrunk[0], 0, down], [0, shrunk[1], right]])
    return np.array(maps, dtype=np.float32)


def _guessed(low: Pictures, staying: Numbers, moving: Numbers, shares: Floats) -> _Guesses:
    """Return the likeliest orientations of each pair, each with its best map of the bank."""
    cells = _halved(low)
    size = cells.shape[1]
    order = oriented(np.tile(np.arange(size * size).reshape(1, size, size), (8, 1, 1)), np.arange(8)).reshape(8, -1)
    found = []
    for share in np.unique(shares):
        own = np.flatnonzero(shares == share)
        bank = _bank(float(share))
        sampled = _sampling(bank @ _places(size), low.shape[1])  # (B, cells, pixels)
        moved = low[moving[own]].reshape(len(own), -1) @ sampled.reshape(-1, sampled.shape[-1]).T
        stays = cells.reshape(len(cells), -1)[staying[own]][:, order]
        likeness = _normal(stays) @ _normal(moved.reshape(len(own), len(bank), -1)).swapaxes(1, 2)  # (p, 8, B)
        strength = np.abs(likeness).max(axis=2)
        near = strength >= np.maximum(NEARLY * strength.max(axis=1, keepdims=True), POSSIBLE)
        pair, orientation = np.nonzero(near & (strength >= np.partition(strength, -GUESSES, axis=1)[:, -GUESSES, None]))
        chosen = np.abs(likeness[pair, orientation]).argmax(axis=1)
        sign = np.where(likeness[pair, orientation, chosen] < 0, -1, 1).astype(np.float32)
        found.append((own[pair], orientation, sign, bank[chosen]))
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 2, 3), np.float32))
    return _Guesses(*(np.concatenate(parts) for parts in zip(none, *found, strict=True)))


def _normal(rows: Floats) -> Floats:
    rows = rows - rows.mean(axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-6))


def _sampling(places: Floats, size: int) -> Floats:
    """Return the matrices (B, n, size * size) that sample pictures at places (B, 2, n), linearly."""
    pixels = ((places + 1) * (size / 2) - 0.5).clip(0, size - 1)
    weights = np.maximum(1 - np.abs(pixels[..., None] - np.arange(size)), 0)  # (B, 2, n, size)
    return np.asarray(weights[:, 0, :, :, None] * weights[:, 1, :, None, :], dtype=np.float32).reshape(
        *places.shape[::2], -1
    )


def _sampled(pictures: Pictures, places: Floats) -> Floats:
    """Return what pictures (P, S, S) show at places (P, 2, n), linearly; outside, their rim."""
    number, size, _ = pictures.shape
    pixels = ((places + 1) * (size / 2) - 0.5).clip(0, size - 1.001)
    whole = np.floor(pixels)
    down, right = (pixels - whole).swapaxes(0, 1)
    first = (whole[:, 0] * size + whole[:, 1]).astype(np.intp) + np.arange(0, number * size * size, size * size)[
        :, None
    ]
    flat = pictures.ravel()
    upper = flat.take(first)
    upper += (flat.take(first + 1) - upper) * right
    first += size
    lower = flat.take(first)
    lower += (flat.take(first + 1) - lower) * right
    return np.asarray(upper + (lower - upper) * down)


def _inside(places: Floats) -> NDArray[np.bool_]:
    near = np.abs(places) < 1 - RIM
    return np.asarray(near[:, 0] & near[:, 1])


def _refined(stays: Pictures, moves: Pictures, maps: Floats, steps: int, every: int) -> tuple[Floats, Floats]:
    """Return the likeness (P,) and the maps after some steps, by every so many places."""
    number, size, _ = stays.shape
    places = _places(size)
    inner = np.flatnonzero(_inside(places[None, :2])[0])[::every]
    places, rows = places[:, inner], stays.reshape(number, -1)[:, inner]
    slopes = np.stack(
        [np.gradient(stays, 2 / size, axis=axis).reshape(number, -1)[:, inner] for axis in (1, 2)], axis=1
    )
    change = (slopes[:, :, None] * places).reshape(number, 6, -1)  # of the picture that stays, by its map's six numbers
    curvature = change @ change.swapaxes(1, 2)
    damping = 0.01 * np.trace(curvature, axis1=1, axis2=2) / 6 + 1e-3
    back = np.linalg.inv(curvature + damping[:, None, None] * np.eye(6, dtype=np.float32))
    for step in range(steps + 1):
        at = maps @ places
        seen = _inside(at).astype(np.float32)
        own, other = _centred(rows, seen), _centred(_sampled(moves, at), seen)
        product, power = np.einsum("pn,pn->p", own, other), np.einsum("pn,pn->p", other, other) + 1e-6
        if step == steps:
            break
        error = (product / power).clip(0.2, 3)[:, None] * other - own
        delta = (back @ (change @ error[:, :, None])).reshape(number, 2, 3)
        maps = _undone_first(maps, delta.clip(-LARGEST_STEP, LARGEST_STEP))
    return np.asarray(product / np.sqrt(power * np.einsum("pn,pn->p", own, own) + 1e-6)), maps


def _centred(rows: Floats, seen: Floats) -> Floats:
    """Return rows (P, n) less their mean where they are seen, and 0 elsewhere."""
    mean = np.einsum("pn,pn->p", rows, seen) / (np.einsum("pn->p", seen) + 1)
    return np.asarray((rows - mean[:, None]) * seen)


def _undone_first(maps: Floats, delta: Floats) -> Floats:
    """Return the maps after the inverse of a small change of the places."""
    last = np.broadcast_to(np.array([[0, 0, 1]], dtype=np.float32), (len(maps), 1, 3))
    identity = np.eye(2, 3, dtype=np.float32)
    return np.asarray(maps @ np.linalg.inv(np.concatenate([identity + delta, last], axis=1)))


def _compared(stays: Pictures, moves: Pictures, maps: Floats) -> Floats:
    """Return the correlation of fine detail (P,) where both pictures show something."""
    if not len(stays):
        return np.empty(0, dtype=np.float32)
    size = stays.shape[1]
    places = _places(size)
    at = maps @ places
    seen = (_inside(at) & _inside(places[None, :2])).astype(np.float32)
    shown = _sampled(moves, at).reshape(stays.shape)
    rows = []
    for pictures in (stays, shown):
        fine, contrast = detail_and_contrast(blur(pictures, SMOOTH))
        seen *= ((contrast > FLAT) & ~burnt_out(pictures)).reshape(len(stays), -1)
        rows.append(fine.reshape(len(stays), -1))
    enough = seen.mean(axis=1) > LEAST_SEEN
    own, other = (_centred(row, seen) for row in rows)
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray(enough * (own * other).sum(axis=1) / np.maximum(lengths, 1))
