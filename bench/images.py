"""Radiographs to measure with: a folder's own images or drawn ones, enlarged, with slight noise, as PNG."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from covidnet.data.folder import RadiographFolder
from covidnet.data.phantoms import write_phantoms

NOISE = 2.0  # grey levels: enough that a PNG of an enlarged image is as large as a real one


def enlarge(file: Path, root: Path, out: Path, size: int) -> None:
    """Write ``file`` at ``size`` x ``size`` below ``out``, RGB as the database has it, with noise of its own."""
    target = out / file.relative_to(root).with_suffix(".png")
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(file) as image:
        grey = np.asarray(image.convert("L").resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    rng = np.random.default_rng(abs(hash(target.name)) % 2**32)
    noisy = (grey + rng.normal(0, NOISE, grey.shape)).clip(0, 255).astype(np.uint8)
    unfinished = target.with_suffix(".part")
    Image.fromarray(noisy).convert("RGB").save(unfinished, format="PNG", compress_level=3)
    unfinished.rename(target)


def prepare(source: Path | None, out: Path, size: int, per_class: int | None) -> Path:
    """Return a folder of enlarged images by class, made where it is missing."""
    root = source or write_phantoms(out / "phantoms")
    folder = RadiographFolder(root)
    chosen: list[Path] = []
    for label in range(len(folder.classes)):
        files = [root / path for path, target in zip(folder.paths, folder.targets, strict=True) if target == label]
        chosen += files[:per_class]
    made = out / f"{root.name}-{size}-{per_class or 'all'}"
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(enlarge, root=root, out=made, size=size), chosen, chunksize=16))
    return made
