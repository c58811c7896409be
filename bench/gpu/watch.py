"""Lightning callbacks that look on: steps, seconds, memory, waits; and one that ends its process."""

import gc
import hashlib
import json
import os
import signal
import time
import traceback
import warnings
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

import covidnet
from bench.gpu.record import Record

SYNCHRONISES = "called a synchronizing"  # in what torch says of an operation that waits for the GPU
LOOKED_AT = 6  # steps in which waits are sought
PACKAGE = Path(covidnet.__file__).parent
MB = 2**20

_launches = 0  # of CUDA graphs in this process, whoever recorded them
_launch = torch.cuda.CUDAGraph.replay


def _counted(graph: torch.cuda.CUDAGraph) -> None:
    global _launches
    _launches += 1
    _launch(graph)


# The one sign of a captured step that hangs on no private name.
torch.cuda.CUDAGraph.replay = _counted  # type: ignore[assignment,method-assign]


def on_gpu(module: LightningModule) -> bool:
    """Tell whether a model is trained on a CUDA GPU."""
    return module.device.type == "cuda"


def synchronise(module: LightningModule) -> None:
    """Wait until the GPU has done what it was given."""
    if on_gpu(module):
        torch.cuda.synchronize()


class Steps(Callback):
    """Write a ``Record`` of the training when it ends.

    Args:
        file: JSON file to write.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.record = Record()
        self.losses: list[Tensor] = []
        self.started = self.began = 0.0
        self.ended: float | None = None
        self.launches = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started, self.launches = time.perf_counter(), _launches
        if on_gpu(pl_module):
            torch.cuda.reset_peak_memory_stats()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        synchronise(pl_module)
        self.began = time.perf_counter()
        if self.ended is not None:
            self.record.between.append(self.began - self.ended)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"].detach().clone())
        self.record.replayed += _launches > self.launches
        self.launches = _launches
        if self.record.first_step is None:
            synchronise(pl_module)
            self.record.first_step = time.perf_counter() - self.started
        if trainer.is_last_batch:
            synchronise(pl_module)
            self.record.training.append(time.perf_counter() - self.began)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        synchronise(pl_module)
        self.ended = time.perf_counter()
        self.record.epochs.append(self.ended - self.began)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.record.metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        self.record.rates.append(float(trainer.optimizers[0].param_groups[0]["lr"]))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        record = self.record
        record.losses = torch.stack(self.losses).double().tolist() if self.losses else []
        record.weights = _hash(pl_module)
        record.precision = str(trainer.precision)
        record.resident = _resident(trainer) is not None
        if on_gpu(pl_module):
            record.allocated = torch.cuda.max_memory_allocated() / MB
            record.reserved = torch.cuda.max_memory_reserved() / MB
        self.file.write_text(json.dumps(asdict(record)))


class Memory(Callback):
    """Add a line of JSON to ``file`` as each training and test begins: what lies on the GPU.

    Args:
        file: Where to; trainings that a run starts add to it too.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._add(trainer, pl_module, "training")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._add(trainer, pl_module, "test")

    def _add(self, trainer: Trainer, module: LightningModule, what: str) -> None:
        kinds = [(type(thing), thing) for thing in gc.get_objects()]
        images = [one for kind, one in kinds if issubclass(kind, Tensor) and one.is_cuda and one.dtype == torch.uint8]
        seen = {
            "what": what,
            "images on the GPU": len([one for one in images if one.dim() == 4]),
            "graphs": len([kind for kind, _ in kinds if issubclass(kind, torch.cuda.CUDAGraph)]),
            "MB": torch.cuda.memory_allocated() / MB if on_gpu(module) else 0.0,
        }
        with self.file.open("a") as lines:
            lines.write(f"{json.dumps(seen)}\n")


class Ended(Callback):
    """Have this process told to end in the third epoch, as a spot machine is: by SIGTERM."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (2, 1):
            os.kill(os.getpid(), signal.SIGTERM)


class Waits(Callback):
    """Write where Python waited for the GPU in some steps of the second epoch.

    Args:
        file: JSON file to write; none where there is no GPU.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.places: dict[str, int] = {}
        self.steps = 0
        self.looking: ExitStack | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.file.exists() or trainer.current_epoch != 1 or not on_gpu(pl_module):
            return
        if self.looking is None:
            self.looking = self._look()
            return
        self.steps += 1
        if self.steps == LOOKED_AT or trainer.is_last_batch:
            self.looking.close()
            self.file.write_text(json.dumps({"steps": self.steps, "waits": self.places}))

    def _look(self) -> ExitStack:
        """Have torch warn of each wait until what is returned is closed."""
        looking = ExitStack()
        looking.enter_context(warnings.catch_warnings())
        warnings.simplefilter("always")
        warnings.showwarning = self._show
        looking.callback(torch.cuda.set_sync_debug_mode, "default")
        torch.cuda.set_sync_debug_mode("warn")
        return looking

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if SYNCHRONISES in str(message):
            stack = traceback.extract_stack()
            frames = [one for one in stack if PACKAGE in Path(one.filename).parents] or stack[-4:-1]
            place = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames[-3:]))
            self.places[place] = self.places.get(place, 0) + 1


def _resident(trainer: Trainer) -> Tensor | None:
    data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it on the trainer
    resident: Tensor | None = data.resident
    return resident


def _hash(module: LightningModule) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
