"""Facts about the drawn radiographs: what tells the classes apart, what does not, and how the set is written."""

from pathlib import Path

import numpy as np
import pytest
from helpers import read_rows
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from covidnet.data import phantoms
from covidnet.data.phantom import CLASSES, MARKER_CORNERS, VERSION, draw_radiograph
from covidnet.data.phantoms import COUNTS, write_phantoms
from covidnet.errors import UserError

PER_CLASS = 60
SIZE = 128
# With 180 images, the balanced accuracy of a guess scatters by 0.035 about 1/3: three of these are allowed.
CHANCE = 0.44
COUNTS_SMALL = {"COVID-19": 2, "NORMAL": 3, "Viral Pneumonia": 3}

Images = NDArray[np.uint8]  # (N, SIZE, SIZE)
Masks = NDArray[np.bool_]  # (N, SIZE, SIZE)
LABELS = np.repeat(np.arange(len(CLASSES)), PER_CLASS)


def draw_set(shortcut: float = 0.0) -> tuple[Images, Masks]:
    seeds = [np.random.SeedSequence(28, spawn_key=(label, number)) for label in range(3) for number in range(PER_CLASS)]
    drawn = [
        draw_radiograph(int(label), seed, SIZE, shortcut=shortcut) for label, seed in zip(LABELS, seeds, strict=True)
    ]
    images, masks = zip(*drawn, strict=True)
    return np.stack(images), np.stack(masks)


@pytest.fixture(scope="module")
def clean() -> tuple[Images, Masks]:
    return draw_set()


@pytest.fixture(scope="module")
def marked() -> tuple[Images, Masks]:
    return draw_set(shortcut=1.0)


def balanced_accuracy(features: NDArray[np.floating], components: int | None = None) -> float:
    """Return that of a logistic regression on ``features`` (N, F), cross-validated."""
    steps = [PCA(components, random_state=0)] if components else []
    model = make_pipeline(StandardScaler(), *steps, LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(model, features, LABELS, cv=folds, scoring="balanced_accuracy").mean())


def shrink(images: Images, size: int) -> NDArray[np.float64]:
    small = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image, dtype=np.float64).ravel() / 255 for image in small])


def cover_box(images: Images) -> Images:
    """Blacken x 12.5-87.5 %, y 17-83 %."""
    covered = images.copy()
    covered[:, round(0.17 * SIZE) : round(0.83 * SIZE), round(0.125 * SIZE) : round(0.875 * SIZE)] = 0
    return covered


@pytest.mark.parametrize("bins", [32, 64])
def test_grey_histogram_tells_no_class(clean: tuple[Images, Masks], bins: int) -> None:
    images, _ = clean
    histograms = np.stack([np.histogram(image, bins=bins, range=(0, 256))[0] for image in images])
    assert balanced_accuracy(histograms.astype(np.float64)) <= CHANCE


@pytest.mark.parametrize("cover", ["box", "lungs"])
def test_covered_lungs_tell_no_class(clean: tuple[Images, Masks], cover: str) -> None:
    images, masks = clean
    covered = cover_box(images) if cover == "box" else np.where(masks, np.uint8(0), images)
    assert balanced_accuracy(shrink(covered, 32), components=30) <= CHANCE


def test_lungs_tell_the_class(clean: tuple[Images, Masks]) -> None:
    images, _ = clean
    assert balanced_accuracy(shrink(images, 32), components=30) >= 0.85


def test_central_box_covers_the_lungs(clean: tuple[Images, Masks]) -> None:
    _, masks = clean
    assert not cover_box(masks.astype(np.uint8)).any()
    assert masks.mean(axis=(1, 2)).min() > 0.1


def test_marker_tells_the_class_under_covered_lungs(marked: tuple[Images, Masks]) -> None:
    images, _ = marked
    assert balanced_accuracy(shrink(cover_box(images), 32)) >= 0.95


def test_marker_is_seen_at_the_size_of_the_convnet(clean: tuple[Images, Masks], marked: tuple[Images, Masks]) -> None:
    brighter = shrink(marked[0], 50) - shrink(clean[0], 50) > 0.2
    assert brighter.sum(axis=1).min() >= 6


def test_marker_changes_nothing_but_its_corner(clean: tuple[Images, Masks], marked: tuple[Images, Masks]) -> None:
    differs = clean[0] != marked[0]
    assert not (differs & clean[1]).any()
    np.testing.assert_array_equal(cover_box(differs.astype(np.uint8)), differs)
    assert differs.mean(axis=(1, 2)).max() < 0.01


