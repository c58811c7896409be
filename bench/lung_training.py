"""How the lung network is trained: what is changed in its films, the loss, the rate."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bench.lung_data import Masked, soft
from covidnet.data.changes.augment import _between, _cover, _sharpen
from covidnet.files.tensors import read_tensors
from covidnet.files.whole import whole
from covidnet.models.lung_network import LungNetwork

BATCH = 16
NOTED = 5  # epochs between two states that are kept
RATE, DECAY = 4e-3, 1e-2
KEPT = 0.99  # of the averaged weights, in each step
ROTATION, STRETCH, SHEAR, SHIFT = math.radians(14), 0.13, 0.08, 0.10
VIEW = 0.3  # share by which the side shown differs: less magnifies, more shows a frame
MILDER = 0.6  # strength of the changes after the first cycle
GAMMA, NOISE, SHARPNESS = 0.7, 0.06, 1.0
HAZE, LIGHT = 0.55, 0.25  # greatest brightness that a cloud adds, and change that uneven light makes
LETTERS = 3  # boxes of letters at most


@dataclass(frozen=True)
class Cycle:
    """One rise and fall of the learning rate."""

    steps: int
    rate: float  # the highest
    strength: float  # of what is changed in the films


def cycle(number: int, steps: int) -> Cycle:
    """Return the first cycle, or one of those that go on from its weights: slower, on films that are changed less."""
    return Cycle(steps, RATE, 1.0) if number == 0 else Cycle(steps, RATE / 2, MILDER)


def train(
    masked: Sequence[Masked], cycle: Cycle, seed: int, going_on: Path, before: LungNetwork | None = None, told: str = ""
) -> LungNetwork:
    """Return a network that has learned from masks; of a film with several masks each epoch draws one.

    Each epoch has random numbers of its own, and ``going_on`` keeps the state after some of them: a training that ended
    goes on there, to the same bits. It ends with the epoch of the last step.
    """
    torch.manual_seed(seed)
    by_film: dict[str, list[int]] = {}
    for number, one in enumerate(masked):
        by_film.setdefault(one.row["image"], []).append(number)
    films = torch.from_numpy(np.stack([one.pixels for one in masked]))[:, None].float() / 255
    masks = torch.from_numpy(np.stack([soft(one.mask) for one in masked]))[:, None]
    network = (before or LungNetwork()).train().to(memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(KEPT), use_buffers=True)
    each = len(by_film) // BATCH
    epochs = -(-cycle.steps // each)
    optimizer = torch.optim.AdamW(network.parameters(), lr=cycle.rate, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, cycle.rate, total_steps=epochs * each, pct_start=0.15)
    parts = {"network": network, "average": average, "optimizer": optimizer, "rate": rate}
    started = time.perf_counter()
    for epoch in range(_go_on(parts, going_on), epochs):
        torch.manual_seed(seed * epochs + epoch)
        rng = np.random.default_rng([seed, epoch])
        drawn = torch.tensor([rng.choice(by_film[name]) for name in rng.permutation([*by_film])])
        total = 0.0
        for numbers in drawn[: each * BATCH].split(BATCH):
            changed, target = change(films[numbers], masks[numbers], cycle.strength)
            loss = loss_of(network(changed.contiguous(memory_format=torch.channels_last)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            average.update_parameters(network)
            total += loss.item()
        if (epoch + 1) % NOTED == 0:
            with whole(going_on, "wb") as file:
                torch.save({"epoch": epoch + 1, **{name: part.state_dict() for name, part in parts.items()}}, file)
            seconds = time.perf_counter() - started
            print(f"{told} epoch {epoch + 1} of {epochs}, loss {total / each:.4f}, {seconds:.0f} s", flush=True)
    going_on.unlink(missing_ok=True)
    return cast(LungNetwork, average.module.eval())


def _go_on(parts: Mapping[str, Any], kept: Path) -> int:
    """Give each part its state where one was kept; return how many epochs are done."""
    if not kept.is_file():
        return 0
    state = read_tensors(kept)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the cross-entropy of a batch and what its Dice lacks, each image alike."""
    found = logits.sigmoid()
    shared, both = (found * masks).sum(dim=(1, 2, 3)), (found + masks).sum(dim=(1, 2, 3))
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - (2 * shared + 1) / (both + 1)).mean()


