"""Images a second: filling covidnet's cache against a bare multi-process decode-and-shrink of the same files.

python -m bench.fill --source FOLDER --size 1024
"""

import argparse
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from covidnet.data.cache import open_cache  # light, as train.py is: worker processes import this file


def shrink(path: str, size: int) -> bytes:
    """Decode with Pillow and shrink, as a plain script does; the pixels are thrown away by the caller."""
    with Image.open(path) as image:
        return image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR).tobytes()


def main() -> None:
    """Take turns and print both rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of radiographs by class; drawn ones where left out")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "covidnet-bench"))
    parser.add_argument("--size", type=int, default=1024, help="side of the PNG files")
    parser.add_argument("--per-class", type=int, help="use so many images a class; all where left out")
    parser.add_argument("--image-size", type=int, default=256, help="side that they are shrunk to")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    from bench.images import prepare
    from covidnet.data.folder import RadiographFolder

    root = prepare(args.source, args.work, args.size, args.per_class)
    folder = RadiographFolder(root)
    files = [str(root / path) for path in folder.paths]
    rates: dict[str, list[float]] = {"covidnet": [], "bare": []}
    for _ in range(args.rounds):
        cache = Path(tempfile.mkdtemp(dir=args.work))
        began = time.perf_counter()
        open_cache(root, folder.paths, args.image_size, cache_dir=cache)
        rates["covidnet"].append(len(files) / (time.perf_counter() - began))
        shutil.rmtree(cache)
        began = time.perf_counter()
        with ProcessPoolExecutor() as pool:
            for _pixels in pool.map(partial(shrink, size=args.image_size), files, chunksize=16):
                pass
        rates["bare"].append(len(files) / (time.perf_counter() - began))
    ours, bare = max(rates["covidnet"]), max(rates["bare"])
    print(f"{len(files)} PNG of {args.size}x{args.size} to {args.image_size}x{args.image_size}, {os.cpu_count()} cores")
    print(f"covidnet {ours:.0f} images/s, bare {bare:.0f} images/s, ratio {ours / bare:.2f} (best of {args.rounds})")


if __name__ == "__main__":
    main()
