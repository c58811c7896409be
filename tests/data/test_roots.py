"""Several folders as one: their paths, classes, tables, sources, caches and links."""

import shutil

import numpy as np
import pytest
from helpers import paint
from PIL import Image

from covidnet.data.module import RadiographyDataModule
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError


@pytest.fixture
def sites(tmp_path):
    """Two hospitals of one layout each; the second alone has a third class."""
    return {
        "lima": paint(tmp_path / "l", ("COVID", "NORMAL"), 6),
        "oslo": paint(tmp_path / "o", ("COVID", "NORMAL", "VIRAL"), 5),
    }


def joined(sites, **options):
    roots = {name: str(folder) for name, folder in sites.items()}
    return RadiographyDataModule(roots=roots, image_size=8, test_per_class=1, **options)


def test_paths_begin_with_the_name_of_their_root_and_classes_are_those_of_all(sites):
    data = joined(sites)
    assert data.classes == ["COVID", "NORMAL", "VIRAL"]
    assert data.folder.class_counts == {"COVID": 11, "NORMAL": 11, "VIRAL": 5}
    assert {path.split("/")[0] for path in data.folder.paths} == {"lima", "oslo"}
    for path, label in zip(data.folder.paths, data.folder.targets, strict=True):
        name, rest = path.split("/", 1)
        assert data.image_file(path) == sites[name] / rest
        assert data.classes[label] == path.split("/")[1]
    with pytest.raises(UserError, match=r"The image x/1\.png is in none of the folders of data\.roots"):
        data.image_file("x/1.png")


def test_each_image_has_its_own_pixels_whichever_root_it_is_of(sites):
    coloured = sites["oslo"] / "VIRAL" / "VIRAL (1).png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)).save(coloured)
    data = joined(sites)
    alone = {name: Radiographs(str(folder), image_size=8).images for name, folder in sites.items()}
    order = np.random.default_rng(1).permutation(len(data.images.paths))
    pixels = data.images.gather(order)
    for number, image in zip(order, pixels, strict=True):
        name, path = data.images.paths[number].split("/", 1)
        own = alone[name].gather(np.array([alone[name].paths.index(path)]))[0]
        np.testing.assert_array_equal(image, np.broadcast_to(own, image.shape))
    stream = joined(sites, cache=False).images.gather(order)
    np.testing.assert_array_equal(np.broadcast_to(pixels, stream.shape), stream)


def test_a_roots_cache_serves_it_alone_and_joined(sites, tmp_path):
    cache = tmp_path / "cache"
    _ = joined(sites, cache_dir=str(cache)).images
    before = {file: file.stat().st_size for file in cache.rglob("*") if file.is_file()}
    _ = Radiographs(str(sites["lima"]), image_size=8, cache_dir=str(cache)).images
    assert {file: file.stat().st_size for file in cache.rglob("planes.u8")} == {
        file: size for file, size in before.items() if file.name == "planes.u8"
    }


def test_what_each_root_holds_and_which_classes_only_one_has_is_told(sites):
    data = joined(sites, duplicates=False)
    assert data.division.told(data.split, listed=27) == []  # nobody knows patients or groups
    told = data.folder.known.told
    assert told == [
        f"lima ({sites['lima']}): 6 COVID, 6 NORMAL, 0 VIRAL.",
        f"oslo ({sites['oslo']}): 5 COVID, 5 NORMAL, 5 VIRAL.",
        "VIRAL comes from oslo alone.",
    ]


