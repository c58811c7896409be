"""Odd folders, split files, tables, images and configurations: none ends in anything but success or a message.

python -m bench.fuzz --cases 10000 --seed 0

prints a table of targets, cases and failures. A failure is any exception but the one that a user's mistake ends in, an
exit code that is neither 0 nor 2, or a case that takes longer than a minute. `tests/test_fuzz.py` runs a few of each.
"""

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from bench.hostile import KINDS, good
from covidnet.commands.train import main
from covidnet.data.external import list_external
from covidnet.data.module import RadiographyDataModule
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evidence.audit import audit, audit_images
from covidnet.imaging.decode import decode, thumbnail
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.serving.limits import check

SECONDS = 60  # that a case may take
SIDE = 8  # pixels
CLASSES = ("A", "B")
PER_CLASS = 5


def _png(level: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), level, dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


PNGS = [_png(level) for level in range(0, 256, 16)]

# Names and texts

odd_text = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
# fmt: off
known_names = st.sampled_from(
    [
        *CLASSES, "COVID", "images", "masks", "MASK", "train", "test", "A Test", "val", ".hidden", "__MACOSX",
        "-rf", "=1+1", "$x$", "{{x}}", "%s", "a,b", 'a"b', "a\nb", " a ", "test:a", "~", "CON", "a" * 200, "\udcff",
    ]
)
# fmt: on
names = (known_names | odd_text).filter(lambda name: name not in (".", ".."))
endings = st.sampled_from([".png", ".PNG", ".jpg", ".dcm", ".tif", ".txt", "", ".csv", ".png.txt"])
file_names = st.builds(lambda name, ending: f"{name[:60]}{ending}", names, endings)
contents = st.sampled_from([*PNGS, *PNGS, b"", b"text", PNGS[0][:40], b"\xff" * 99])

# Folders

entries = st.lists(
    st.tuples(
        st.lists(names, max_size=3),  # the folders above
        file_names,
        contents | st.sampled_from([Path(), Path(".."), Path("nowhere"), Path("/dev/null")]),  # or where a link leads
    ),
    max_size=14,
)


@dataclass(frozen=True)
class Folder:
    """A folder of two good classes, or of none, with other files in it."""

    good: bool
    others: list[tuple[list[str], str, bytes | Path]]

    def write(self, root: Path) -> Path:
        """Write what the system lets be written."""
        root.mkdir()
        if self.good:
            write_good(root)
        for folders, name, content in self.others:
            with contextlib.suppress(OSError, ValueError):  # a name too long, or a file where a folder should be
                folder = root.joinpath(*folders)
                folder.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    (folder / name).symlink_to(content)
                else:
                    (folder / name).write_bytes(content)
        return root


folders = st.builds(Folder, st.booleans(), entries)


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


def write_good(root: Path) -> list[str]:
    """Write two classes of small images; return their paths."""
    paths = [f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)]
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(PNGS[number])
    return paths


# Tables

# fmt: off
cells = st.sampled_from(
    [
        *(f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)),
        "train", "val", "test", *CLASSES, "path", "label", "split", "patient", "group", "source", "", "test:A/0.png",
        "../A/0.png", "/A/0.png", "A\\0.png", "=1+1", " A/0.png", "a" * 300,
    ]
) | st.text(max_size=8)
# fmt: on
separators = st.sampled_from([",", ",", ",", ";", "\t", ",,", '",', '"'])
line_ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", '"\n'])


