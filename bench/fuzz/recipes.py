"""Odd checkpoints: a real one whose recipe, calibration, weights or training state were changed by a stranger."""

import copy
import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from bench.fuzz.commands import tool, train_by
from bench.fuzz.pieces import scratch
from bench.fuzz.running import expect
from bench.fuzz.trained import Change, changes, trained

TENSORS: Mapping[str, Callable[[Tensor], object]] = {  # what becomes of a tensor
    "nan": lambda one: torch.full_like(one, float("nan")) if one.is_floating_point() else one,
    "inf": lambda one: torch.full_like(one, float("inf")) if one.is_floating_point() else one,
    "huge": lambda one: one * 1e30,
    "zeros": torch.zeros_like,
    "below 0": lambda one: -one.abs(),
    "double": lambda one: one.double(),
    "half": lambda one: one.half(),
    "integers": lambda one: one.long(),
    "truth": lambda one: one.bool(),
    "complex": lambda one: one.to(torch.complex64),
    "flat": lambda one: one.flatten(),
    "empty": lambda one: one.flatten()[:0],
    "one value": lambda one: one.flatten()[:1],
    "turned": lambda one: one.flatten().flip(0).view(one.shape).t() if one.dim() == 2 else one[None],
    "expanded": lambda one: torch.zeros(1).expand(10**12),
    "a view of a part": lambda one: one.flatten()[:4].as_strided((3, 3), (0, 1)) if one.numel() > 4 else one,
    "sparse": lambda one: one.float().to_sparse(),
    "meta": lambda one: one.to("meta"),
    "nested": lambda one: torch.nested.nested_tensor([one.float().flatten(), one.float().flatten()[:1]]),
    "quantized": lambda one: torch.quantize_per_tensor(one.float(), 1.0, 0, torch.qint8),
    "a parameter": lambda one: torch.nn.Parameter(one.float()),
    "a list": lambda one: one.flatten()[:20].tolist(),
    "nothing": lambda one: None,
}
COMMANDS = ("predict",) * 6 + ("test", "fit")


@dataclass(frozen=True)
class Doctored:
    """Changes to a checkpoint and to tensors in it, by their numbers, to some bytes of the file; and its use."""

    changes: list[Change]
    tensors: list[tuple[int, str]]
    cut: list[tuple[int, bytes]]
    command: str

    def write(self, file: Path) -> Path:
        """Write the file."""
        content = copy.deepcopy(_content(self.command))
        for change in self.changes:
            content = change.apply(content)
        content = _with_tensors(content, dict(self.tensors))
        packed = io.BytesIO()
        torch.save(content, packed)
        written = bytearray(packed.getvalue())
        for place, new in self.cut:
            at = place % len(written)
            written[at : at + len(new)] = new
        file.write_bytes(written)
        return file


@cache
def _content(command: str) -> dict[str, Any]:
    """Return what a checkpoint of the trained run holds: that to go on from, or the best one."""
    name = "last.ckpt" if command == "fit" else "best.ckpt"
    content: dict[str, Any] = torch.load(trained() / "run" / "checkpoints" / name, weights_only=True)
    return content


def _with_tensors(value: Any, changed: Mapping[int, str]) -> Any:
    """Change tensors by their number, counted from the outermost on."""
    count = -1

    def walked(one: Any) -> Any:
        nonlocal count
        if isinstance(one, Tensor):
            count += 1
            return TENSORS[changed[count]](one) if count in changed else one
        if isinstance(one, dict):
            return type(one)((key, walked(inner)) for key, inner in one.items())
        return [walked(inner) for inner in one] if isinstance(one, list) else one

    return walked(value) if changed else value


@cache
def _changes_of(command: str, part: str) -> st.SearchStrategy[list[Change]]:
    content = _content(command)
    return changes(content[part] if part else content)


@st.composite
def doctored(draw: st.DrawFn, command: str) -> Doctored:
    """Draw changes to the checkpoint that a command takes: mostly to what is ours in it."""
    part = draw(st.sampled_from(["covidnet", "covidnet", "covidnet", "covidnet", "hyper_parameters", "tensors", ""]))
    changed: list[Change] = []
    tensors: list[tuple[int, str]] = []
    if part == "tensors":
        tensors = draw(
            st.lists(st.tuples(st.integers(0, 12), st.sampled_from(sorted(TENSORS))), min_size=1, max_size=2)
        )
    elif part:
        changed = [Change((part, *one.way), one.kind, one.key, one.value) for one in draw(_changes_of(command, part))]
    else:
        changed = draw(_changes_of(command, part))
    cut = draw(st.lists(st.tuples(st.integers(0, 2**24), st.binary(min_size=1, max_size=8)), max_size=2))
    return Doctored(changed, tensors, cut if draw(st.integers(0, 9)) == 0 else [], command)


recipes = st.sampled_from(COMMANDS).flatmap(doctored)


def use_checkpoint(case: Doctored) -> None:
    """Predict, test or go on with a checkpoint; what is predicted are probabilities."""
    place = trained()
    with scratch() as here:
        file = case.write(here / "x.ckpt")
        if case.command == "predict":
            code, printed = tool("predict", file, place / "root" / "A" / "0.png", "--format", "csv", codes=(0, 2))
            if code == 0:
                _check_answer(printed)
        elif case.command == "test":
            train_by("test", f"ckpt_path={file}")
        else:
            train_by("fit", f"ckpt_path={file}", "trainer.max_epochs=2", "data.num_workers=0")


def _check_answer(printed: str) -> None:
    [row] = csv.DictReader(io.StringIO(printed))
    for start in ("prob_", "calibrated_"):
        found = [float(value) for name, value in row.items() if name.startswith(start) and value]
        expect(all(map(math.isfinite, found)), "a probability that is none")
        expect(not found or abs(sum(found) - 1) < 1e-3, "probabilities that are not 1 in all")