def test_the_name_is_the_source_where_no_table_tells_one_and_else_the_collection(sites):
    (sites["lima"] / "metadata.csv").write_text("path,patient,source\nCOVID/COVID (1).png,p1,ward 3\n")
    (sites["oslo"] / "metadata.csv").write_text("path,patient\nCOVID/COVID (1).png,p1\nCOVID/COVID (2).png,p1\n")
    rows = joined(sites).metadata.rows
    assert rows["lima/COVID/COVID (1).png"] == {"patient": "lima/p1", "source": "ward 3", "collection": "lima"}
    assert rows["lima/COVID/COVID (2).png"] == {"collection": "lima"}  # of some ward, nobody knows which
    assert rows["oslo/COVID/COVID (2).png"] == {"patient": "oslo/p1", "source": "oslo", "collection": "oslo"}
    assert rows["oslo/VIRAL/VIRAL (1).png"] == {"source": "oslo", "collection": "oslo"}


def test_patients_of_one_name_in_two_tables_are_two_people_and_in_one_table_one(sites, tmp_path):
    for folder in sites.values():
        (folder / "metadata.csv").write_text("path,patient\nCOVID/COVID (1).png,p1\nCOVID/COVID (2).png,p1\n")

    def linked(**options):
        data = joined(sites, duplicates=False, **options)
        number = dict(zip(data.images.paths, data.division.patients.tolist(), strict=True))
        return [number[f"{name}/COVID/COVID (1).png"] for name in sites]

    first, second = linked()
    assert first != second
    table = tmp_path / "all.csv"
    table.write_text("path,patient\nlima/COVID/COVID (1).png,p1\noslo/COVID/COVID (1).png,p1\n")
    first, second = linked(metadata=str(table))
    assert first == second
    assert joined(sites, metadata="none").metadata.rows["lima/COVID/COVID (1).png"]["source"] == "lima"


def test_one_table_beside_two_roots_names_images_from_its_own_folder(sites, tmp_path):
    rows = ["path,source", "l/COVID/COVID (1).png,here", "o/COVID/COVID (1).png,there"]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    found = joined(sites).metadata.rows
    assert [found[f"{name}/COVID/COVID (1).png"]["source"] for name in sites] == ["here", "there"]
    assert "source" not in found["lima/COVID/COVID (2).png"]


def test_a_common_table_that_names_none_of_the_images_is_told(sites, tmp_path):
    (tmp_path / "t.csv").write_text("path,source\nelsewhere/a.png,here\n")
    with pytest.raises(UserError, match=r"Its paths must begin with lima/, oslo/, as those of split\.csv do"):
        _ = joined(sites, metadata=str(tmp_path / "t.csv")).metadata


def test_each_root_may_have_its_own_layout(sites, tmp_path):
    roots = {
        **sites,
        "kermany": tmp_path / "k",
    }
    for side, count in (("train", 4), ("test", 3)):
        paint(tmp_path / "k" / side, ("COVID", "NORMAL"), count, size=20)
    data = joined(roots)
    assert data.sides["kermany/test/NORMAL/NORMAL (1).png"] == "test"
    assert not any(path.startswith("lima") for path in data.sides)
    assert "oslo/NORMAL/NORMAL (1).png" in data.folder.paths


