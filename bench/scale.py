"""What grows with the number of images: seconds to build and to open the cache, memory of a training process.

python -m bench.scale --images 25000 50000 100000
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

CLASSES = ("a", "b", "c")
SIDE = 256


def draw(number: int, root: Path) -> None:
    """Write one smooth random grey JPEG of 256x256, each its own."""
    file = root / CLASSES[number % 3] / f"{number}.jpg"
    if not file.exists():
        coarse = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, quality=75)


def subset(whole: Path, count: int) -> Path:
    """Return a folder with hard links to the first ``count`` images of ``whole``."""
    root = whole.with_name(f"scale-{count}")
    for name in CLASSES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"{CLASSES[number % 3]}/{number}.jpg"
        if not (root / name).exists():
            os.link(whole / name, root / name)
    return root


def worker(root: Path, cache: Path, *, epoch: bool) -> None:
    """Open the cache, and serve one epoch from it; print seconds and memory."""
    from covidnet.data.module import RadiographyDataModule

    began = time.perf_counter()
    data = RadiographyDataModule(str(root), image_size=SIDE, batch_size=250, metadata="none", cache_dir=str(cache))
    data.prepare_data()
    opened = time.perf_counter() - began
    data.setup("fit")
    if epoch:
        for _images, _labels in data.train_dataloader():
            pass
    print(json.dumps({"open": opened, "anonymous": _memory("RssAnon"), "images": len(data.images.paths)}))


def _memory(kind: str) -> int:
    """Return this process's memory in bytes: RssAnon is its own, without the pages of mapped files (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def start(root: Path, cache: Path, *options: str) -> subprocess.Popen[str]:
    """Run ``worker`` in a process of its own."""
    command = [sys.executable, "-m", "bench.scale", "--worker", str(root), str(cache), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def kill_midway(root: Path, cache: Path, count: int) -> tuple[int, int]:
    """Kill a build with SIGKILL at about half; return how many images were finished then, and are still so after it."""
    process = start(root, cache)
    journals: list[Path] = []
    finished = 0
    while finished < count // 2 and process.poll() is None:
        time.sleep(0.2)
        journals = list(cache.glob("*/journal.jsonl"))
        finished = sum(line.startswith(b'{"path"') for line in journals[0].open("rb")) if journals else 0
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)  # its workers end when they find it gone
    before = {line for line in journals[0].read_bytes().splitlines() if line.startswith(b'{"path"')}
    start(root, cache).communicate()
    after = set(journals[0].read_bytes().splitlines())
    return len(before), len(before & after)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "covidnet-bench"))
    parser.add_argument("--worker", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--epoch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(*args.worker, epoch=args.epoch)
        return
    counts = sorted(args.images)
    whole = args.work / f"scale-{counts[-1]}"
    for name in CLASSES:
        (whole / name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(draw, root=whole), range(counts[-1]), chunksize=200))
    table = Table(title=f"{SIDE}x{SIDE} JPEG, {os.cpu_count()} cores", title_justify="left")
    for column in ("images", "build s", "images/s", "open again s", "memory MB", "bytes an image more"):
        table.add_column(column, justify="right")
    last: tuple[int, int] | None = None
    for count in counts:
        root, cache = subset(whole, count), Path(tempfile.mkdtemp(dir=args.work))
        built = json.loads(start(root, cache).communicate()[0])
        again = json.loads(start(root, cache, "--epoch").communicate()[0])
        memory = again["anonymous"]
        slope = f"{(memory - last[1]) / (count - last[0]):.0f}" if last else "-"
        rate = f"{count / built['open']:.0f}"
        table.add_row(f"{count:,}", f"{built['open']:.1f}", rate, f"{again['open']:.1f}", f"{memory / 1e6:.0f}", slope)
        last = count, memory
        shutil.rmtree(cache)
    Console(width=120).print(table)
    cache = Path(tempfile.mkdtemp(dir=args.work))
    before, after = kill_midway(subset(whole, counts[0]), cache, counts[0])
    shutil.rmtree(cache)
    print(f"kill -9 in mid-build of {counts[0]:,}: {before:,} images were finished, {after:,} of them were kept")


if __name__ == "__main__":
    main()
