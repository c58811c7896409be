"""The set of drawn radiographs: written into a folder once, and read from there as any others."""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from covidnet.data.division.metadata import NAME, write_metadata
from covidnet.data.listing import Listing
from covidnet.data.local import local_path
from covidnet.data.phantom import CLASSES, CORNERS, VERSION, draw_radiograph, marked_corner
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError, require
from covidnet.files.folders import default_cache_dir, note_use
from covidnet.files.in_use import keep
from covidnet.files.plain_file import make_plain_folders, refuse_link
from covidnet.machine.parallel import cores, parallel_map, progress_bar, refuse_in_unguarded_worker

COUNTS = {"COVID-19": 130, "NORMAL": 480, "Viral Pneumonia": 480}
TEST_COUNTS = dict.fromkeys(CLASSES, 150)  # of a test of its own: with markers at random, 50 images a class and corner
FAINTEST = 0.2  # of the opacities: below, nobody would see them in the noise
README = "README.md"
PHANTOMS = "phantoms"  # their folder in the cache folder
SEED, TEST_SEED = 28, 29  # of the drawing; data.seed is the split's
MANY = 100  # images from which on worker processes are worth their start
LONGEST_README = 2**16  # bytes


class Phantoms(Radiographs):
    """Radiographs that are drawn once, where they are first asked for.

    Args:
        root: Folder to draw into; the cache folder (``cache_dir``) where left out.
        shortcut: Probability that a marker in the corner names the class, for tests of honesty; 0 for no marker.
        test_shortcut: The same of a test that is drawn apart, 150 images a class, as 0.33 for a marker that tells
            nothing there; where left out, the test is of the same images.
        opacity: How dense the opacities of a class are, from 0.2 to 1: of fainter ones a marker is learned first.
        options: What all radiographs take.
    """

    notice = "DRAWN radiographs (phantoms), not images of people. "

    def __init__(
        self,
        root: str | None = None,
        shortcut: float = 0.0,
        test_shortcut: float | None = None,
        opacity: float = 1.0,
        **options: Any,
    ) -> None:
        require(0 <= shortcut <= 1, "data.shortcut", shortcut, "a probability, between 0 and 1")
        if test_shortcut is not None:
            require(0 <= test_shortcut <= 1, "data.test_shortcut", test_shortcut, "a probability, between 0 and 1")
            alone = not options.get("test_root")
            require(alone, "data.test_shortcut", test_shortcut, "left out where data.test_root names the test images")
        require(FAINTEST <= opacity <= 1, "data.opacity", opacity, f"a factor from {FAINTEST} to 1")
        if given := next((key for key in ("table", "split_lists") if options.get(key)), None):
            raise UserError(f"data.{given}={options[given]} is for radiographs that are there: leave data=phantom out.")
        self.shortcut, self.test_shortcut, self.opacity = shortcut, test_shortcut, opacity
        self.caches = local_path(options.get("cache_dir")) or default_cache_dir()
        self.default_root = self._drawn_into(SEED, shortcut)
        super().__init__(root=root, **options)

    def _drawn_into(self, seed: int, shortcut: float) -> Path:
        fainter = "" if self.opacity == 1 else f"-opacity{self.opacity:g}"
        return self.caches / PHANTOMS / f"v{VERSION}-seed{seed}-shortcut{shortcut:g}{fainter}"

    @cached_property
    def test_root(self) -> Path | None:
        """The folder of the test that is drawn apart, where it is; else as of all radiographs."""
        return super().test_root if self.test_shortcut is None else self._drawn_into(TEST_SEED, self.test_shortcut)

    def list_images(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """Draw the images of the root, and of a test apart, then list them; another test root is the user's own."""
        if key == "data.root":
            self._draw(root, SEED, self.shortcut, COUNTS, own=root == self.default_root)
        elif self.test_shortcut is not None:
            self._draw(root, TEST_SEED, self.test_shortcut, TEST_COUNTS, own=True)
        return super().list_images(root, classes, key)

    def _draw(self, root: Path, seed: int, shortcut: float, counts: Mapping[str, int], *, own: bool) -> None:
        if own:  # in the cache folder; another one is the user's
            make_plain_folders(self.caches, PHANTOMS)
            refuse_link(root)
        write_phantoms(root, counts, seed, shortcut=shortcut, opacity=self.opacity)
        if own:
            note_use(root / README)
            keep(root / README)


def write_phantoms(
    folder: Path,
    counts: Mapping[str, int] | None = None,
    seed: int = 28,
    size: int = 256,
    shortcut: float = 0.0,
    opacity: float = 1.0,
) -> Path:
    """Draw the set below ``folder`` unless it is complete there; return the root.

    The first release's layout: ``NORMAL/NORMAL phantom (1).png``, 8-bit grey, and a ``metadata.csv``, whose source is
    the corner of an image's marker. ``counts`` holds the images per class
    (``COUNTS`` unless given). Image i of a class depends on no other image, so a smaller set is the start of a larger.
    """
    refuse_in_unguarded_worker()
    counts = COUNTS if counts is None else counts
    if unknown := set(counts) - set(CLASSES):
        raise UserError(f"counts names {sorted(unknown)}, but phantoms are drawn for {list(CLASSES)}.")
    if not 0 <= shortcut <= 1:
        raise UserError(f"shortcut is {shortcut}, but it is a probability: set it between 0 and 1.")
    readme = _readme(counts, seed, size, shortcut, opacity)
    files = {
        Path(name) / f"{name} phantom ({number + 1}).png": (label, number)
        for label, name in enumerate(CLASSES)
        for number in range(counts.get(name, 0))
    }
    rows = [_row(file, *drawn, seed, shortcut) for file, drawn in files.items()]
    if _holds(folder, readme, list(files)):
        if not (folder / NAME).exists():  # drawn before there was a table
            write_metadata(folder / NAME, rows)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        root = Path(scratch) / folder.name  # one level down: this one has the usual permissions
        for name in counts:
            (root / name).mkdir(parents=True)
        jobs = [(root / file, label, number) for file, (label, number) in files.items()]
        draw = partial(_draw_file, seed=seed, size=size, shortcut=shortcut, opacity=opacity)
        drawn = parallel_map(draw, jobs, processes=cores() if len(jobs) >= MANY else 1)
        with progress_bar(len(jobs), "drawing phantoms") as bar:
            for _ in drawn:
                bar.update()
        (root / README).write_text(readme, encoding="utf-8")
        write_metadata(root / NAME, rows)
        try:
            root.rename(folder)
        except OSError:  # another process was first: its copy is the same
            if not _holds(folder, readme, list(files)):
                raise
    return folder


def _row(file: Path, label: int, number: int, seed: int, shortcut: float) -> dict[str, str]:
    """Return what the table says of an image: its source is the corner of its marker.

    Without markers the corners take turns, whatever the class: sources that nothing in the picture tells.
    """
    corner = marked_corner(label, _seed_of(seed, label, number), shortcut) if shortcut > 0 else number % len(CORNERS)
    patient = file.stem if seed == SEED else f"{file.stem} of seed {seed}"  # of another seed, other people
    return {"path": file.as_posix(), "patient": patient, "source": CORNERS[corner]}


def _seed_of(seed: int, label: int, number: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(label, number))


def _draw_file(job: tuple[Path, int, int], seed: int, size: int, shortcut: float, opacity: float) -> None:
    file, label, number = job
    image, _ = draw_radiograph(label, _seed_of(seed, label, number), size, shortcut, opacity)
    Image.fromarray(image).save(file, compress_level=1)  # noise hardly compresses: do not try for long


def _holds(folder: Path, readme: str, files: list[Path]) -> bool:
    """Return whether ``folder`` is the whole set; raise if it is something else, which is not ours."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    path = folder / README
    if not path.is_file() or path.stat().st_size > LONGEST_README or path.read_bytes() != readme.encode():
        raise UserError(
            f"{folder} holds something other than these phantoms, and stays as it is. Give data.root=FOLDER, a new one "
            "to draw them into, or leave data.root out. To measure a model that was trained on phantoms on these "
            f"images: covidnet evaluate RUN {shlex.quote(str(folder))}"
        )
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise UserError(
            f"{folder} lacks {len(missing)} of its {len(files)} phantoms, '{missing[0]}' first: move it away, or name "
            "another folder (data.root=FOLDER), and they are drawn again."
        )
    return True


def _readme(counts: Mapping[str, int], seed: int, size: int, shortcut: float, opacity: float) -> str:
    fainter = "" if opacity == 1 else f"- opacity: {opacity}\n"
    total = ", ".join(f"{counts[name]} {name}" for name in CLASSES if name in counts)
    marker = (
        f"A marker in a corner names the true class with probability {shortcut}, else another one."
        if shortcut > 0
        else "There is no marker in the corners."
    )
    return (
        "# Drawn chest radiographs\n\n"
        "These images are drawn by a program (covidnet/data/phantom.py). They show no patient and prove nothing about"
        " medicine.\nInside the lungs: COVID-19 has peripheral patches, Viral Pneumonia a haze about the hila, NORMAL"
        f" vessels only.\n{marker}\n\n"
        f"- images: {total}; {size}x{size}, 8-bit grey\n- version: {VERSION}\n- seed: {seed}\n- shortcut: {shortcut}\n"
        f"{fainter}"
    )
