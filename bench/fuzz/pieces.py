"""What the kinds of cases share: small images, odd names, odd values, and a folder to work in."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

SIDE = 8  # pixels
CLASSES = ("A", "B")
PER_CLASS = 5
GOOD = [f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)]


def _png(level: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), level, dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


PNGS = [_png(level) for level in range(0, 256, 16)]


def write_good(root: Path) -> Path:
    """Write two classes of small images into a new folder; return it."""
    for number, path in enumerate(GOOD):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PNGS[number])
    return root


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Work in a folder that goes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.chdir(folder):
        yield Path(folder)


# fmt: off
odd_text = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
known_names = st.sampled_from(
    [
        *CLASSES, "COVID", "images", "masks", "MASK", "train", "test", "A Test", "val", ".hidden", "__MACOSX",
        "-rf", "=1+1", "$x$", "{{x}}", "%s", "a,b", 'a"b', "a\nb", " a ", "test:a", "~", "CON", "a" * 200, "\udcff",
    ]
)
names = (known_names | odd_text).filter(lambda name: name not in (".", ".."))
numbers = st.sampled_from([0, 1, 2, 3, -1, 0.5, 1e-3, 1.0, 1e308, 2**31, 10**12, float("nan"), float("inf"), -0.0])
words = st.sampled_from(
    [
        "true", "false", "null", "none", "auto", "cpu", "min", "max", "val_loss", "val_accuracy", "bilinear", "mild",
        "strong", "class", "source", "cosine", "constant", "whole", "covered", "32-true", "16-mixed", "bf16-mixed",
        "", "[]", "{}", "[", "{", "a: [", "!!python/object:os.system x", "*a", "&a", "%", "\t", "\n", "a\0b", "~",
        "'", '"', "\\", "nan", "os.system", "subprocess.Popen", "covidnet.models.convnet.ConvNet", "é", "\udcff",
        "test_root", "[A,B]", "[B,A]", "[A]", "[A,A]", "[1,2]", "{class_path: x}", "1:2", "0x10", "1e3", "-",
    ]
)
# fmt: on
scalars = numbers | words | st.booleans() | st.none() | st.text(max_size=6) | st.integers(-3, 40)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
