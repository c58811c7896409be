"""How a command of covidnet has to end, whatever it was given: with success, or with one message and its exit code."""

import contextlib
import io
import re
from collections.abc import Callable, Collection
from pathlib import Path

from bench.fuzz.running import expect
from covidnet.commands.main import main as covidnet
from covidnet.commands.train import main

QUIET = ("trainer=cpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false")
LONGEST = 4_000  # characters of a message
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal would obey


def tool(*words: object, codes: Collection[int] = (0, 2)) -> tuple[int, str]:
    """Run a command of `covidnet` in this process; return its exit code and what it printed."""
    return _ended(lambda: covidnet([str(word) for word in words]), codes)


def train(root: Path, *words: str, command: str = "fit") -> int:
    """Run a command that trains, for one step, on 8 x 8 pixels; return its exit code."""
    own = [f"data.root={root}", "data.image_size=8", "data.test_per_class=1", "data.num_workers=0"]
    return train_by(command, "trainer.fast_dev_run=true", *own, *words)


def train_by(command: str, *words: str) -> int:
    """Run a command that trains or tests as it is; return its exit code."""
    return _ended(lambda: main([command, *QUIET, *words]), (0, 2))[0]


def _ended(command: Callable[[], object], codes: Collection[int]) -> tuple[int, str]:
    errors, printed = io.StringIO(), io.StringIO()
    code: object = 0
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(printed):
            done = command()
            code = done if isinstance(done, int) else 0
    except SystemExit as ended:
        code = ended.code
    message = errors.getvalue()
    expect(code in codes, f"exit code {code}")
    expect(code != 2 or "error: " in message, "no message")
    expect("Traceback" not in message, "a traceback in the message")
    expect(code == 0 or len(message) <= LONGEST, "a message that fills the screen")
    expect(code == 0 or not _CONTROL.search(message), "a message that a terminal would obey")
    assert isinstance(code, int)
    return code, printed.getvalue()