@st.composite
def tables(draw: st.DrawFn, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Draw a table near to a right one, or far from it, in some encoding, perhaps with wrong bytes."""
    table = [list(header), *(list(row) for row in rows)]
    if draw(st.booleans()):
        table = draw(st.lists(st.lists(cells, max_size=6), max_size=12))
    for _ in range(draw(st.integers(0, 4))):
        if table and (row := draw(st.sampled_from(table))):
            change = draw(st.sampled_from(["cell", "drop", "add", "copy"]))
            if change == "cell":
                row[draw(st.integers(0, len(row) - 1))] = draw(cells)
            elif change == "drop":
                row.pop()
            elif change == "add":
                row.append(draw(cells))
            else:
                table.insert(draw(st.integers(0, len(table))), list(row))
    separator, end = draw(separators), draw(line_ends)
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = bytearray(end.join(separator.join(row) for row in table).encode(encoding, "replace"))
    for _ in range(draw(st.integers(0, 3)) if content else 0):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


GOOD = [f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)]
SPLIT = [[path, path[0], ("train", "train", "train", "val", "test")[number % 5]] for number, path in enumerate(GOOD)]
METADATA = [[path, f"p{number // 2}", "", f"s{number % 3}"] for number, path in enumerate(GOOD)]
split_files = tables(("path", "label", "split"), SPLIT)
metadata_tables = tables(("path", "patient", "group", "source"), METADATA)

# Images


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Draw a good image, a hostile one, or one with some changes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["good", "changed", "changed", "changed", *LIGHT]))
    if kind in LIGHT:
        return LIGHT[kind](rng)
    content = bytearray(good(rng))
    if kind == "good":
        return bytes(content)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)) | st.integers(0, min(200, max(0, len(content) - 1))))
        change = draw(st.sampled_from(["byte", "cut", "insert", "repeat", "number"]))
        if change == "byte":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif change == "cut":
            del content[at : at + draw(st.integers(1, 400))]
        elif change == "insert":
            content[at:at] = draw(st.binary(max_size=20))
        elif change == "repeat":
            content[at:at] = content[at : at + 40]
        else:
            content[at : at + 4] = draw(
                st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
            )
    return bytes(content)


# Those of `bench.hostile` that take a moment; its tests of the server run the others.
HEAVY = {"deflated_dicom", "dicom_scans", "jpeg_scans", "jpeg_segments", "png_chunks", "png_text_bomb", "png_bomb"}
LIGHT = {name: make for name, make in KINDS.items() if name not in HEAVY}

# Configurations

numbers = st.sampled_from([0, 1, 2, 3, -1, 0.5, 1e-3, 1.0, 1e308, 2**31, 10**12, float("nan"), float("inf"), -0.0])
# fmt: off
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
# fmt: off
CONFIG_KEYS = {
    "data": [
        "root", "image_size", "batch_size", "classes", "seed", "val_fraction", "test_per_class", "test_root",
        "split_file", "metadata", "duplicates", "interpolation", "lungs", "augment", "unchanged", "restyle",
        "balance", "cache", "on_error", "class_path", "init_args",
    ],
    "model": [
        "learning_rate", "dropout", "weight_decay", "schedule", "warmup_epochs", "label_smoothing", "equalize",
        "average_mirrored", "capture", "num_classes", "image_size", "class_path", "init_args",
    ],
    "trainer": [
        "accelerator", "max_epochs", "precision", "limit_train_batches", "gradient_clip_val", "callbacks", "logger",
        "accumulate_grad_batches", "deterministic", "profiler", "log_every_n_steps", "limit_val_batches", "plugins",
        "overfit_batches", "check_val_every_n_epoch", "detect_anomaly", "benchmark", "min_epochs", "max_time",
    ],
    "early_stopping": ["monitor", "patience", "min_delta", "mode", "check_finite", "stopping_threshold"],
    "checkpoint": ["monitor", "filename", "save_last", "mode", "save_top_k", "every_n_epochs", "dirpath"],
}
# fmt: on
TOP = [
    "seed_everything",
    "ckpt_path",
    "tensorboard",
    "weights_only",
    "verbose",
    "report",
    "seeds",
    "nonsense",
    "config",
]
LARGEST = {"image_size": 64, "batch_size": 64, "max_epochs": 2, "min_epochs": 2}  # more takes what it asks for
ALL_KEYS = [*(f"{section}.{key}" for section, keys in CONFIG_KEYS.items() for key in keys), *CONFIG_KEYS, *TOP]


def _bounded(key: str, value: object) -> object:
    """Return a value that asks for no more than this machine has."""
    most = LARGEST.get(key.rpartition(".")[2])
    return most if most and isinstance(value, int | float) and not 0 <= value <= most else value


@dataclass(frozen=True)
class Configuration:
    """Words of a command line, and the text of a YAML file."""

    words: list[str]
    text: str | None


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Draw a few keys as words and a YAML file of some others, of whatever values; or one plain key, to get further."""
    if draw(st.booleans()):
        key = draw(st.sampled_from(ALL_KEYS))
        return Configuration([f"{key}={_bounded(key, draw(numbers | words))}"], None)
    typed = [(key, _bounded(key, draw(values))) for key in draw(st.lists(st.sampled_from(ALL_KEYS), max_size=2))]
    line = [f"{key}={value}" for key, value in typed]
    line += draw(
        st.lists(words | st.sampled_from(["--print_config", "--nonsense", "recipe=robust", "data=x"]), max_size=1)
    )
    if draw(st.booleans()):
        return Configuration(line, None)
    if draw(st.integers(0, 3)) == 0:
        return Configuration(line, draw(st.text(max_size=60) | st.lists(words, max_size=6).map(" ".join)))
    content: dict[Any, Any] = {}
    for key in draw(st.lists(st.sampled_from(ALL_KEYS), min_size=1, max_size=3)):
        section, _, name = key.partition(".")
        value = _bounded(key, draw(values))
        if name and isinstance(content.setdefault(section, {}), dict) and draw(st.booleans()):
            content[section][name] = value
        else:
            content[key] = value
    return Configuration(line, yaml.safe_dump(content, allow_unicode=draw(st.booleans())))


# What is done with a case: it returns, or raises UserError or SystemExit


def look_at_folder(folder: Folder) -> None:
    """List, audit, split and serve a folder."""
    with _scratch() as here:
        root = folder.write(here / "root")
        for step in (lambda: audit(root), lambda: list_external(root, CLASSES, {}), lambda: serve(root, here)):
            with contextlib.suppress(UserError):
                step()


def serve_given_folders(case: Given) -> None:
    """Audit and serve what folders and keys give."""
    with _scratch() as here:
        keys = case.write(here)
        with contextlib.suppress(UserError):
            audit_images(Radiographs(**keys))
        root = keys.pop("root", None)
        serve(Path(root) if root else None, here, **keys)


def read_split_file(content: bytes) -> None:
    """Serve good images by a split file."""
    with _scratch() as here:
        _good_root(here)
        (here / "split.csv").write_bytes(content)
        serve(here / "root", here, split_file=str(here / "split.csv"))


def read_metadata_table(content: bytes) -> None:
    """Audit and serve good images with a table."""
    with _scratch() as here:
        root, file = _good_root(here), here / "table.csv"
        file.write_bytes(content)
        with contextlib.suppress(UserError):
            audit(root, metadata=str(file))
        serve(root, here, metadata=str(file), balance="source")


def decode_image(content: bytes) -> None:
    """Decode an image as training does, and measure it as the server does."""
    with contextlib.suppress(UnreadableImageError):
        check(content, 40_000_000)
    try:
        pixels = decode(content, SIDE)
        assert pixels.shape[1:] == (SIDE, SIDE)
        thumbnail(Image.fromarray(pixels[0]))
    except UnreadableImageError as error:
        expect(bool(str(error)), "no reason")


def run_command_line(configuration: Configuration) -> None:
    """Train an epoch by the whole command line."""
    with _scratch() as here:
        root = _good_root(here)
        files = []
        if configuration.text is not None:
            (here / "c.yaml").write_text(configuration.text, encoding="utf-8", errors="surrogatepass")
            files = ["--config", str(here / "c.yaml")]
        train(root, "trainer.fast_dev_run=false", "trainer.max_epochs=1", *files, *configuration.words)


def train_on_folder(case: tuple[Folder, bytes, bytes]) -> None:
    """Train one step by the whole command line, on a folder with its tables."""
    folder, split, table = case
    with _scratch() as here:
        root = folder.write(here / "root")
        (here / "split.csv").write_bytes(split)
        (root / "metadata.csv").write_bytes(table)
        train(root)
        train(root, f"data.split_file={here / 'split.csv'}")


def serve(root: Path | None, here: Path, **options: Any) -> None:
    """Serve the images of a folder, or of those that the options name, once."""
    if root:
        options["root"] = str(root)
    data = RadiographyDataModule(
        image_size=SIDE,
        batch_size=4,
        test_per_class=1,
        cache_dir=str(here / "cache"),
        on_error="skip",
        **options,
    )
    data.prepare_data()
    data.setup("fit")
    for batches in (data.train_dataloader(), data.val_dataloader()):
        for images, *_ in batches:
            assert images.shape[2:] == (SIDE, SIDE)
    data.write_split(here / "written.csv")
    options["split_file"] = str(here / "written.csv")
    again = RadiographyDataModule(image_size=SIDE, test_per_class=1, cache=False, on_error="skip", **options)
    again.prepare_data()
    again.setup("test")
    expect(again.split == data.split, "a split file does not repeat its split")


def train(root: Path, *words: str) -> None:
    """Run the command ``fit`` for one step; its exit code must be 0 or 2, with a message and no traceback."""
    quick = ["trainer=cpu", "trainer.fast_dev_run=true", "trainer.enable_progress_bar=false"]
    own = [f"data.root={root}", "data.image_size=8", "data.test_per_class=1", "data.num_workers=0"]
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            main(["fit", *quick, "trainer.enable_model_summary=false", *own, *words])
    except SystemExit as ended:
        expect(ended.code in (0, 2), f"exit code {ended.code}")
        expect(ended.code == 0 or "error: " in told.getvalue(), "no message")
        expect("Traceback" not in told.getvalue(), "a traceback in the message")


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Work in a folder that goes."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def _good_root(here: Path) -> Path:
    root = here / "root"
    root.mkdir()
    write_good(root)
    return root


Target = tuple[st.SearchStrategy[Any], Callable[[Any], None], float]
TARGETS: Mapping[str, Target] = {  # what is drawn, what is done with it, the share of all cases
    "folders": (folders, look_at_folder, 0.12),
    "given splits and several roots": (given_folders, serve_given_folders, 0.05),
    "split files": (split_files, read_split_file, 0.25),
    "metadata tables": (metadata_tables, read_metadata_table, 0.25),
    "images": (images(), decode_image, 0.23),
    "configurations": (configurations(), run_command_line, 0.08),
    "folders and tables, whole command": (st.tuples(folders, split_files, metadata_tables), train_on_folder, 0.02),
}


def expect(holds: bool, otherwise: str) -> None:
    """Raise an AssertionError that says what is wrong, where something is."""
    assert holds, otherwise


class TooSlowError(Exception):
    """A case took too long."""


def holds(act: Callable[[Any], None], case: Any) -> None:
    """Do what a target does with a case; a user's mistake is as good as success.

    Raises:
        Exception: Any other, which would have reached the user.
    """

    def too_slow(*_: Any) -> None:
        raise TooSlowError(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            act(case)
    except UserError as error:
        expect(bool(str(error)), "no message")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Found:
    """What a target's cases gave."""

    cases: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by exception and place
    examples: dict[str, str] = field(default_factory=dict)


def fuzz(name: str, cases: int, number: int) -> Found:
    """Run so many cases of a target; failures are collected, not raised."""
    strategy, act, _ = TARGETS[name]
    found = Found()

    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(case: Any) -> None:
        found.cases += 1
        try:
            holds(act, case)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {str(error)[:160]}"
            key = what.partition(": ")[0]
            found.failures[key] += 1
            if key not in found.examples:
                found.examples[key] = f"{what}\n{''.join(traceback.format_exception(error)[-8:])}\n{case!r}"

    one()
    return found


def run(cases: int, number: int, only: Sequence[str]) -> int:
    """Print a table of all targets; return how many cases failed."""
    logging.disable(logging.CRITICAL)
    failed = total = 0
    lines = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for name, (_, _, share) in TARGETS.items():
            if only and name not in only:
                continue
            began = time.perf_counter()
            found = fuzz(name, max(1, round(cases * share)), number)
            total += found.cases
            failed += found.failures.total()
            seconds = time.perf_counter() - began
            lines.append(f"{name:<36} {found.cases:>7,} {found.failures.total():>9} {seconds:>9.0f}")
            print(lines[-1], file=sys.stderr, flush=True)
            for what, count in found.failures.most_common():
                print(f"  {count} x {found.examples[what]}", file=sys.stderr, flush=True)
    print(f"{'target':<36} {'cases':>7} {'failures':>9} {'seconds':>9}")
    print("\n".join(lines))
    print(f"{'all':<36} {total:>7,} {failed:>9}")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], choices=TARGETS, metavar="TARGET")
    options = parser.parse_args()
    sys.exit(1 if run(options.cases, options.seed, options.only) else 0)
