"""What is known so far, as one JSON file, one log and lines of PASS, FAIL or LACKS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.gpu.process import ENDED
from bench.gpu.table import ALL
from covidnet.files.whole import write_whole

JSON, LOG = "gpu.json", "gpu.log"
HEAD, TAIL = 100_000, 300_000  # characters of a part's log that are kept
SHOWN = 240  # characters of what was found, in a line
LEVELS = {True: "PASS", False: "FAIL", None: "LACKS"}


@dataclass
class Report:
    """The state of all parts, and what they have noted.

    Args:
        out: Folder for the two files.
        notes: Folder in which the parts keep their notes and logs.
        rehearse: Whether this is a rehearsal: what it cannot tell is no failure.
        parts: State and seconds of each part that was asked for.
        machine: What it runs on.
        seconds: Since the start.
    """

    out: Path
    notes: Path
    rehearse: bool
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def noted(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the trainings, checks and figures of a part so far."""
        file = self.notes / f"{name}.json"
        empty: dict[str, dict[str, Any]] = {"trainings": {}, "checks": {}, "figures": {}}
        return {**empty, **json.loads(file.read_text())} if file.is_file() else empty

    def write(self) -> None:
        """Write both files: whatever ends the bench, what is known by then is there."""
        known = {
            "machine": self.machine,
            "rehearsal": self.rehearse,
            "seconds": round(self.seconds, 1),
            "lines": self.lines(),
            "parts": {name: {**state, **self.noted(name)} for name, state in self.parts.items()},
        }
        write_whole(self.out / JSON, json.dumps(known, indent=1, default=str).encode())
        logs = "".join(f"==== {file.stem}\n{_shortened(file)}\n" for file in sorted(self.notes.glob("*.log")))
        write_whole(self.out / LOG, logs.encode())

    def lines(self) -> list[tuple[str, str, str]]:
        """Return PASS, FAIL or LACKS, what of, and what was found: of all parts in their order."""
        return [line for name, state in self.parts.items() for line in _lines(name, state, self.noted(name))]

    def good(self) -> bool:
        """Tell whether nothing failed, every part ended, and nothing is lacking that could be told here."""
        ended = all(state["state"] == ENDED for state in self.parts.values())
        bad = {"FAIL"} if self.rehearse else {"FAIL", "LACKS"}
        return ended and not bad.intersection(level for level, _, _ in self.lines())

    def show(self) -> None:
        """Print the figures, then a line for each finding."""
        for name in self.parts:
            for key, value in self.noted(name)["figures"].items():
                print(f"        {name}: {key}: {_rounded(value)}"[:SHOWN])
        for level, name, found in self.lines():
            print(f"{level:8}{name}: {found}"[:SHOWN])


def _lines(name: str, state: Mapping[str, Any], noted: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if state["state"] != ENDED:
        failed = state["state"].startswith("failed")
        found.append(("FAIL" if failed else "LACKS", name, f"{state['state']}. {ALL[name].text}"))
    trainings = noted["trainings"]
    lost = {key: told["error"] for key, told in trainings.items() if "error" in told}
    found += [("FAIL", f"{name}: {key}", error) for key, error in lost.items()]
    if trainings:
        text = f"{len(trainings) - len(lost)} of {len(trainings)}"
        found.append((LEVELS[not lost], f"{name}: trainings that ran to their end", text))
    for key, check in noted["checks"].items():
        found.append((LEVELS[check["good"]], f"{name}: {key}", str(_rounded(check["found"]))))
    return found


def _rounded(value: Any) -> Any:
    """Return a value with its floats, however deep, to four digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return {key: _rounded(one) for key, one in value.items()} if isinstance(value, dict) else value


def _shortened(file: Path) -> str:
    text = file.read_text(errors="replace")
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n...\n{text[-TAIL:]}"
