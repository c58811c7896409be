"""A small real run with all that a run may hold, trained once; and changes to plain values such as its files hold."""

import atexit
import contextlib
import copy
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bench.fuzz.commands import QUIET, tool
from bench.fuzz.pieces import odd_text, values, words, write_good
from covidnet.commands.train import main

Way = tuple[str | int, ...]  # keys and numbers, from the outermost value to an inner one


@cache
def trained() -> Path:
    """Return a folder that holds ``root``, radiographs, and ``run``, all of a run on them, while this process lives."""
    place = Path(tempfile.mkdtemp(prefix="covidnet-fuzz-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    root = write_good(place / "root")
    own = [f"data.root={root}", "data.image_size=8", "data.test_per_class=2", "data.batch_size=4", "data.cache=false"]
    with contextlib.chdir(place), _nothing_shown():
        main(["run", *QUIET, *own, "trainer.max_epochs=1", "report=false"])
        (place / "runs" / "convnet" / "version_0").rename(place / "run")
        tool("shortcuts", place / "run")
        tool("evaluate", place / "run", root)
        shutil.copytree(place / "run", place / "other")
        tool("compare", place / "other", place / "run")
        tool("audit", root, "--json", place / "run" / "audit.json")
    return place


@contextlib.contextmanager
def _nothing_shown() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


# Changes of plain values


def shared_lists() -> list[Any]:
    """Return lists that stand for 10^8 values."""
    inner: list[Any] = [0] * 10
    for _ in range(7):
        inner = [inner] * 10
    return inner


def _deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(300):
        inner = [inner]
    return inner


SPECIAL: Mapping[str, Callable[[], Any]] = {  # by names, so that a case can be read
    "shared lists": shared_lists,
    "deep": _deep,
    "a long integer": lambda: 10**400,
    "many values": lambda: list(range(120_000)),
    "a long text": lambda: "a" * 200_000,
    "a text of controls": lambda: "\x1b[2J\x07\x9b",
}


@dataclass(frozen=True)
class Special:
    """A value that is too large, or too odd, to be shown in a case."""

    name: str

    def made(self) -> Any:
        """Return it."""
        return SPECIAL[self.name]()


@dataclass(frozen=True)
class Change:
    """What is done with the value that lies at ``way``: "set", "drop", "wrap", "copy" or "add" a key to it."""

    way: Way
    kind: str
    key: str
    value: Any

    def apply(self, content: Any) -> Any:
        """Return the content changed; as it is where an earlier change has taken the place away."""
        if not self.way:
            return self._changed(content)
        inner, (*above, last) = content, self.way
        try:
            for step in above:
                inner = inner[step]
            if self.kind == "drop":
                del inner[last]
            else:
                inner[last] = self._changed(inner[last])
        except (KeyError, IndexError, TypeError):
            pass
        return content

    def _changed(self, value: Any) -> Any:
        made = self.value.made() if isinstance(self.value, Special) else copy.deepcopy(self.value)
        if self.kind == "wrap":
            return [value]
        if self.kind == "copy":
            return value * 2 if isinstance(value, list | str) else value
        if self.kind == "add" and isinstance(value, dict):
            return {**value, self.key: made}
        if self.kind == "add" and isinstance(value, list):
            return [*value, made]
        return made


def ways_in(value: Any, above: Way = ()) -> Iterator[Way]:
    """Yield where each value lies in lists and dicts; of long lists the first alone."""
    yield above
    if isinstance(value, dict):
        for key, one in value.items():
            yield from ways_in(one, (*above, key))
    elif isinstance(value, list):
        for number, one in enumerate(value[:3]):
            yield from ways_in(one, (*above, number))


def changes(content: Any, special: Iterable[str] = SPECIAL) -> st.SearchStrategy[list[Change]]:
    """Return the strategy of some changes to plain values."""
    texts = sorted({one for one in _leaves(content) if isinstance(one, str)})  # in another place they are odd, too
    new = values | odd_text | st.sampled_from(list(special)).map(Special) | st.sampled_from(texts or [""])
    kinds = st.sampled_from(["set", "set", "set", "drop", "wrap", "copy", "add"])
    change = st.builds(Change, st.sampled_from(list(ways_in(content))), kinds, words | odd_text, new)
    return st.lists(change, min_size=1, max_size=3)


def _leaves(value: Any) -> Iterator[Any]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        yield value
        return
    for one in inner:
        yield from _leaves(one)
