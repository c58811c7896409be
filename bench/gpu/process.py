"""A part under way, in a process of its own with a time limit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.gpu.setting import ROOT, Setting
from bench.gpu.table import Part

ENDED = "ended"
QUIET = {"MPLBACKEND": "agg", "PYTHONUNBUFFERED": "1", "COVIDNET_TRUST": "bench"}  # files of runs name our callbacks


class Process:
    """A part that runs.

    Args:
        part: What to do.
        setting: What all parts know.
        notes: Folder for its notes and its log.
        seconds: After so many it is ended, with all that it started.
    """

    def __init__(self, part: Part, setting: Setting, notes: Path, seconds: float) -> None:
        self.part = part
        self.limit = seconds
        self.state = "running"
        self.began = time.monotonic()
        self.seconds = 0.0
        rehearse = ["--rehearse"] if setting.rehearse else []
        places = [str(notes / f"{part.name}.json"), str(setting.disk), str(setting.memory)]
        threads = {"OMP_NUM_THREADS": "1"} if setting.rehearse else {}
        with (notes / f"{part.name}.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.gpu.alone", part.name, *places, *rehearse],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **QUIET, **threads},
                start_new_session=True,
            )

    def over(self) -> bool:
        """Tell whether it has ended; end it where its time is up."""
        self.seconds = time.monotonic() - self.began
        code = self.process.poll()
        if code is not None:
            self.state = ENDED if code == 0 else f"failed with exit code {code}"
        elif self.seconds > self.limit:
            self.end(f"stopped after {self.limit:.0f} s")
        return self.state != "running"

    def end(self, state: str) -> None:
        """End it and all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # it began a session of its own: nobody else is in it
            self.process.wait()
            self.state = state
