"""What many images and many GPUs need, computed from measured figures and stated assumptions.

python -m bench.scaling --images 1000000 --gpus 64

Nothing is measured here. `--decode`, `--index` and `--open` are what bench.fill and bench.scale measured on two CPU
cores; `--rate`, `--network`, `--store` and `--cores` are assumptions: give those of your machines.
"""

import argparse
import math

MODELS = {"ConvNet": 4_720_515, "InceptionV3": 22_220_671}  # parameters for 3 classes
BYTES = 4  # of a gradient: float32, also with bfloat16 autocast
STEPS_STORED = 3  # values a parameter in a checkpoint: itself and the two moments of Adam


def cache_bytes(images: int, side: int, channels: int = 1) -> int:
    """Return the bytes of the decoded images: one byte a pixel and channel."""
    return images * side * side * channels


def decode_seconds(images: int, rate: float, cores: int) -> float:
    """Return the seconds that a node with ``cores`` takes at ``rate`` images a second and core."""
    return images / (rate * cores)


def all_reduce_seconds(values: int, processes: int, gigabits: float) -> float:
    """Return the seconds of a ring all-reduce: 2 (W - 1) / W x bytes / bandwidth (Patarasuk and Yuan 2009).

    Args:
        values: Gradients, float32.
        processes: W, over all nodes.
        gigabits: Bandwidth of the slowest link of the ring, in Gbit/s.
    """
    return 2 * (processes - 1) / processes * values * BYTES * 8 / (gigabits * 1e9)


def steps(images: int, batch: int, processes: int) -> int:
    """Return the steps of an epoch: the last one may be smaller."""
    return math.ceil(images / (batch * processes))


def table(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Return rows of what, how much and by which formula."""
    images, gpus, side = options.images, options.gpus, options.side
    nodes = math.ceil(gpus / options.gpus_per_node)
    cache = cache_bytes(images, side)
    source = images * options.file_kilobytes * 1e3
    share = images / gpus
    rows = [
        (
            "cache on each node",
            f"{cache / 1e9:.1f} GB",
            f"{images:,} x {side} x {side} bytes, grey; colour: x 3",
        ),
        (
            "building it, on each node",
            _time(decode_seconds(images, options.decode, options.cores)),
            f"{images:,} / ({options.decode:g} images/s x {options.cores} cores)",
        ),
        (
            "mirroring the files from a store, on each node",
            _time(source * 8 / (options.store * 1e9)),
            f"{source / 1e9:.0f} GB at {options.store:g} Gbit/s",
        ),
        (
            "opening a cache that is there, the processes of a node one after the other",
            f"{_time(images * options.open / 1e6)} x {options.gpus_per_node}",
            f"{options.open:g} us an image: every checksum is compared",
        ),
        (
            "index in memory, each process",
            f"{images * options.index / 1e9:.2f} GB",
            f"{options.index:g} bytes each",
        ),
        (
            "pixels to each GPU in an epoch",
            f"{cache / gpus / 1e9:.2f} GB",
            f"cache / {gpus}; none where the cache fits in 30 % of a GPU's free memory",
        ),
        (
            "and in a second",
            f"{options.rate * side * side / 1e6:.0f} MB/s",
            f"{options.rate:g} images/s x {side} x {side} bytes; of a node {options.gpus_per_node} times that",
        ),
        (
            "computing an epoch",
            _time(share / options.rate),
            f"{images:,} / {gpus} / {options.rate:g} images/s",
        ),
    ]
    for name, parameters in MODELS.items():
        seconds = all_reduce_seconds(parameters, gpus, options.network)
        computed = options.batch / options.rate
        rows.append(
            (
                f"{name}: all-reduce of a step",
                f"{seconds * 1e3:.2f} ms",
                f"2 x {gpus - 1}/{gpus} x {parameters * BYTES / 1e6:.1f} MB / {options.network:g} Gbit/s; a step of "
                f"{options.batch} images a GPU computes {computed * 1e3:.0f} ms",
            )
        )
        rows.append(
            (
                f"{name}: checkpoint, each epoch",
                f"{parameters * BYTES * STEPS_STORED / 1e6:.0f} MB",
                f"{parameters:,} x {STEPS_STORED} x {BYTES} bytes: weights and Adam's two moments; twice where the "
                "epoch was the best",
            )
        )
    number = steps(images, options.batch, gpus)
    return [*rows, ("steps an epoch", f"{number:,}", f"{images:,} / ({options.batch} x {gpus}), {nodes} nodes")]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--gpus-per-node", type=int, default=8)
    parser.add_argument("--side", type=int, default=256, help="data.image_size")
    parser.add_argument("--batch", type=int, default=32, help="data.batch_size, of each GPU")
    parser.add_argument("--decode", type=float, default=68.5, help="1024x1024 PNG a second and core (bench.fill)")
    parser.add_argument("--index", type=float, default=750, help="bytes an image (bench.scale)")
    parser.add_argument("--open", type=float, default=149, help="microseconds an image, on two cores (bench.scale)")
    parser.add_argument("--cores", type=int, default=96, help="of a node (assumed)")
    parser.add_argument("--rate", type=float, default=1500, help="images a second that a GPU trains on (assumed)")
    parser.add_argument("--network", type=float, default=400, help="Gbit/s between nodes (assumed)")
    parser.add_argument("--store", type=float, default=25, help="Gbit/s from an object store to a node (assumed)")
    parser.add_argument("--file-kilobytes", type=float, default=600, help="of an image file (assumed)")
    for what, amount, formula in table(parser.parse_args()):
        print(f"| {what} | {amount} | {formula} |")


if __name__ == "__main__":
    main()
