"""Facts about names that systems write in several ways: each is one name, wherever it is met."""

import csv
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covidnet.data.cache import open_cache
from covidnet.data.changes.lungs import mask_paths
from covidnet.data.radiographs import Radiographs
from covidnet.data.spelling import Spellings, one_name, twins_told
from covidnet.data.walk import spelt_below
from covidnet.runs.predictions import read_predictions, write_predictions

CLASSES = ("Gesund", "Lungenentz\u00fcndung")
PATIENTS, EACH = 9, 2


def written(root: Path, form: str, ending: str = ".png", table: str | None = "NFC") -> Path:
    """Write small images of patients, whose names have accents, under names of one normal form, and a table of them."""
    rng, rows = np.random.default_rng(0), [("path", "patient")]
    for label, name in enumerate(CLASSES):
        folder = root / unicodedata.normalize(form, name)
        folder.mkdir(parents=True)
        for number in range(PATIENTS * EACH):
            called = f"M\u00fcller{number // EACH}_{number % EACH}"
            pixels = np.kron(rng.integers(0, 120, (8, 8)) + 100 * label, np.ones((3, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / (unicodedata.normalize(form, called) + ending), format="png")
            rows.append((f"{name}/{called}.png", f"{name} M\u00fcller{number // EACH}"))
    if table:
        text = "".join(",".join(row) + "\n" for row in rows)
        (root / "metadata.csv").write_text(unicodedata.normalize(table, text), encoding="utf-8")
    return root


def radiographs(root: Path, tmp_path: Path, **options: object) -> Radiographs:
    keys = {"image_size": 6, "test_per_class": 4, "cache_dir": str(tmp_path / "cache"), "duplicates": False, **options}
    return Radiographs(root=str(root), **keys)


def sides(data: Radiographs) -> dict[str, tuple[str, str]]:
    """Return name -> class and side."""
    return {
        one_name(data.images.paths[number]): (data.classes[data.images.labels[number]], side)
        for side, numbers in data.split.items()
        for number in numbers
    }


def other(path: str) -> str:
    """Return a name as the other kind of disk writes it."""
    return unicodedata.normalize("NFD", path).replace(".png", ".PNG")


@pytest.mark.parametrize(
    ("form", "ending", "options"),
    [
        ("NFD", ".png", {}),
        ("NFC", ".PNG", {}),
        ("NFD", ".Png", {"table": "NFD"}),
        ("NFD", ".png", {"table": None, "patient_pattern": "(M\u00fcller[0-9]+)_"}),
    ],
)
def test_a_folder_splits_alike_however_its_disk_writes_its_names(tmp_path, form, ending, options):
    table = options.pop("table", "NFC")
    usual = radiographs(written(tmp_path / "usual", "NFC"), tmp_path)
    unusual = radiographs(written(tmp_path / "unusual", form, ending, table), tmp_path, **options)
    assert sides(unusual) == sides(usual)
    assert unusual.classes == usual.classes == list(CLASSES)
    assert list(map(one_name, unusual.images.paths)) == usual.images.paths  # so batches are alike, too
    assert len(set(unusual.division.patients)) == PATIENTS * len(CLASSES)


def test_a_split_file_of_another_disk_is_followed(tmp_path):
    here = radiographs(written(tmp_path / "here", "NFC"), tmp_path)
    here.write_split(tmp_path / "split.csv")
    text = other((tmp_path / "split.csv").read_text(encoding="utf-8"))
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    again = radiographs(tmp_path / "here", tmp_path, split_file=str(tmp_path / "split.csv"), seed=1)
    assert sides(again) == sides(here)


def test_classes_and_folders_may_be_typed_in_another_form(tmp_path):
    root = written(tmp_path / unicodedata.normalize("NFD", "R\u00f6ntgen"), "NFD")
    data = radiographs(tmp_path / "R\u00f6ntgen", tmp_path, classes=[CLASSES[1], CLASSES[0]])
    assert data.roots[""].samefile(root)
    assert data.classes == [CLASSES[1], CLASSES[0]]
    assert data.image_file(f"{CLASSES[1]}/M\u00fcller0_0.PNG").is_file()


def test_two_folders_of_one_name_are_one_class_and_two_files_of_one_name_two_images_of_which_the_user_is_told(tmp_path):
    root = written(tmp_path / "root", "NFC", table=None)
    (twin := root / unicodedata.normalize("NFD", CLASSES[1])).mkdir()
    for name in ("M\u00fcller0_0.png", "new.png"):
        Image.new("L", (8, 8), 7).save(twin / name)
    data = radiographs(root, tmp_path)
    assert data.folder.class_counts == {CLASSES[0]: PATIENTS * EACH, CLASSES[1]: PATIENTS * EACH + 2}
    assert len(data.split.train + data.split.val + data.split.test) == len(data.folder.paths)
    with pytest.warns(UserWarning, match="1 names are there twice, but for how an accent is written"):
        data.tell()


def test_a_twin_is_found_by_its_own_spelling_and_never_by_a_third():
    names = ["a/\u00e9.png", "a/e\u0301.png", "b.PNG"]
    found = Spellings(names)
    assert [found.find(name) for name in (*names, "b.png", "a/\u00e9.PNG", "B.png")] == [*names, "b.PNG", None, None]
    assert found.twins == [["a/e\u0301.png", "a/\u00e9.png"]]
    assert twins_told(["a.png", "b.png"]) is None
    assert one_name("1.2.ABC") == "1.2.ABC"  # no ending of an image


def test_a_cache_knows_a_name_that_its_disk_writes_otherwise_now(tmp_path, monkeypatch):
    root = written(tmp_path / "root", "NFC", table=None)
    paths = [f"{CLASSES[1]}/M\u00fcller{number}_0.png" for number in range(3)]
    first, _ = open_cache(root, paths, 6, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("covidnet.data.cache.decode_all", lambda *_: pytest.fail("decoded anew"))
    status = {other(path): (root / path).stat() for path in paths}
    monkeypatch.setattr(Path, "stat", _stat_by_any_name(root, status))  # as a disk mounted in another way gives it
    again, unreadable = open_cache(root, list(status), 6, cache_dir=tmp_path / "cache")
    assert not unreadable
    np.testing.assert_array_equal(again.gather(np.arange(3)), first.gather(np.arange(3)))


def _stat_by_any_name(root, status):
    honest = Path.stat

    def stat(path, **options):
        below = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
        return status[below] if below in status else honest(path, **options)

    return stat


def test_masks_and_files_are_found_by_any_spelling(tmp_path):
    images = written(tmp_path / "root", "NFD", ".PNG", table=None)
    masks = images / unicodedata.normalize("NFD", CLASSES[1]) / "masks"
    masks.mkdir()
    (masks / "M\u00fcller0_0.png").touch()
    [path] = spelt_below(images, [f"{CLASSES[1]}/M\u00fcller0_0.png"])
    assert path == unicodedata.normalize("NFD", f"{CLASSES[1]}/M\u00fcller0_0.PNG")
    assert mask_paths(images, [path]) == [f"{unicodedata.normalize('NFD', CLASSES[1])}/masks/M\u00fcller0_0.png"]
    assert spelt_below(images, ["no/such.png", "../x.png"]) == ["no/such.png", "../x.png"]


def test_predictions_of_two_disks_are_of_one_set_of_images(tmp_path):
    paths, classes = [f"{CLASSES[1]}/M\u00fcller0_0.png"], list(CLASSES)
    for form in ("NFC", "NFD"):
        named = [unicodedata.normalize(form, name) for name in classes]
        write_predictions(
            tmp_path / form, [unicodedata.normalize(form, paths[0])], np.eye(2)[:1], np.ones(1, dtype=np.int64), named
        )
    ours, theirs = (read_predictions(tmp_path / form) for form in ("NFC", "NFD"))
    assert theirs.classes == ours.classes == classes
    assert theirs.spelt_as(paths).of(paths, classes).paths == ours.paths


def test_rows_that_match_nothing_are_a_warning_with_what_it_means_for_the_split(tmp_path):
    root = written(tmp_path / "root", "NFC")
    rows = list(csv.reader((root / "metadata.csv").read_text(encoding="utf-8").splitlines()))
    lost = [["Gesund/lost.png", "nobody"], *rows[1:3]]
    for name in (f"{CLASSES[0]}/M\u00fcller0_0.png", f"{CLASSES[0]}/M\u00fcller0_1.png"):
        (root / name).rename((root / name).with_stem(f"x{Path(name).stem}"))
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*rows, lost[0]])
    [warned] = radiographs(root, tmp_path).metadata.warned
    assert "3 of the 37 images that" in warned
    assert "So 2 of its 19 patients have no image. And 2 of the 36 images there are in no row: nobody knows" in warned
    # Images of a class that was not asked for are there all the same.
    one = radiographs(root, tmp_path, classes=["Gesund", CLASSES[1]], patient_pattern=None)
    assert one.metadata.warned == [warned]


def test_rows_of_images_that_are_there_but_take_no_part_are_no_news(tmp_path):
    root = written(tmp_path / "root", "NFD")
    paste = root / "More"
    paste.mkdir()
    Image.new("L", (8, 8)).save(paste / "1.png")
    with (root / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("More/1.png,somebody\n")
    assert list(radiographs(root, tmp_path, classes=list(CLASSES)).metadata.warned) == []


def test_a_split_file_that_trains_on_patients_of_the_test_says_so(tmp_path):
    data = radiographs(written(tmp_path / "root", "NFC"), tmp_path)
    data.write_split(tmp_path / "split.csv")
    text = (tmp_path / "split.csv").read_text(encoding="utf-8")
    moved = next(path for number in data.split.test if (path := data.images.paths[number]))
    text = text.replace(f"{moved},{CLASSES[0]},test", f"{moved},{CLASSES[0]},train")
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    leaky = radiographs(tmp_path / "root", tmp_path, split_file=str(tmp_path / "split.csv"))
    with pytest.warns(UserWarning, match="1 test images"):
        leaky.tell()


def test_a_class_whose_test_one_patient_fills_is_told(tmp_path):
    root = written(tmp_path / "root", "NFC", table=None)
    alone = radiographs(root, tmp_path)
    assert alone.division.few_told(alone.split) is None
    rows = [f"{path},{'one' if number < 14 else number}\n" for number, path in enumerate(alone.folder.paths)]
    (root / "metadata.csv").write_text("path,patient\n" + "".join(rows), encoding="utf-8")
    data = radiographs(root, tmp_path, seed=2, val_fraction=0.1)
    few = data.division.few_told(data.split) or ""
    assert "the 14 of Gesund are of 1, 14 of one (Gesund/M\u00fcller0_0.png)" in few
    assert CLASSES[1] not in few
