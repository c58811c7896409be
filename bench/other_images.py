"""Images that are no radiographs of the chest as they should lie: photographs, drawings, pages of text, turned ones.

The photographs are those that scikit-image and scikit-learn ship; the rest is drawn. Nothing downloads.
"""

from collections.abc import Iterator

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

CROPS = 12  # of each photograph
FACES = 100  # the first so many images of lfw_subset show faces
LETTERS = list("abcdefghijklmnopqrstuvwxyz      ,.")
# fmt: off
PHOTOGRAPHS = (  # the ones that lie in scikit-image's package; it would download others
    "astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "moon", "retina", "rocket",
)
# fmt: on


def other_images(drawn: int = 200, seed: int = 0) -> dict[str, list[Image.Image]]:
    """Return images by kind; ``drawn`` is how many drawings and pages there are."""
    rng = np.random.default_rng(seed)
    photographs = [Image.fromarray(pixels) for pixels in _photographs()]
    photographs += [_crop(photograph, rng) for photograph in photographs for _ in range(CROPS)]
    faces = (255 * skimage.data.lfw_subset()[:FACES]).clip(0, 255).astype(np.uint8)
    return {
        "photographs, in colour": [image for image in photographs if image.mode == "RGB"],
        "photographs, grey": [image.convert("L") for image in photographs],
        "faces, grey": [Image.fromarray(face).resize((200, 200), Image.Resampling.BILINEAR) for face in faces],
        "drawings": [draw_shapes(rng) for _ in range(drawn)],
        "pages of text": [draw_page(rng) for _ in range(drawn)],
        "one grey": [Image.new("L", (64, 64), grey) for grey in range(0, 256, 15)],
    }


def turned(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Return radiographs (N, C, S, S) inverted, and turned by 90, 180 and 270 degrees."""
    rotated = {f"turned by {90 * quarters}": np.rot90(pixels, quarters, axes=(2, 3)) for quarters in (1, 2, 3)}
    return {"inverted": 255 - pixels, **{name: np.ascontiguousarray(other) for name, other in rotated.items()}}


def draw_shapes(rng: np.random.Generator) -> Image.Image:
    """Draw ellipses, rectangles, lines and arcs: in black on white, or in colours, some of them filled."""
    width, height = rng.integers(200, 900, 2).tolist()
    coloured = rng.random() < 0.5

    def colour() -> tuple[int, ...]:
        return tuple(rng.integers(0, 256, 3).tolist()) if coloured else (0, 0, 0)

    image = Image.new("RGB", (width, height), colour() if coloured and rng.random() < 0.5 else (255, 255, 255))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 15)):
        left, right = sorted(rng.integers(0, width, 2).tolist())
        top, bottom = sorted(rng.integers(0, height, 2).tolist())
        box, line = (left, top, right + 2, bottom + 2), int(rng.integers(2, 8))
        filled = colour() if coloured and rng.random() < 0.5 else None
        match rng.integers(0, 4):
            case 0:
                pen.ellipse(box, fill=filled, outline=colour(), width=line)
            case 1:
                pen.rectangle(box, fill=filled, outline=colour(), width=line)
            case 2:
                pen.line(box, fill=colour(), width=line)
            case _:
                pen.arc(box, float(rng.integers(0, 180)), float(rng.integers(180, 360)), fill=colour(), width=line)
    return image


def draw_page(rng: np.random.Generator) -> Image.Image:
    """Draw lines of letters, dark on light paper or, in one of five, light on dark."""
    width, height = int(rng.integers(400, 1000)), int(rng.integers(500, 1200))
    dark = rng.random() < 0.2
    size, margin, top = int(rng.integers(10, 40)), int(rng.integers(10, 80)), int(rng.integers(10, 60))
    image = Image.new("L", (width, height), 20 if dark else int(rng.integers(225, 256)))
    pen, font, ink = ImageDraw.Draw(image), ImageFont.load_default(size), 235 if dark else int(rng.integers(0, 60))
    for line in range(top, height - size - 20, int(1.4 * size)):
        if rng.random() < 0.9:  # else the end of a paragraph
            letters = rng.choice(LETTERS, int((width - 2 * margin) / (size / 2) * rng.uniform(0.5, 1)))
            pen.text((margin, line), "".join(letters), fill=ink, font=font)
    return image


def _photographs() -> Iterator[NDArray[np.uint8]]:
    for name in PHOTOGRAPHS:
        yield getattr(skimage.data, name)()
    yield skimage.data.stereo_motorcycle()[0]
    yield from load_sample_images().images


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a square piece of an image, of 40 to 90 % of its shorter side."""
    side = int(min(image.size) * rng.uniform(0.4, 0.9))
    left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
    return image.crop((left, top, left + side, top + side))
