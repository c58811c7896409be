"""Features of images by an encoder: computed once, and kept on disk."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from covidnet.batch import to_images
from covidnet.data.cache import LOCK, explain_disk_errors
from covidnet.data.feature_shelf import FEATURES, Digest, Features, append_rows, digest_of, read_rows
from covidnet.data.images import Gather, Numbers
from covidnet.errors import UserError
from covidnet.files.folders import default_cache_dir, locked
from covidnet.files.plain_file import make_plain_folders
from covidnet.machine.parallel import progress_bar
from covidnet.machine.precision import full_precision
from covidnet.machine.telling import tell

BLOCK = 32  # images that an encoder sees at once
LONG = 5.0  # seconds above which it is told before how long the work takes
Encode = Callable[[Tensor], Tensor]  # images (B, 3, H, W) in [0, 1] -> features (B, F)
Given = Callable[[Numbers], Iterable[Tensor]]  # numbers (N,) -> pixels (B, C, S, S) uint8, BLOCK a batch


class Encoder(NamedTuple):
    """What makes features, and by what its features are kept.

    Attributes:
        encode: In evaluation mode, on ``device``.
        device: Where it is.
        name: Of the network, for people.
        key: What no other weights, layers or normalisation have; a word that can be the name of a folder.
    """

    encode: Encode
    device: torch.device
    name: str
    key: str


@torch.no_grad()
def features_of(
    encoder: Encoder,
    gather: Gather,
    numbers: Numbers,
    *,
    cache_dir: Path | None = None,
    keep: bool = True,
    batches: Given | None = None,
) -> Tensor:
    """Return the features (N, F) float32 of the images with these numbers, on the CPU, in float32 whatever trains.

    Those that were kept are read, the others computed, under a bar; two processes may call this at the same time.

    Args:
        encoder: What makes them.
        gather: Numbers (B,) -> pixels (B, C, S, S) uint8.
        numbers: (N,) of the images.
        cache_dir: Where they are kept; the user's cache folder where left out.
        keep: Keep them on disk, and read those that are there.
        batches: What gives pixels instead of ``gather``, ``BLOCK`` a batch: processes that decode, for instance.

    Raises:
        UserError: Where the disk is too small or not writable, or features are not finite.
    """
    given = batches or (lambda some: (torch.from_numpy(gather(part)) for part in _blocks(some)))
    if not keep:
        return _finite(np.concatenate([*_computed(encoder, given, numbers, kept="")]), encoder)
    digests = [digest_of(pixels) for part in _blocks(numbers) for pixels in gather(part)]
    above = cache_dir or default_cache_dir()
    folder = above / FEATURES / encoder.key
    with explain_disk_errors(folder, "features"):
        make_plain_folders(above, FEATURES, encoder.key)
        with locked(folder / LOCK):
            found = read_rows(folder, set(digests))
            new = {digest: number for digest, number in zip(digests, numbers, strict=True) if digest not in found}
            if new:
                found |= _added(folder, encoder, given, new)
    return _finite(np.stack([found[digest] for digest in digests]), encoder)


def _finite(features: Features, encoder: Encoder) -> Tensor:
    odd = int((~np.isfinite(features).all(axis=1)).sum())
    if odd:
        raise UserError(
            f"The features of {odd:,} of {len(features):,} images by {encoder.name} are not finite numbers, so no head "
            "can be fitted to them. Are its weights whole, and how it normalises images? Give other model.weights, or "
            "another model.backbone."
        )
    return torch.from_numpy(features)


def _added(folder: Path, encoder: Encoder, given: Given, new: dict[Digest, Any]) -> dict[Digest, Features]:
    """Compute the features of the images with these numbers, and add a block at a time to a shelf."""
    digests, numbers = list(new), np.array(list(new.values()), dtype=np.int64)
    found: dict[Digest, Features] = {}
    for features in _computed(encoder, given, numbers, kept=" They are kept for the next run."):
        own = digests[len(found) : len(found) + len(features)]
        append_rows(folder, encoder.name, own, features)
        found |= dict(zip(own, features, strict=True))
    return found


def _computed(encoder: Encoder, given: Given, numbers: Numbers, kept: str) -> Iterator[Features]:
    """Yield the features of the images, a block at a time; tell how long it takes where that is long."""
    title = f"features by {encoder.name}"
    began, done = time.monotonic(), 0
    with full_precision(encoder.device.type), progress_bar(len(numbers), f"computing {title}") as bar:
        for pixels in given(numbers):
            # Filled up, because what an encoder's arithmetic rounds hangs on how many images it sees at once.
            full = torch.cat([pixels, pixels[:1].expand(BLOCK - len(pixels), -1, -1, -1)])
            features = encoder.encode(to_images(full.to(encoder.device)))[: len(pixels)].float().cpu().numpy()
            if done == BLOCK:  # the first takes longer than others
                left = (time.monotonic() - began) / len(pixels) * (len(numbers) - done)
                if left > LONG:
                    bar.clear()
                    tell(f"Features of {len(numbers):,} images by {encoder.name}: about {_in_words(left)}.{kept}")
            began, done = time.monotonic(), done + len(pixels)
            bar.update(len(pixels))
            yield features


def _blocks(numbers: Numbers) -> list[Numbers]:
    return [numbers[start : start + BLOCK] for start in range(0, len(numbers), BLOCK)]


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
