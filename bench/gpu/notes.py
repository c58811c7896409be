"""What a part has found so far: written anew after each step, so that whatever ends it costs only the rest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covidnet.files.whole import write_whole

SHOWN = 600  # characters of a value in the log


@dataclass
class Notes:
    """The trainings, checks and figures of a part.

    Args:
        file: JSON file that holds them, whole at any moment.
        trainings: What each training gave; the key "error" where it failed.
        checks: What each check found, with the key "good": true, false, or null where it cannot be told.
        figures: What is measured and compared with nothing.
    """

    file: Path
    trainings: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def training(self, key: str, told: Mapping[str, Any]) -> None:
        """Note a training that has ended, well or not."""
        self.trainings[key] = dict(told)
        self._keep(key, told)

    def check(self, key: str, good: bool | None, found: Any) -> None:
        """Note whether something is as it should be; None where that cannot be told here."""
        self.checks[key] = {"good": good, "found": found}
        self._keep(key, self.checks[key])

    def figure(self, key: str, value: Any) -> None:
        """Note a number."""
        self.figures[key] = value
        self._keep(key, value)

    def _keep(self, key: str, value: Any) -> None:
        known = {"trainings": self.trainings, "checks": self.checks, "figures": self.figures}
        write_whole(self.file, json.dumps(known, default=str).encode())
        print(f"[{self.file.stem}] {key}: {json.dumps(value, default=str)[:SHOWN]}", flush=True)
