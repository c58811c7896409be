"""Splits that folders give, and several roots: listed, audited and served by the keys of the data."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bench.fuzz.folders import Folder, entries, serve
from bench.fuzz.pieces import GOOD, PNGS, odd_text, scratch, write_good
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evidence.audit import audit_images


@dataclass(frozen=True)
class Given:
    """Folders named like splits, above the classes or in them, with keys of the data; perhaps beside a second root."""

    sides: list[str]
    inside: bool
    others: list[tuple[list[str], str, bytes | Path]]
    keys: dict[str, Any]
    several: bool

    def write(self, here: Path) -> dict[str, Any]:
        """Write what the system lets be written; return the keys of the data."""
        root = Folder(good=False, others=self.others).write(here / "root")
        for side in self.sides:
            for number, path in enumerate(GOOD):
                name, _, file = path.partition("/")
                with contextlib.suppress(OSError):  # where something else lies
                    place = root / name / side / f"{side}{file}" if self.inside else root / side / path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(PNGS[number])
        if not self.several:
            return {**self.keys, "root": str(root)}
        (here / "second").mkdir()
        write_good(here / "second")
        return {**self.keys, "roots": {"a": str(root), "b": str(here / "second")}}


given_keys = st.fixed_dictionaries(
    {},
    optional={
        "views": st.sampled_from([["PA", "AP"], ["L"], ["x"], []]),
        "patient_pattern": st.sampled_from([r"(\d)", r"([^/]+)/[^/]+$", "(", "(A|B)", "(x)"]) | odd_text,
        "patient_across_classes": st.booleans(),
        "use_split": st.booleans(),
        "use_val": st.booleans(),
        "classes": st.sampled_from([["B", "A"], ["A", "C"], ["A", "train"]]),
    },
)
side_names = st.sampled_from(["train", "Train", "training_set", "val", "valid", "test", "Testing", "test_images"])
given_folders = st.builds(
    Given,
    st.lists(side_names, min_size=1, max_size=4, unique=True),
    st.booleans(),
    st.just([]) | entries,
    st.just({}) | given_keys,
    st.booleans(),
)


def serve_given_folders(case: Given) -> None:
    """Audit and serve what folders and keys give."""
    with scratch() as here:
        keys = case.write(here)
        with contextlib.suppress(UserError):
            audit_images(Radiographs(**keys))
        root = keys.pop("root", None)
        serve(Path(root) if root else None, here, **keys)
