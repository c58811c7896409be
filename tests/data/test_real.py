"""Facts about real radiographs: both releases in their own layout, and files that make trouble."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import slow

from bench.altered import KINDS
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.folds import deal_folds
from covidnet.data.division.metadata import find_metadata, linked_groups, read_metadata
from covidnet.data.division.split import seeded_split
from covidnet.data.folder import RadiographFolder
from covidnet.data.module import RadiographyDataModule
from covidnet.data.radiographs import Radiographs
from covidnet.imaging.decode import decode, open_radiograph, read, thumbnail
from covidnet.imaging.radiograph import UnreadableImageError

pytestmark = pytest.mark.xdist_group("real")  # one worker reads and compares them
LAYOUTS = {
    "release1": ("COVID-19 Radiography Database", [219, 1341, 1345]),
    "later_release": ("COVID-19_Radiography_Dataset", [150, 150, 150]),
    "later_release_small": ("COVID-19_Radiography_Dataset", [1500, 2200, 700]),
}


def listed(real_data, name):
    return RadiographFolder(real_data / name / LAYOUTS[name][0])


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_release_gives_its_classes_their_images_and_no_mask(real_data, name):
    folder = listed(real_data, name)
    assert list(folder.class_counts.values()) == LAYOUTS[name][1]
    assert not [path for path in folder.paths if "mask" in path.lower()]
    assert folder.ignored == []


@pytest.mark.parametrize("seed", [28, 0])
@pytest.mark.parametrize("name", ["release1", "later_release_small"])
def test_no_patient_or_near_duplicate_is_on_two_sides(real_data, name, seed):
    folder = listed(real_data, name)
    root, paths = Path(folder.root), folder.paths
    rows = read_metadata(find_metadata(root), root, paths).rows
    groups = linked_groups(paths, rows)
    split = seeded_split(paths, folder.targets, groups, folder.classes, seed=seed, val_fraction=0.2, test_per_class=40)
    for column in ("patient", "group"):
        values = [{rows.get(paths[i], {}).get(column) for i in indices} - {"", None} for _, indices in split.items()]
        assert sum(map(len, values)) == len(set.union(*values))
    assert len(set(groups)) < len(groups)  # the table does link images


@slow
@pytest.mark.parametrize("name", ["release1", "later_release_small"])
def test_no_patient_group_or_duplicate_is_in_two_folds(real_data, name):
    data = Radiographs(str(real_data / name / LAYOUTS[name][0]))
    division = data.division
    folds = deal_folds(
        division.paths, division.labels, division.patients.tolist(), data.classes, k=5, seed=28, val_fraction=0.2
    )
    of = np.array(folds.numbers)
    assert len(division.pairs)
    assert (of[division.pairs[:, 0]] == of[division.pairs[:, 1]]).all()
    for column in ("patient", "group"):
        held: dict[str, set[int]] = {}
        for path, number in zip(folds.paths, folds.numbers, strict=True):
            if value := division.rows.get(path, {}).get(column):
                held.setdefault(value, set()).add(number)
        assert held
        assert all(len(numbers) == 1 for numbers in held.values())
    counts = np.array([np.bincount(of[np.array(folds.labels) == label])[1:] for label in range(len(data.classes))])
    assert (np.ptp(counts, axis=1) <= 2).all()  # groups of two or more remain
    for number in range(1, 6):
        split = folds.split(number)
        sides = [{folds.groups[n] for n in side} for _, side in split.items()]
        assert sum(map(len, sides)) == len(set(folds.groups))


def test_the_first_release_is_served_as_the_tutorial_counts_it(real_data):
    module = RadiographyDataModule(str(real_data / "release1" / LAYOUTS["release1"][0]), metadata="none")
    module.setup("fit")
    assert [list(counts.values()) for counts in module.counts.values()] == [[143, 1041, 1044], [36, 260, 261], [40] * 3]
    images, labels = next(iter(module.test_dataloader()))
    assert (images.shape, labels.bincount().tolist()) == ((120, 3, 50, 50), [40, 40, 40])
    assert 0.3 < images.mean() < 0.7


@pytest.mark.parametrize(
    ("name", "channels", "low", "high"),
    [
        ("sixteen_bit.png", 1, 20, 235),
        ("twelve_in_sixteen_bit.png", 1, 20, 235),
        ("rgba.png", 1, 20, 235),
        ("jpeg_inside.png", 3, 20, 235),
        ("jfif.jfif", 1, 20, 235),
        ("webp_inside.webp", 1, 20, 235),
        ("white_frame.png", 1, 20, 235),
        ("nearly_black.png", 1, 1, 60),
        ("blank.jpg", 1, 0, 20),
        ("rsna_monochrome2.dcm", 1, 20, 235),
        ("monochrome1.dcm", 1, 20, 235),
    ],
)
def test_an_odd_file_decodes_sensibly(real_data, name, channels, low, high):
    pixels = decode((real_data / "odd" / name).read_bytes(), 50)
    assert pixels.shape == (channels, 50, 50)
    assert low < pixels.mean() < high


def test_twelve_and_sixteen_bits_of_one_radiograph_look_alike(real_data):
    deep, wide = (
        decode((real_data / "odd" / f"{name}_bit.png").read_bytes(), 50) for name in ("twelve_in_sixteen", "sixteen")
    )
    assert abs(deep.astype(int) - wide).max() <= 1


def test_monochrome1_and_2_of_one_radiograph_are_one_picture(real_data):
    first, second = (
        np.asarray(open_radiograph((real_data / "odd" / f"{name}.dcm").read_bytes()).image).astype(int)
        for name in ("monochrome1", "rsna_monochrome2")
    )
    assert abs(first - second).max() <= 1  # the second is a JPEG, the first made from it by another decoder
    assert abs(first - second).mean() < 0.05


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.png", "empty"),
        ("truncated.png", "damaged"),
        ("not_an_image.png", "web page"),
        ("._COVID-1.png", "AppleDouble"),
    ],
)
def test_a_broken_file_gives_its_reason(real_data, name, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode((real_data / "odd" / name).read_bytes(), 50)


def test_odd_files_in_a_class_are_skipped_or_served_and_told(real_data, xray_root):
    shutil.copytree(real_data / "odd", xray_root / "NORMAL" / "odd")
    module = RadiographyDataModule(str(xray_root), test_per_class=3, on_error="skip")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module.setup("fit")
    served = {path.removeprefix("NORMAL/odd/") for path in module.images.paths if "odd" in path}
    assert served == {
        "blank.jpg",
        "jfif.jfif",
        "jpeg_inside.png",
        "nearly_black.png",
        "rgba.png",
        "sixteen_bit.png",
        "twelve_in_sixteen_bit.png",
        "webp_inside.webp",
        "white_frame.png",
        "monochrome1.dcm",
        "rsna_monochrome2.dcm",
    }
    messages = "\n".join(str(warning.message) for warning in told)
    skipped = ("empty.png: is empty", "truncated.png: is a damaged PNG", "not_an_image.png: is a web page")
    assert all(f"NORMAL/odd/{line}" in messages for line in skipped)
    assert "._COVID-1.png" not in messages


@pytest.mark.parametrize(
    ("name", "groups", "found", "seen"), [("release1", 8, 8, 27), ("later_release_small", 47, 45, 110)]
)
def test_the_duplicates_that_the_table_names_are_found_without_it(real_data, name, groups, found, seen):
    folder = listed(real_data, name)
    root, paths = Path(folder.root), folder.paths
    module = RadiographyDataModule(str(root), metadata="none")
    numbers = linked_groups(paths, {}, module.duplicates)
    named = {}
    for path, row in read_metadata(find_metadata(root), root, paths).rows.items():
        if row["group"]:
            named.setdefault(row["group"], []).append(numbers[paths.index(path)])
    several = [members for members in named.values() if len(members) > 1]
    assert len(several) == groups
    assert sum(len(set(members)) == 1 for members in several) >= found
    assert len(module.duplicates) <= seen  # pairs that by eye show one radiograph, and no strangers


@pytest.mark.parametrize("seed", [28, 0])
@pytest.mark.parametrize("name", ["release1", "later_release_small"])
def test_no_patient_or_duplicate_is_on_two_sides_of_a_default_split(real_data, name, seed):
    module = RadiographyDataModule(str(real_data / name / LAYOUTS[name][0]), seed=seed)
    side = {number: split for split, numbers in module.split.items() for number in numbers}
    assert all(side[first] == side[second] for first, second in module.duplicates.tolist())
    for column in ("patient", "group"):
        sides = {}
        for number, path in enumerate(module.images.paths):
            if value := module.metadata.rows.get(path, {}).get(column):
                sides.setdefault(value, set()).add(side[number])
        assert sides
        assert all(len(names) == 1 for names in sides.values())


@pytest.mark.parametrize("name", ["mirrored", "cropped by 20 %", "turned by 7 degrees"])
def test_copies_are_found_among_radiographs(real_data, name):
    data = Radiographs(str(real_data / "release1" / LAYOUTS["release1"][0]), metadata="none")
    chosen = np.random.default_rng(3).permutation(len(data.images.paths))[:300]
    images = [open_radiograph(read(data.image_file(data.images.paths[number]))).image for number in chosen[:40]]
    kind, rng = next(kind for kind in KINDS if kind.name == name), np.random.default_rng(0)
    altered = [thumbnail(kind.change(image.convert("L"), rng)) for image in images]
    found = find_duplicates(np.concatenate([data.images.thumbnails[chosen], np.stack(altered)])).pairs.tolist()
    assert sum([number, 300 + number] in found for number in range(40)) >= 38
