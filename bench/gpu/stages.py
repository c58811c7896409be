"""Images first, then numbers in several processes at once, then seconds in one at a time: all within a budget."""

import time
from collections.abc import Sequence

from bench.gpu.process import Process
from bench.gpu.report import Report
from bench.gpu.setting import Setting
from bench.gpu.table import LARGE, MACHINE, SMALL, Part

BESIDE = 5  # processes at once in the first stage; in a rehearsal as many as two cores carry
REHEARSED = 2
FIRST = 235.0  # seconds of the first stage, so that enough are left for the second
LAST = 8.0  # seconds that the report takes in the end
LEAST = 20.0  # seconds with which a part is worth its start
SLACK = 10.0  # a rehearsal gives each part so many times its seconds
OFTEN = 15.0  # seconds between two writings of the report
LOOK = 0.2  # seconds between two looks at the processes
NO_TIME = "not started: no time was left"


class Stages:
    """Runs parts and keeps the report.

    Args:
        setting: What all parts know.
        report: What is known so far.
        budget: Seconds of everything.
    """

    def __init__(self, setting: Setting, report: Report, budget: float) -> None:
        self.setting = setting
        self.report = report
        self.budget = budget
        self.began = self.written = time.monotonic()
        self.running: list[Process] = []

    def left(self) -> float:
        """Return the seconds of the budget that are left for parts."""
        return self.budget - LAST - (time.monotonic() - self.began)

    def prepare(self) -> bool:
        """Draw the small images; tell whether this machine can do what is asked."""
        self._start(SMALL)
        self._start(MACHINE)
        while any(process.part is MACHINE for process in self.running):
            self._look()
        self.report.machine = self.report.noted(MACHINE.name)["figures"]
        able = self.setting.rehearse or bool(self.report.machine.get("gpu"))
        if able:
            self._wait()
        return able

    def run(self, numbers: Sequence[Part], seconds: Sequence[Part]) -> None:
        """Run the parts of both stages; the large images are made during the first."""
        self.report.parts.update({part.name: {"state": "not started"} for part in (*numbers, *seconds)})
        if seconds:
            self._start(LARGE)
        self._beside(numbers)
        self._wait()
        for part in seconds:
            self._start(part)
            self._wait()

    def end(self) -> None:
        """End what still runs, and write the report."""
        for process in self.running:
            process.end("stopped with the bench")
            self._note(process)
        self.running.clear()
        self._write()

    def _beside(self, parts: Sequence[Part]) -> None:
        waiting = list(parts)
        until = time.monotonic() + (self.left() if self.setting.rehearse else min(FIRST, self.left()))
        most = REHEARSED if self.setting.rehearse else BESIDE
        while waiting:
            if len([process for process in self.running if process.part is not LARGE]) < most:
                self._start(waiting.pop(0), until - time.monotonic())
            else:
                self._look()

    def _start(self, part: Part, left: float | None = None) -> None:
        """Start a part, if enough is left of its stage, or of the budget."""
        left = self.left() if left is None else min(left, self.left())
        if left < LEAST:
            self.report.parts[part.name] = {"state": NO_TIME}
            return
        limit = min(part.seconds * (SLACK if self.setting.rehearse else 1), left)
        self.running.append(Process(part, self.setting, self.report.notes, limit))
        self.report.parts[part.name] = {"state": "running"}

    def _wait(self) -> None:
        while self.running:
            self._look()

    def _look(self) -> None:
        """Take note of the processes that are over; write the report now and then."""
        time.sleep(LOOK)
        over = [process for process in self.running if process.over()]
        for process in over:
            self.running.remove(process)
            self._note(process)
        if over or time.monotonic() - self.written > OFTEN:
            self._write()

    def _note(self, process: Process) -> None:
        seconds = time.monotonic() - self.began
        print(f"{seconds:6.1f} s  {process.part.name}: {process.state} ({process.seconds:.0f} s)", flush=True)
        self.report.parts[process.part.name] = {"state": process.state, "seconds": round(process.seconds, 1)}

    def _write(self) -> None:
        self.written = time.monotonic()
        self.report.seconds = self.written - self.began
        self.report.write()
