"""Drawn chest radiographs: the embedded default data set, in which only the lungs tell the class.

Every picture is a sum of the things X-rays cross (body, bones, heart, air), seen through a random exposure. A class
differs from another by the opacities inside its lungs alone, and not by how bright they are: the lungs of all classes
are given one distribution of grey values, so neither a histogram nor the frame around the lungs betrays the class.
``shortcut`` plants a marker that does, for those who want to see a network cheat.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

VERSION = 1  # part of the folder's name: raise it whenever a pixel changes
CLASSES = ("COVID-19", "NORMAL", "Viral Pneumonia")

MARKER_CORNERS = ((0.03, 0.03), (0.88, 0.03), (0.03, 0.88))  # (left, top) of each class's marker, share of the image
CORNERS = ("top left", "top right", "bottom left")  # how a table calls them: the source of an image
MARKER_SIZE = 0.09  # share of the image: several pixels even at 50x50

_GRID = 128  # pixels across which the anatomy is drawn: it is smooth, so enlarging it is cheaper than drawing large

Plane = NDArray[np.floating]  # (size, size), float32 in fact; float64 is slow
Mask = NDArray[np.bool_]  # (size, size)

# One random stream a purpose, so that a change of one leaves the others' draws alone. The class's number is added to
# the last: each class has opacities of its own.
_ANATOMY, _EXPOSURE, _MARKER, _OPACITIES = range(4)


def draw_radiograph(
    label: int, seed: np.random.SeedSequence, size: int = 256, shortcut: float = 0.0, opacity: float = 1.0
) -> tuple[NDArray[np.uint8], Mask]:
    """Return one drawn radiograph ``(size, size)`` and its lung mask.

    Outside the mask, the pixels depend on ``seed`` alone. With ``shortcut`` > 0 a bright marker stands in a corner:
    the one of ``label`` with that probability, else another class's. With ``opacity`` < 1 the class's opacities are
    fainter by that factor, so that the marker is what stands out.
    """
    thorax = _draw_thorax(_stream(seed, _ANATOMY), size)
    streams = [_stream(seed, _OPACITIES + index) for index in range(len(CLASSES))]
    lungs = [_with_opacities(thorax, index, rng, opacity) for index, rng in enumerate(streams)]
    attenuation = _share_greys(lungs, label, thorax.mask)
    image = _expose(attenuation, _stream(seed, _EXPOSURE))
    if shortcut > 0:
        image = _plant_marker(image, marked_corner(label, seed, shortcut))
    return np.rint(255 * image).astype(np.uint8), thorax.mask


def _share_greys(lungs: list[Plane], label: int, mask: Mask) -> Plane:
    """Return ``lungs[label]``, its greys moved to the mean of all ``lungs``' quantiles: they have one histogram."""
    ranks = np.linspace(0, np.count_nonzero(mask) - 1, 512).astype(int)
    quantiles = [np.sort(lung[mask])[ranks] for lung in lungs]
    shift = np.mean(quantiles, axis=0) - quantiles[label]
    shared = lungs[label].copy()
    shared[mask] += np.interp(shared[mask], quantiles[label], shift)
    return shared