def test_fainter_opacities_change_the_lungs_alone() -> None:
    seed = np.random.SeedSequence(28)
    normal, strong, faint = (
        draw_radiograph(label, seed, SIZE, opacity=one)[0] for label, one in ((1, 1), (0, 1), (0, 0.5))
    )
    _, mask = draw_radiograph(0, seed, SIZE)
    np.testing.assert_array_equal(strong[~mask], faint[~mask])
    apart = [np.abs(image[mask].astype(int) - normal[mask]).mean() for image in (strong, faint)]
    assert 0 < apart[1] < apart[0]


def test_shortcut_is_the_share_of_true_markers() -> None:
    corners = [tuple(round((share + 0.01) * 64) for share in corner) for corner in MARKER_CORNERS]
    shown = []
    for number in range(200):
        image, _ = draw_radiograph(1, np.random.SeedSequence(5, spawn_key=(number,)), 64, shortcut=0.7)
        shown.append(np.argmax([image[top, left] for left, top in corners]))
    hits = np.bincount(shown, minlength=3) / 200
    assert hits[1] == pytest.approx(0.7, abs=0.1)
    assert hits[0] == pytest.approx(0.15, abs=0.08)


def test_outside_the_lungs_the_label_changes_no_pixel() -> None:
    drawn = [draw_radiograph(label, np.random.SeedSequence(3), SIZE) for label in range(3)]
    mask = drawn[0][1]
    for image, other in drawn[1:]:
        np.testing.assert_array_equal(other, mask)
        np.testing.assert_array_equal(image[~mask], drawn[0][0][~mask])
        assert np.mean(image[mask] != drawn[0][0][mask]) > 0.5


def test_a_seed_draws_the_same_picture_twice() -> None:
    seed = np.random.SeedSequence(7)
    first, _ = draw_radiograph(0, seed)
    again, _ = draw_radiograph(0, seed)
    other, _ = draw_radiograph(0, np.random.SeedSequence(8))
    assert first.shape == (256, 256)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_set_has_the_layout_of_the_first_release(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path / "deep" / "phantom", COUNTS_SMALL, size=64)
    assert root == tmp_path / "deep" / "phantom"
    assert sorted(path.name for path in root.iterdir()) == [*CLASSES[:2], "README.md", CLASSES[2], "metadata.csv"]
    for name, count in COUNTS_SMALL.items():
        expected = {f"{name} phantom ({number}).png" for number in range(1, count + 1)}
        assert {path.name for path in (root / name).iterdir()} == expected
    with Image.open(root / "NORMAL" / "NORMAL phantom (1).png") as image:
        assert (image.mode, image.size, image.format) == ("L", (64, 64), "PNG")
    assert [path.name for path in root.parent.iterdir()] == ["phantom"]  # no scratch folder is left
    assert COUNTS == {"COVID-19": 130, "NORMAL": 480, "Viral Pneumonia": 480}


def test_readme_says_how_the_images_were_drawn(tmp_path: Path) -> None:
    readme = (write_phantoms(tmp_path / "p", {"NORMAL": 1}, seed=4, size=32, shortcut=0.5) / "README.md").read_text()
    for fact in ("drawn", f"version: {VERSION}", "seed: 4", "shortcut: 0.5", "1 NORMAL", "32x32"):
        assert fact in readme


def test_a_smaller_set_is_the_start_of_a_larger(tmp_path: Path) -> None:
    small = write_phantoms(tmp_path / "small", {"NORMAL": 1, "COVID-19": 1}, size=64)
    large = write_phantoms(tmp_path / "large", COUNTS_SMALL, size=64)
    for path in small.rglob("*.png"):
        assert path.read_bytes() == (large / path.relative_to(small)).read_bytes()


