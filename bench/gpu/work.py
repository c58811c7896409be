"""What a part works with: it trains by the project's own command line, notes what came of it, and compares."""

import gc
import json
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.notes import Notes
from bench.gpu.record import Record, exact, gap, within
from bench.gpu.setting import ImageSet, Setting

EAGER = "model.capture=false"
Watchers = Mapping[str, Mapping[str, Any]]  # class path of a callback -> its arguments


class Work:
    """The hands of one part.

    Args:
        name: The part's.
        setting: What all parts know.
        notes: What this one has found.
    """

    def __init__(self, name: str, setting: Setting, notes: Notes) -> None:
        self.name = name
        self.setting = setting
        self.notes = notes
        self.trained = 0

    def folder(self, name: str, images: ImageSet | None = None) -> Path:
        """Return a folder of this part's own, beside the runs on these images; the small ones where left out."""
        made = (images or self.setting.small).runs / f"{self.name}_{name}"
        made.mkdir(parents=True, exist_ok=True)
        return made

    def train(
        self,
        key: str,
        words: Sequence[str],
        *,
        images: ImageSet | None = None,
        callbacks: Watchers | None = None,
        command: str = "fit",
        runs: Path | None = None,
    ) -> Record | None:
        """Train in this process; note what came of it, and how it failed where it did.

        Args:
            key: What the training is called in the report.
            words: Of its command line, besides those that all have.
            images: The small ones where left out.
            callbacks: More of them.
            command: fit or run.
            runs: Where its run goes and stays; where left out, it is removed.

        Returns:
            What it was, or None where it failed.
        """
        self.trained += 1
        folder = runs or self.folder(str(self.trained), images)
        file = self.folder("records") / f"{self.trained}.json"
        more = {"bench.gpu.watch.Steps": {"file": str(file)}, **(callbacks or {})}
        began = time.perf_counter()
        try:
            self.command([command, *(images or self.setting.small).words(folder), self.setting.trainer, *words], more)
            record = Record(**json.loads(file.read_text()))
        except (Exception, SystemExit) as error:  # whatever it was, the next training goes on
            traceback.print_exc()
            first = next(iter(str(error).splitlines()), "")
            self.notes.training(key, {"error": f"{type(error).__name__}: {first[:300]}"})
            return None
        finally:
            if runs is None:
                shutil.rmtree(folder, ignore_errors=True)
        self.notes.training(key, {**record.told(), "seconds": time.perf_counter() - began})
        return record

    def command(self, words: Sequence[str], callbacks: Watchers | None = None) -> Any:
        """Run a command that trains, in this process; return what it built."""
        import torch

        from covidnet.commands.train import main

        watching = [{"class_path": name, "init_args": given} for name, given in (callbacks or {}).items()]
        words = [*words, *([f"--trainer.callbacks={json.dumps(watching)}"] if watching else [])]
        print(f"[{self.name}] $ {' '.join(words)}", flush=True)
        try:
            return main(words)
        finally:
            torch.use_deterministic_algorithms(False)  # which trainer.deterministic leaves on
            gc.collect()  # what Lightning leaves in circles, on the GPU

    def refused(self, key: str, words: Sequence[str]) -> None:
        """Check that a training is refused in one sentence, with exit code 2."""
        folder = self.folder("refused")
        try:
            self.command(["fit", *self.setting.small.words(folder), self.setting.trainer, *words])
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        except Exception as error:
            traceback.print_exc()
            code = repr(error)[:300]
        self.notes.check(key, code == 2, {"exit code": code})

    def pair(self, key: str, words: Sequence[str], callbacks: Watchers | None = None) -> tuple[Record | None, ...]:
        """Train eagerly and captured; check that both took the same steps, and that graphs were launched."""
        first = self.train(f"{key}, eager", [*words, EAGER], callbacks=callbacks)
        second = self.train(f"{key}, captured", [*words, self.setting.captured], callbacks=callbacks)
        self.alike(f"{key}: captured v eager", first, second, [*words, EAGER], callbacks)
        if second:
            self.launched(f"{key}: replayed", second)
        return first, second

    def alike(
        self,
        key: str,
        first: Record | None,
        second: Record | None,
        words: Sequence[str],
        callbacks: Watchers | None = None,
    ) -> None:
        """Check that two trainings took the same steps.

        To the last bit; where the GPU itself gives other bits each time, within what a repetition of the first, by its
        ``words``, is off.
        """
        if first is None or second is None:
            self.notes.check(key, None, "one of the two trainings failed")
            return
        found = gap(first, second)
        if exact(found):
            self.notes.check(key, True, found)
            return
        again = self.train(f"{key}, repeated", words, callbacks=callbacks)
        noise = gap(first, again.end(len(first.losses), len(first.metrics))) if again else None
        self.notes.check(key, noise is not None and within(found, noise), {**found, "noise": noise})

    def launched(self, key: str, record: Record, *, wanted: bool = True) -> None:
        """Check that nearly all steps were replayed; or, where that is not wanted, that none was."""
        steps = len(record.losses)
        good = record.replayed >= 0.7 * steps if wanted else record.replayed <= 1  # a refused graph was tried once
        self.only_on_a_gpu(key, good, {"replayed": record.replayed, "steps": steps})

    def only_on_a_gpu(self, key: str, good: bool, found: Any) -> None:
        """Note a check that a rehearsal on a CPU says nothing about."""
        known = (None, f"needs a GPU; here {found}") if self.setting.rehearse else (good, found)
        self.notes.check(key, *known)