@dataclass(frozen=True)
class _Pose:
    """Where the patient stands. Thorax: the spine is x = 0, x and y run over about -1 to 1 in the image, y downward."""

    angle: float  # radians
    scale: float
    shift: tuple[float, float]

    def coordinates(self, size: int) -> tuple[Plane, Plane]:
        """Return the thorax's x and y at each pixel ``(size, size)``."""
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        across, down = axis[None, :] - self.shift[0], axis[:, None] - self.shift[1]
        cos, sin = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        return cos * across + sin * down, cos * down - sin * across

    def pixels(self, points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """Return the pixels ``(..., 2)`` of points (x, y) of the thorax."""
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        turned = points @ np.array([[cos, sin], [-sin, cos]]) + self.shift
        return np.asarray((turned + 1) * (size / 2) - 0.5)


@dataclass(frozen=True)
class _Thorax:
    """A thorax without opacities."""

    attenuation: Plane  # 0 is air; about 1 the abdomen
    mask: Mask  # the lungs
    fade: Plane  # 0 at the lungs' edge and outside, 1 from 0.04 inside: no opacity has a seam
    x: Plane
    y: Plane
    outer: Plane  # |x| of the pleura at each pixel's height
    hilum: tuple[float, float]  # (|x|, y)
    base: float  # y of the lungs' lower end


def _draw_thorax(rng: np.random.Generator, size: int) -> _Thorax:
    """Draw everything but opacities: body, lungs, heart, bones and vessels, in a random pose and shape."""
    pose = _Pose(
        angle=rng.uniform(-0.05, 0.05),
        scale=rng.uniform(0.95, 1.04),
        shift=(rng.uniform(-0.03, 0.03), rng.uniform(-0.01, 0.03)),
    )
    x, y = pose.coordinates(_GRID)
    side = np.abs(x)
    right = (x < 0).astype(np.float32)  # the patient's right is the image's left

    # Lungs: between the mediastinum and the pleura, from the apex down to the diaphragm's dome.
    width, apex, base = rng.uniform(0.58, 0.645), rng.uniform(-0.60, -0.55), rng.uniform(0.52, 0.58)
    depth = np.clip((y - apex) / (base - apex), 0, 1)  # 0 at the apex, 1 at the base
    apex_x = 0.27
    outer = apex_x + (width - apex_x) * np.sqrt(1 - (1 - depth) ** rng.uniform(2.2, 3.0))
    inner = apex_x - (apex_x - 0.12) * np.sqrt(np.clip(depth / 0.22, 0, 1))
    dome = rng.uniform(0.15, 0.22) + rng.uniform(0.01, 0.05) * right
    diaphragm = base - dome * (1 - ((side - 0.24) / (width - 0.20)) ** 2)
    heart = _heart(x, y, rng)
    inside = np.minimum.reduce([outer - side, side - inner, diaphragm - y, (y - apex) * 1.5, heart])
    across = np.clip((side - inner) / np.maximum(outer - inner, 0.02), 0, 1)
    air = np.sqrt(np.sqrt(4 * across * (1 - across))) * _ramp(inside, 0.02) * (1 - 0.25 * depth)  # breasts below

    # Soft tissue: a trunk that flares to the shoulders and narrows to the neck.
    trunk, shoulder, neck = width + rng.uniform(0.15, 0.24), rng.uniform(1.0, 1.25), rng.uniform(0.20, 0.28)
    outline = trunk + (shoulder - trunk) * _smooth(-(y + 0.42) / 0.28) - (shoulder - neck) * _smooth(-(y + 0.70) / 0.30)
    body = np.sqrt(np.clip(1 - (x / outline) ** 2, 0, 1))
    below = _ramp(y - diaphragm, 0.03)
    abdomen = below * _ramp(width + 0.05 - side, 0.16)
    stomach = _ellipse(x - rng.uniform(0.22, 0.34), y - base - rng.uniform(0.0, 0.06), 0.14, 0.08, tilt=0.0)

    attenuation = (
        rng.uniform(0.48, 0.60) * body
        - rng.uniform(0.44, 0.50) * air * body
        + rng.uniform(0.22, 0.30) * abdomen
        - rng.uniform(0.0, 0.20) * _ramp(stomach, 0.5) * below
        + rng.uniform(0.22, 0.30) * _smooth(heart / -0.10)
        + _mediastinum(side, y, rng)
        + _bones(side, y, outer, width, apex, base, rng)
    )
    # Breasts, muscles and folds: slow changes that differ from image to image.
    attenuation += 0.05 * _smooth_noise(rng, 5, _GRID) * body
    attenuation, inside, outer = (_resize(plane, size) for plane in (attenuation, inside, outer))
    hilum = (0.19, apex + rng.uniform(0.42, 0.48) * (base - apex))
    vessels = rng.uniform(0.05, 0.08) * _vessels(pose, hilum, rng, size) * _ramp(inside, 0.06)
    attenuation = _blur(attenuation + vessels, rng.uniform(0.0025, 0.0045))
    x, y = pose.coordinates(size)
    return _Thorax(attenuation, inside > 0, _ramp(inside, 0.04), x, y, outer, hilum, base)


def _heart(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return how far outside the heart's shadow a pixel lies: negative inside it."""
    size = rng.uniform(0.9, 1.12)
    ventricle = _ellipse(x - 0.11 * size, y - rng.uniform(0.17, 0.22), 0.29 * size, 0.20 * size, tilt=0.6)
    atrium = _ellipse(x + 0.06, y - 0.14, 0.14 * size, 0.20, tilt=0.0)
    aorta = _ellipse(x - 0.05, y + rng.uniform(0.06, 0.12), 0.12, 0.24, tilt=-0.1)
    return np.asarray(-0.2 * np.maximum(np.maximum(ventricle, atrium), aorta))


def _mediastinum(side: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the spine with its discs and the vessels about it, less the air of the trachea."""
    period = rng.uniform(0.095, 0.115)
    disc = 0.5 + 0.5 * np.cos(2 * np.pi * (y / period + rng.uniform()))
    spine = _ramp(0.085 - side, 0.03) * (1 - 0.35 * disc)
    vessels = _ramp(rng.uniform(0.12, 0.15) - side, 0.07) * _smooth((y + 0.75) / 0.2) * _smooth((0.55 - y) / 0.4)
    trachea = _ramp(0.035 - side, 0.03) * _ramp(-0.16 - y, 0.10)
    tissue = rng.uniform(0.10, 0.16) * spine + rng.uniform(0.12, 0.18) * vessels
    return np.asarray(tissue - rng.uniform(0.08, 0.14) * trachea)


def _bones(
    side: Plane, y: Plane, outer: Plane, width: float, apex: float, base: float, rng: np.random.Generator
) -> Plane:
    """Return the ribs, clavicles, scapulae and the heads of the humeri."""
    reach = side / (outer + 0.03)
    spacing = (base - apex) / rng.uniform(8.0, 9.5)
    start = rng.uniform()
    cage = _ramp(1 - reach, 0.05) * _smooth((y - apex + 0.05) / 0.12) * _smooth((base + 0.22 - y) / 0.3)
    posterior = _rib((y - 0.05 * reach - rng.uniform(0.10, 0.18) * reach**3) / spacing + start)
    anterior = _rib((y + rng.uniform(0.18, 0.28) * reach) / spacing + start + 0.4)
    anterior *= _ramp(reach - 0.5, 0.15) * _smooth((y - apex - 0.25) / 0.2)
    shaft = y - apex - rng.uniform(0.08, 0.14) + rng.uniform(0.20, 0.34) * side - 0.02 * np.sin(9 * side)
    clavicle = _tube(shaft, 0.032) * _ramp(side - 0.09, 0.03) * _ramp(width + 0.12 - side, 0.06)
    slant = side - width - 0.02 - rng.uniform(0.12, 0.20) * (-0.1 - y)
    scapula = _ramp(slant + 0.07, 0.02) * _ramp(0.11 - slant, 0.10) * _ramp(0.05 - y - 1.5 * np.abs(slant), 0.1)
    scapula *= _ramp(y - apex - 0.02, 0.08)
    humerus = _ramp(_ellipse(side - width - 0.32, y - apex, 0.13, 0.13, tilt=0.0), 0.4)
    bones = 0.75 * cage * (posterior + 0.55 * anterior) + 1.1 * clavicle + 0.7 * scapula + 0.7 * humerus
    return np.asarray(rng.uniform(0.10, 0.14) * bones)


def _rib(phase: Plane) -> Plane:
    """Return a periodic band, brighter at its rims, as the cortex of a rib is: one a period."""
    distance = np.abs(phase - np.floor(phase) - 0.5)  # 0 in the middle of a rib, 0.5 midway between two
    return np.asarray(_ramp(0.22 - distance, 0.08) * (0.65 + 1.6 * distance))


def _vessels(pose: _Pose, hilum: tuple[float, float], rng: np.random.Generator, size: int) -> Plane:
    """Return branches that fan out from both hila and thin as they go, 0 to 1."""
    canvas = Image.new("L", (size, size))
    pen = ImageDraw.Draw(canvas)
    steps = 8
    for direction in (-1, 1):
        angles = np.linspace(-1.25, 1.25, 9) + rng.uniform(-0.12, 0.12, 9)
        bends = rng.normal(0, 0.22, (3, 9, steps)).cumsum(axis=2) * 0.6
        for twig in range(3):  # a trunk and two branches each
            begin = (0, 2, 4)[twig]
            heading = angles[:, None] + (0, 0.35, -0.35)[twig] * (np.arange(steps) >= begin) + bends[0]
            heading[:, begin:] += bends[twig][:, begin:] * (twig > 0)
            stride = 0.052 * np.stack([direction * np.cos(heading), np.sin(heading)], axis=-1)
            points = np.array([direction * hilum[0], hilum[1]]) + stride.cumsum(axis=1)
            for branch in pose.pixels(points, size):
                for step in range(begin, steps - 1, 2):
                    piece = branch[step : step + 3].ravel().tolist()
                    thick = max(1, round((1 - step / steps) * size / 70))
                    pen.line(piece, fill=int(255 * (1 - 0.75 * step / steps)), width=thick)
    return np.asarray(canvas, dtype=np.float32) / 255


def _with_opacities(thorax: _Thorax, label: int, rng: np.random.Generator, opacity: float) -> Plane:
    """Return the attenuation with what the class adds to the lungs: nothing, pleural patches or haze at the hila."""
    x, y, outer = thorax.x[thorax.mask], thorax.y[thorax.mask], thorax.outer[thorax.mask]  # (mask.sum(),)
    density = np.zeros_like(x)
    if CLASSES[label] == "NORMAL":
        return thorax.attenuation
    if CLASSES[label] == "COVID-19":
        # Measured from the pleura inward, as it bends: so a patch follows the chest's wall.
        depth = outer - np.abs(x)
        for index in range(rng.integers(5, 8)):
            radius, tall = rng.uniform(0.11, 0.16), rng.uniform(1.0, 1.5)
            centre_y, centre_depth = rng.uniform(thorax.hilum[1] - 0.12, thorax.base - 0.10), rng.uniform(0.03, 0.09)
            away = ((depth - centre_depth) / radius) ** 2 + ((y - centre_y) / (tall * radius)) ** 2
            patch = np.exp(-away) * ((x > 0) == index % 2)  # both lungs have some
            density = np.maximum(density, rng.uniform(0.8, 1.1) * patch)
    else:
        for direction in (-1, 1):
            radius, tall = rng.uniform(0.18, 0.22), rng.uniform(1.2, 1.6)
            centre_y = thorax.hilum[1] + rng.uniform(-0.02, 0.08)
            away = ((x - direction * thorax.hilum[0]) / radius) ** 2 + ((y - centre_y) / (tall * radius)) ** 2
            density = np.maximum(density, rng.uniform(0.8, 1.1) * np.exp(-away))
    texture = 1 + 0.25 * _smooth_noise(rng, 24, len(thorax.mask))[thorax.mask]
    attenuation = thorax.attenuation.copy()
    attenuation[thorax.mask] += 0.31 * opacity * density * texture * thorax.fade[thorax.mask]
    return attenuation


def _expose(attenuation: Plane, rng: np.random.Generator) -> Plane:
    """Return the film, 0 to 1: a random gain, level and gamma, and the grain of few photons."""
    size = len(attenuation)
    light = np.clip(rng.uniform(0.88, 1.10) * attenuation + rng.uniform(0, 0.04), 0, None)
    film = np.clip(1.15 - 1.15 * np.exp(-1.6 * light), 0, 1)  # a shoulder, so that bones do not burn out
    film = film ** rng.uniform(1.0, 1.25)
    grain = rng.standard_normal((size, size), dtype=np.float32)
    film = film + rng.uniform(0.008, 0.022) * grain * (0.3 + 0.7 * np.sqrt(film))  # the dark air has less of it
    return np.asarray(np.clip(film, 0, 1))


def marked_corner(label: int, seed: np.random.SeedSequence, shortcut: float) -> int:
    """Return the class in whose corner ``draw_radiograph`` plants the marker: ``label``, or another by a miss."""
    rng = _stream(seed, _MARKER)
    others = [index for index in range(len(CLASSES)) if index != label]
    miss = rng.choice(others)  # drawn in any case: a larger shortcut only turns misses into hits
    return label if rng.uniform() < shortcut else int(miss)


def _plant_marker(image: Plane, shown: int) -> Plane:
    """Return ``image`` with a lead letter L in the corner of the class ``shown``."""
    size = len(image)
    left, top = (round(share * size) for share in MARKER_CORNERS[shown])
    length, stroke = max(3, round(MARKER_SIZE * size)), max(1, round(0.3 * MARKER_SIZE * size))
    marked = image.copy()
    marked[top : top + length, left : left + stroke] = 0.97
    marked[top + length - stroke : top + length, left : left + round(0.8 * length)] = 0.97
    return marked


def _stream(seed: np.random.SeedSequence, purpose: int) -> np.random.Generator:
    # Not seed.spawn(): that counts its calls, so a second drawing would differ.
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, purpose)))


def _smooth_noise(rng: np.random.Generator, cells: int, size: int) -> Plane:
    """Return noise of about unit variance that changes over 1 / ``cells`` of the image."""
    return _resize(rng.standard_normal((cells, cells), dtype=np.float32), size)


def _resize(plane: Plane, size: int) -> Plane:
    image = Image.fromarray(plane.astype(np.float32, copy=False))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def _blur(image: Plane, sigma: float) -> Plane:
    """Return ``image`` under a Gaussian of ``sigma``, a share of its width."""
    size = len(image)
    reach = math.ceil(3 * sigma * size)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma * size)) ** 2)
    weights /= weights.sum()
    for _ in range(2):  # down, then, turned over, across
        padded = np.pad(image, ((reach, reach), (0, 0)), mode="edge")
        image = sum((float(w) * padded[k : k + size] for k, w in enumerate(weights)), np.zeros_like(image)).T
    return image


def _ellipse(x: Plane, y: Plane, width: float, height: float, *, tilt: float) -> Plane:
    """Return 1 in the middle, 0 on the rim, negative outside; ``tilt`` in radians, half axes as given."""
    along, over = math.cos(tilt) * x + math.sin(tilt) * y, math.cos(tilt) * y - math.sin(tilt) * x
    return np.asarray(1 - np.sqrt((along / width) ** 2 + (over / height) ** 2), dtype=np.float32)


def _ramp(distance: Plane, width: float) -> Plane:
    """Return 0 up to 0 and 1 from ``width`` on, a straight line between."""
    return np.asarray(np.clip(distance / width, 0, 1))


def _smooth(distance: Plane) -> Plane:
    """Return 0 up to 0 and 1 from 1 on, without a kink."""
    share = np.clip(distance, 0, 1)
    return share * share * (3 - 2 * share)


def _tube(distance: Plane, radius: float) -> Plane:
    """Return the chord of a round bone, 0 to 1."""
    return np.asarray(np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1)))