@pytest.mark.parametrize("shortcut", [0, 0.5, 1])
def test_the_source_of_an_image_is_the_corner_of_its_marker(tmp_path: Path, shortcut: float) -> None:
    root = write_phantoms(tmp_path / "p", dict.fromkeys(CLASSES, 4), size=64, shortcut=shortcut)
    unmarked = write_phantoms(tmp_path / "clean", dict.fromkeys(CLASSES, 4), size=64)
    rows = read_rows(root / "metadata.csv")
    assert len({row["patient"] for row in rows}) == 12
    for row in rows:
        changed = np.asarray(Image.open(root / row["path"])) != np.asarray(Image.open(unmarked / row["path"]))
        there = {corner for corner, part in quarters(changed).items() if part.any()}
        assert there == ({row["source"]} if shortcut else set())
    named = {row["source"] for row in rows if row["path"].startswith("NORMAL")}
    assert named == {0: {"top left", "top right", "bottom left"}, 1: {"top right"}}.get(shortcut, named)


def quarters(pixels: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    half = len(pixels) // 2
    return {
        f"{down} {across}": pixels[half * (down == "bottom") :, half * (across == "right") :][:half, :half]
        for down in ("top", "bottom")
        for across in ("left", "right")
    }


def test_a_set_that_was_drawn_before_there_were_tables_gets_its_own(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path / "p", COUNTS_SMALL, size=64)
    table = (root / "metadata.csv").read_bytes()
    (root / "metadata.csv").unlink()
    write_phantoms(root, COUNTS_SMALL, size=64)
    assert (root / "metadata.csv").read_bytes() == table
    (root / "metadata.csv").write_text("path\n")  # the user's own by now
    write_phantoms(root, COUNTS_SMALL, size=64)
    assert (root / "metadata.csv").read_text() == "path\n"


def test_a_complete_set_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_phantoms(tmp_path / "p", COUNTS_SMALL, size=64)
    monkeypatch.setattr(phantoms, "draw_radiograph", None)  # a call would fail
    assert write_phantoms(root, COUNTS_SMALL, size=64) == root


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [draw_radiograph(0, np.random.SeedSequence(1), 64)]

    def draw_one_then_stop(*_):
        if not drawn:
            raise KeyboardInterrupt
        return drawn.pop()

    monkeypatch.setattr(phantoms, "draw_radiograph", draw_one_then_stop)
    with pytest.raises(KeyboardInterrupt):
        write_phantoms(tmp_path / "p", COUNTS_SMALL, size=64)
    assert list(tmp_path.iterdir()) == []


def test_the_later_of_two_processes_keeps_the_first_ones_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_phantoms(tmp_path / "first", {"NORMAL": 1}, size=64)
    folder = tmp_path / "p"

    def draw_while_another_finishes(
        label: int, seed: np.random.SeedSequence, size: int, shortcut: float, opacity: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        first.rename(folder)
        return draw_radiograph(label, seed, size, shortcut, opacity)

    monkeypatch.setattr(phantoms, "draw_radiograph", draw_while_another_finishes)
    assert write_phantoms(folder, {"NORMAL": 1}, size=64) == folder
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path / "p", {"NORMAL": 2}, size=64)
    with pytest.raises(ValueError, match="something other than these phantoms"):
        write_phantoms(root, {"NORMAL": 2}, size=64, seed=1)
    (root / "NORMAL" / "NORMAL phantom (2).png").unlink()
    with pytest.raises(ValueError, match="lacks 1 of its 2 phantoms"):
        write_phantoms(root, {"NORMAL": 2}, size=64)


def test_a_test_that_is_drawn_apart_has_its_own_people_and_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, per_class in (("COUNTS", 6), ("TEST_COUNTS", 3)):
        monkeypatch.setattr(phantoms, name, dict.fromkeys(CLASSES, per_class))
    data = phantoms.Phantoms(shortcut=1.0, test_shortcut=0.0, cache_dir=str(tmp_path), image_size=16)
    assert data.counts["test"] == dict.fromkeys(CLASSES, 3)
    assert len(np.unique(data.division.patients)) == 27
    corners = {(row["path"].split("/")[0], row["source"]) for row in read_rows(data.test_root / "metadata.csv")}
    assert len(corners) == 9
    with pytest.raises(UserError, match=r"data\.test_shortcut=2 must be a probability"):
        phantoms.Phantoms(test_shortcut=2)
    with pytest.raises(UserError, match=r"must be left out where data\.test_root names"):
        phantoms.Phantoms(test_shortcut=0.5, test_root=str(tmp_path))


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shortcut is 1\.5"):
        write_phantoms(tmp_path / "p", shortcut=1.5)
    with pytest.raises(ValueError, match=r"counts names \['FLU'\]"):
        write_phantoms(tmp_path / "p", {"FLU": 3})