def test_copies_in_two_roots_are_found_and_stay_on_one_side(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        for label in ("X", "Y"):
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(6):
                Image.fromarray(rng.integers(0, 256, (64, 64)).astype(np.uint8)).save(
                    tmp_path / name / label / f"{number}.png"
                )
    for number in range(3):
        shutil.copy(tmp_path / "a" / "X" / f"{number}.png", tmp_path / "b" / "X" / f"copy{number}.png")
    data = joined({name: tmp_path / name for name in "ab"})
    pairs = {(data.images.paths[i], data.images.paths[j]) for i, j in data.duplicates}
    assert pairs == {(f"a/X/{n}.png", f"b/X/copy{n}.png") for n in range(3)}
    side = {data.images.paths[n]: name for name, numbers in data.split.items() for n in numbers}
    assert all(side[first] == side[second] for first, second in pairs)


def test_a_split_file_is_followed_by_the_joined_paths(sites, tmp_path):
    first = joined(sites)
    first.write_split(tmp_path / "split.csv")
    again = joined(sites, split_file=str(tmp_path / "split.csv"), seed=5)
    assert again.split == first.split
    assert "oslo/VIRAL/VIRAL (1).png" in (tmp_path / "split.csv").read_text()


def test_a_test_root_stands_beside_several_roots(sites, tmp_path):
    apart = paint(tmp_path / "t", ("COVID", "NORMAL", "VIRAL"), 2)
    data = joined(sites, test_root=str(apart))
    assert [data.images.paths[n] for n in data.split.test] == sorted(
        f"test:{p}/{p} ({n}).png" for p in data.classes for n in (1, 2)
    )
    assert data.image_file("test:COVID/COVID (1).png") == apart / "COVID" / "COVID (1).png"


@pytest.mark.parametrize(
    ("roots", "says"),
    [
        ({}, r"data\.roots names no folder: data\.roots must be \{NAME: FOLDER"),
        ({"a/b": "x"}, r"data\.roots has the name 'a/b', with which the paths of its images would begin"),
        ({"..": "x"}, "has the name '..'"),
        ({"test:": "x"}, "has the name 'test:'"),
        ({"": "x"}, "has the name ''"),
        ({"a": "s3://key:secret@bucket/x"}, r"data\.roots\[a\]"),
    ],
)
def test_odd_names_of_roots_are_told(roots, says):
    with pytest.raises(UserError, match=says):
        Radiographs(roots=roots)


def test_root_and_roots_together_are_refused(sites):
    with pytest.raises(UserError, match=r"data\.root=x must be left out where data\.roots names folders"):
        Radiographs("x", roots={"a": "y"})


def test_folders_that_hold_one_another_are_refused(sites):
    with pytest.raises(UserError, match=r"data\.roots: b \(.*\) lies in a \(.*\) or is the same folder"):
        _ = Radiographs(roots={"a": str(sites["lima"].parent), "b": str(sites["lima"])}).folder


def test_a_folder_that_is_not_there_is_told_by_its_name(sites, tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist, but data\.roots\[c\] must be a folder"):
        _ = joined({**sites, "c": tmp_path / "nowhere"}).folder


def test_a_folder_without_images_is_told(sites, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no images of any class, but data\.roots names it c"):
        _ = joined({**sites, "c": tmp_path / "empty"}).folder


def test_one_class_in_all_roots_is_told(tmp_path):
    roots = {name: paint(tmp_path / name, ("COVID",), 2) for name in "ab"}
    with pytest.raises(UserError, match=r"hold images of \['COVID'\], but a classifier needs two classes or more"):
        _ = joined(roots).folder


def test_a_wanted_class_that_no_root_has_is_told(sites):
    with pytest.raises(UserError, match=r"hold images of \['COVID', 'NORMAL'\], but data\.classes names .*'GLASS'"):
        _ = joined(sites, classes=["COVID", "NORMAL", "GLASS"]).folder
    assert joined(sites, classes=["NORMAL", "VIRAL"]).folder.class_counts == {"NORMAL": 11, "VIRAL": 5}


def test_lungs_are_covered_by_masks_only_where_all_roots_have_them(sites, caplog):
    for name in ("COVID", "NORMAL"):
        (sites["lima"] / name / "masks").mkdir()
        for file in (sites["lima"] / name).glob("*.png"):
            Image.new("L", (24, 24), 255).save(sites["lima"] / name / "masks" / file.name)
    with caplog.at_level("INFO"):
        _ = joined(sites, lungs="covered").images
    assert "Lungs covered: by the central box." in caplog.text


@pytest.fixture
def together(tmp_path):
    """Two hospitals' folders without classes, at two depths, and one table that labels their images."""
    roots = {"lima": tmp_path / "l", "oslo": tmp_path / "o"}
    rows = ["file,finding,patient,hospital"]
    for site, (name, folder) in enumerate(roots.items()):
        for number in range(8):
            file = folder / ("a/b" if number % 2 else ".") / f"{name}{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(9 * site + number).integers(0, 256, (24, 24), np.uint8)).save(file)
            rows.append(f"{file.name},{'AB'[number // 4]},p{number},{['', 'St. Olav'][site]}")
    return roots, rows


def tabled(together, tmp_path, *more, **options):
    roots, rows = together
    (tmp_path / "all.csv").write_text("\n".join([*rows, *more]))
    columns = {"source": "hospital", **options.pop("columns", {})}
    return joined(roots, table=str(tmp_path / "all.csv"), columns=columns, **options)


def test_one_table_labels_the_images_of_several_roots(together, tmp_path):
    data = tabled(together, tmp_path, "gone.png,A,p9,")
    assert data.classes == ["A", "B"]
    assert data.folder.paths == [
        *(
            f"{name}/{part}"
            for name in together[0]
            for part in sorted(f"{'a/b/' * (n % 2)}{name}{n}.png" for n in range(8))
        )
    ]
    assert data.folder.class_counts == {"A": 8, "B": 8}
    told = data.folder.known.told
    assert f"lima ({together[0]['lima']}): 4 A, 4 B." in told
    [warned] = data.folder.known.warned
    assert "1 of the 17 images that" in warned
    assert "So 1 of its 9 patients have no image. Each of the 16 images that are there has its row" in warned
    assert data.image_file("oslo/a/b/oslo3.png").is_file()
    assert data.metadata.origin == f"data.roots and {tmp_path / 'all.csv'}"
    rows = data.metadata.rows  # one person by one name, whichever folder; the table's source counts, else the name
    assert rows["lima/lima0.png"] | {"finding": ""} == {
        "patient": "p0",
        "source": "lima",
        "collection": "lima",
        "finding": "",
    }
    assert (rows["oslo/oslo0.png"]["source"], rows["oslo/oslo0.png"]["collection"]) == ("St. Olav", "oslo")
    assert rows["oslo/oslo0.png"]["patient"] == "p0"
    assert sum(map(len, (data.split.train, data.split.val, data.split.test))) == 16


def test_two_files_of_one_name_in_two_roots_are_an_error_that_names_both(together, tmp_path):
    shutil.copy(together[0]["oslo"] / "oslo0.png", together[0]["lima"] / "a" / "oslo0.png")
    says = (
        r"all\.csv names 'oslo0\.png', but below .*/l, .*/o there are 2 such files: lima/a/oslo0\.png and oslo/oslo0\.p"
    )
    with pytest.raises(UserError, match=says):
        _ = tabled(together, tmp_path).folder
    roots, rows = together
    whole = [row.replace("oslo0.png", "oslo/oslo0.png") for row in rows]  # as split.csv calls it
    assert "oslo/oslo0.png" in tabled((roots, whole), tmp_path).folder.paths


def test_a_root_of_which_the_table_labels_nothing_is_told(together, tmp_path):
    roots, rows = together
    with pytest.raises(
        UserError, match=r"/o holds no images of any class, but data\.roots names it oslo: the table must"
    ):
        _ = tabled((roots, [row for row in rows if "oslo" not in row]), tmp_path).folder


def test_patients_by_a_pattern_beside_a_table_are_of_one_root(together, tmp_path):
    data = tabled(
        together, tmp_path, columns={"patient": "none"}, patient_pattern=r"(\d)\.png", labels={"A": "A", "B": "B"}
    )
    assert data.metadata.rows["oslo/oslo0.png"]["patient"] == "oslo/A/0"
    assert sum(line.startswith("data.patient_pattern=") for line in data.folder.known.told) == 2


def test_a_table_that_is_sought_in_the_root_needs_one(together):
    with pytest.raises(
        UserError, match=r"data\.table=<root>/t\.csv is sought in data\.root, but data\.roots names several"
    ):
        _ = joined(together[0], table="<root>/t.csv").folder