def change(films: Tensor, masks: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Return films (B, 1, S, S) in [0, 1] and masks, moved alike, the films re-exposed, clouded, covered besides.

    The amounts are drawn up to ``strength`` times those above.
    """
    shape = (len(films), 1, 1, 1)

    def some(share: float) -> Tensor:
        return (torch.rand(shape) < share * strength).float()

    def up_to(most: float, least: float = 0.0) -> Tensor:
        return _between(least * strength, most * strength, films).view(shape)

    films = films + some(0.5) * _cloud(films) * up_to(HAZE)  # as consolidated lungs are
    films = films * (1 + strength * LIGHT * (2 * _cloud(films) - 1))
    films = films.clamp(0, 1) ** up_to(GAMMA, -GAMMA).exp()
    films = _sharpen(films, up_to(SHARPNESS, -SHARPNESS))
    grid = _grid(films, strength)
    frame = some(0.5) * torch.rand(shape)  # what lies around a film: black, or any grey
    moved = frame + F.grid_sample(films - frame, grid, align_corners=False)
    masks = F.grid_sample(masks, grid, align_corners=False)
    moved = _letters(moved)
    moved = torch.where(some(0.3) > 0, _cover(moved), moved)
    moved = moved + torch.randn_like(moved) * up_to(NOISE)
    return moved.clamp(0, 1), masks


def _grid(films: Tensor, strength: float) -> Tensor:
    """Draw for each film a frame that is turned, stretched, sheared, moved and, in half of them, mirrored."""

    def drawn(most: float) -> Tensor:
        return _between(-1, 1, films) * most * strength

    view = 1 + drawn(VIEW)
    stretch = (torch.randn(len(films)) * STRETCH * strength).exp()
    angle, shear, across, down = drawn(ROTATION), drawn(SHEAR), drawn(2 * SHIFT), drawn(2 * SHIFT)
    side = (_between(0, 1, films) < 0.5).float() * 2 - 1
    wide, high = view * stretch, view / stretch
    rows = [
        torch.stack([angle.cos() * wide * side, (shear - angle.sin()) * wide, across], dim=1),
        torch.stack([angle.sin() * high * side, angle.cos() * high, down], dim=1),
    ]
    return F.affine_grid(torch.stack(rows, dim=1), list(films.shape), align_corners=False)


def _cloud(films: Tensor) -> Tensor:
    """Draw a smooth cloud over each film, from 0 to 1."""
    coarse = torch.rand(len(films), 1, 5, 5)
    return F.interpolate(coarse, films.shape[-2:], mode="bicubic").clamp(0, 1)


def _letters(films: Tensor) -> Tensor:
    """Write boxes of coarse bright or dark patterns onto a third of the films, as letters and markers are."""
    for film in films:
        for _ in range(int(torch.randint(1, LETTERS + 1, ())) if torch.rand(()) < 0.33 else 0):
            height, width = int(torch.randint(2, 6, ())), int(torch.randint(3, 14, ()))
            size = int(torch.randint(1, 3, ()))  # pixels of a stroke
            pattern = (torch.rand(height, width) < 0.6).repeat_interleave(size, 0).repeat_interleave(size, 1)
            top = int(torch.randint(0, films.shape[-2] - pattern.shape[0], ()))
            left = int(torch.randint(0, films.shape[-1] - pattern.shape[1], ()))
            box = film[0, top : top + pattern.shape[0], left : left + pattern.shape[1]]
            box[pattern] = float(torch.rand(()) < 0.8)
    return films
