"""Facts about listing: which files of a folder are samples, of which class, and what a wrong folder is told."""

import os
import re

import pytest

from covidnet.data.folder import RadiographFolder
from covidnet.data.radiographs import Radiographs
from covidnet.data.told import proposed_table
from covidnet.data.walk import told_by_reason
from covidnet.errors import UserError


def lay(root, *paths):
    """Lay empty files: listing looks at names alone."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.fixture
def first_release(tmp_path):
    root = tmp_path / "COVID-19 Radiography Database"
    images = [f"{name}/{name} ({n}).png" for name in ("COVID-19", "NORMAL", "Viral Pneumonia") for n in (1, 2, 10)]
    return lay(root, *images, "COVID-19.metadata.xlsx", "NORMAL.metadata.xlsx", "README.md.txt", "Source.txt")


@pytest.fixture
def later_release(tmp_path):
    root = tmp_path / "COVID-19_Radiography_Dataset"
    files = [
        f"{name}/{kind}/{name}-{n}.png"
        for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
        for kind in ("images", "masks")
        for n in (1, 2)
    ]
    return lay(root, *files, "COVID.metadata.xlsx", "README.md.txt")


def test_the_first_releases_files_beside_the_classes_are_no_class(first_release):
    folder = RadiographFolder(first_release)
    assert folder.class_counts == {"COVID-19": 3, "NORMAL": 3, "Viral Pneumonia": 3}
    assert folder.ignored == []


def test_the_later_release_gives_four_classes_and_no_mask(later_release):
    folder = RadiographFolder(later_release)
    assert folder.class_counts == {"COVID": 2, "Lung_Opacity": 2, "Normal": 2, "Viral Pneumonia": 2}
    assert all("/images/" in path for path in folder.paths)


@pytest.mark.parametrize("masks", ["masks", "Masks", "mask", "lung_masks", "patient/masks"])
def test_masks_beside_loose_radiographs_are_no_samples(tmp_path, masks):
    lay(tmp_path, "A/1.png", f"A/{masks}/1.png", "B/1.png")
    assert RadiographFolder(tmp_path).paths == ["A/1.png", "B/1.png"]


def test_masks_beside_the_classes_are_no_class(tmp_path):
    folder = RadiographFolder(lay(tmp_path, "A/1.png", "B/1.png", "Masks/A/1.png", "Masks/B/1.png"))
    assert folder.paths == ["A/1.png", "B/1.png"]
    assert folder.ignored == [("Masks", "is called as folders of lung masks are, and is no class")]


@pytest.mark.parametrize("name", ["A\x1b[2J", "A\nB", "A\u202egnp", "A\u2028"])
def test_a_class_whose_name_controls_a_screen_is_refused(tmp_path, name):
    root = lay(tmp_path / "xrays", "NORMAL/1.png", f"{name}/1.png")
    with pytest.raises(UserError, match="controls a screen") as refused:
        RadiographFolder(root)
    assert ascii(name) in str(refused.value)


def test_paths_are_posix_and_labels_index_the_classes(first_release):
    folder = RadiographFolder(first_release)
    assert folder.paths[0] == "COVID-19/COVID-19 (1).png"
    assert all(path.startswith(folder.classes[label]) for path, label in zip(folder.paths, folder.targets, strict=True))


@pytest.mark.parametrize("ending", [".png", ".PNG", ".jpg", ".JPEG", ".jfif", ".webp", ".tif", ".TIFF", ".bmp"])
def test_endings_of_images_count_in_any_case(tmp_path, ending):
    lay(tmp_path, f"A/1{ending}", "B/1.png")
    assert RadiographFolder(tmp_path).paths == [f"A/1{ending}", "B/1.png"]


@pytest.mark.parametrize(
    "junk",
    [
        "A/._1.png",
        "A/.DS_Store",
        "A/Thumbs.db",
        "A/desktop.ini",
        "A/.ipynb_checkpoints/1-checkpoint.png",
        "A/masks/1.png",
        "._A",
        ".DS_Store",
        ".ipynb_checkpoints/1-checkpoint.png",
        "__MACOSX/A/._1.png",
        "__MACOSX/A/1.png",
        "__pycache__/1.png",
    ],
)
def test_junk_gives_no_sample_no_class_and_no_word(tmp_path, junk):
    folder = RadiographFolder(lay(tmp_path, "A/1.png", "B/1.png", junk))
    assert (folder.paths, folder.classes, folder.ignored) == (["A/1.png", "B/1.png"], ["A", "B"], [])


@pytest.mark.parametrize("split", ["train", "val", "test", "Test"])
def test_a_split_inside_a_class_is_not_read_and_is_told(tmp_path, split):
    folder = RadiographFolder(lay(tmp_path, "A/1.png", f"A/{split}/2.png", "B/1.png"))
    assert folder.paths == ["A/1.png", "B/1.png"]
    assert [(path, "split" in reason) for path, reason in folder.ignored] == [(f"A/{split}", True)]


def test_text_is_ignored_with_a_reason(tmp_path):
    folder = RadiographFolder(lay(tmp_path, "A/1.png", "A/notes.txt", "A/LICENSE", "B/1.png"))
    reasons = dict(folder.ignored)
    assert list(reasons) == ["A/LICENSE", "A/notes.txt"]
    assert "no image (.txt)" in reasons["A/notes.txt"]
    assert "no ending" in reasons["A/LICENSE"]


def test_images_beside_the_class_folders_are_not_lost_without_a_word(first_release):
    lay(first_release, "stray.png", "stray.heic")
    (first_release / "1.2.840.5").write_bytes(bytes(128) + b"DICM")
    folder = RadiographFolder(first_release)
    assert folder.ignored == [(n, "lies beside the class folders") for n in ("1.2.840.5", "stray.heic", "stray.png")]


def test_each_kind_that_is_left_out_is_one_line_with_an_example_and_a_count(tmp_path):
    names = [*(f"A/{n}.nii" for n in range(12)), *(f"B/{n}.txt" for n in range(3)), "B/x.heic"]
    folder = RadiographFolder(lay(tmp_path, "A/1.png", "B/1.png", *names))
    lines = told_by_reason(folder.ignored).split("\n  ")
    assert len(lines) == 3
    assert re.fullmatch(r"A/\d+\.nii is a volume .* \(12 such\)", lines[0])
    assert re.fullmatch(r"B/\d\.txt is no image \(\.txt\) \(3 such\)", lines[1])
    assert re.fullmatch("B/x.heic is HEIC, .* save it as PNG", lines[2])


def test_many_kinds_do_not_fill_the_screen(tmp_path):
    left = [(f"A/1.{ending}", f"is no image (.{ending})") for ending in range(40)]
    assert told_by_reason(left).endswith("\n  A/1.9 is no image (.9) and 30 more")


@pytest.mark.parametrize("name", ["1.gif", "1.jp2", "1.j2k", "1.jls", "1.jxl", "1.avif"])
def test_later_formats_are_listed(tmp_path, name):
    assert len(RadiographFolder(lay(tmp_path, "A/1.png", f"B/{name}")).paths) == 2


def test_a_root_of_other_files_alone_is_told_what_they_are(tmp_path):
    message = told(lay(tmp_path, "A/1.heic", "A/2.heic", "B/1.heic", "B/1.png"))
    assert "holds one class folder" in message
    assert re.search(r"Left out are: A/\d\.heic is HEIC, .* save it as PNG \(2 such\)", message)


@pytest.mark.parametrize("table", ["Data_Entry_2017.csv", "labels.TSV"])
@pytest.mark.parametrize("image", ["1.png", "1.2.840.5"])
def test_a_root_of_images_and_a_table_is_told_the_key_for_tables(tmp_path, table, image):
    root = lay(tmp_path / "nih", table)
    (root / image).write_bytes(bytes(128) + b"DICM")
    message = told(root)
    assert f"add data.table={root / table};" in message
    assert f"data.root={tmp_path}." in message


def test_a_table_beside_the_folder_of_images_is_seen_too(tmp_path):
    root = lay(tmp_path, "Data_Entry_2017.csv", "images/1.png") / "images"
    assert f"add data.table={tmp_path / 'Data_Entry_2017.csv'};" in told(root)


def numbered(start, count):
    return [f"{start}{number:03}/1.png" for number in range(count)]


HARDLY_CLASSES = {  # what lies in the root -> what is said
    "folders of images": (
        [*numbered("images_", 3), "t.csv"],
        r"3 folders, .*hardly called as classes .*add data\.table=.*t\.csv",
    ),
    "one folder": (["images/1.png", "t.tsv"], r"add data\.table=.*t\.tsv"),
    "a stage": (["stage_2_train_images/1.png", "stage_2_test_images/1.png", "t.xlsx"], r"add data\.table=.*t\.xlsx"),
    "patients": ([*numbered("patient", 50), "t.csv"], r"50 folders, .*add data\.table="),
    "split and class": (
        ["train_sick/1.png", "train_well/1.png", "test_sick/1.png"],
        r"\['test_sick', 'train_sick'\]: each name tells a part of a split and a class at once. Give a table with",
    ),
}


@pytest.mark.parametrize(("paths", "says"), HARDLY_CLASSES.values(), ids=HARDLY_CLASSES)
def test_folders_that_are_hardly_classes_are_refused_unless_they_are_named(tmp_path, paths, says):
    root = lay(tmp_path / "root", *paths)
    assert re.search(says, told(root))
    folders = sorted({path.split("/")[0] for path in paths if "/" in path})
    assert len(folders) < 2 or RadiographFolder(root, classes=folders).classes == folders


def test_images_of_a_split_in_no_class_are_told_that_a_table_may_tell_theirs(tmp_path):
    root = lay(tmp_path, "train/1.png", "test/1.png") / "train"
    assert f"if a table tells their classes, data.root={tmp_path} data.table=FILE." in told(root)


def test_folders_of_the_same_names_in_all_classes_may_be_the_classes(tmp_path):
    folder = RadiographFolder(
        lay(tmp_path / "a", *(f"{site}/{name}/1.png" for site in ("lima", "oslo") for name in "AB"))
    )
    [line] = folder.known.told
    assert line.startswith("['lima', 'oslo'] are taken for the classes, but in each of them lie ['A', 'B'].")
    assert f"data.roots={{lima: {tmp_path / 'a' / 'lima'}, oslo:" in line
    patients = lay(tmp_path / "b", *(f"{name}/p{number}/1.png" for name in "AB" for number in range(3)))
    assert RadiographFolder(patients).known.told == []


def test_our_own_table_is_no_table_of_labels(tmp_path):
    root = lay(tmp_path, "metadata.csv", "NORMAL/1.png") / "NORMAL"
    assert "data.table" not in told(root)
    assert f"give the folder above, data.root={tmp_path}." in told(root)


def test_a_table_that_nobody_reads_is_told_with_the_keys_that_read_it(tmp_path):
    root = lay(tmp_path, "A/1.png", "B/1.png", "metadata.csv", "patients.csv")
    (root / "patients.csv").write_text("filename,patient\nA/1.png,7\n")
    sentence = proposed_table(Radiographs(str(root)))
    assert sentence == (
        f"Tables that are not read: {root / 'patients.csv'}; data.metadata=FILE takes patients and sources of one, "
        "data.table=FILE classes too."
    )
    assert proposed_table(Radiographs(str(root), metadata=str(root / "patients.csv"))) is None


def test_radiographs_beside_the_images_folder_are_not_lost_without_a_word(tmp_path):
    folder = RadiographFolder(lay(tmp_path, "A/images/1.png", "A/2.png", "B/images/1.png"))
    assert "A/2.png" in [*folder.paths, *dict(folder.ignored)]


@pytest.mark.parametrize("ending", ["dcm", "DCM", "dicom"])
def test_a_class_of_dicom_alone_is_a_class(tmp_path, ending):
    folder = RadiographFolder(lay(tmp_path, "A/1.png", "B/1.png", f"C/1.{ending}"))
    assert folder.class_counts == {"A": 1, "B": 1, "C": 1}


def test_a_class_of_other_files_alone_does_not_vanish_without_a_word(tmp_path):
    folder = RadiographFolder(lay(tmp_path, "A/1.png", "B/1.png", "C/1.nii"))
    assert "C/1.nii" in dict(folder.ignored)


@pytest.mark.parametrize("empty", ["C", "C/images", "C/masks", "C/train"])
def test_an_empty_class_folder_is_no_class(tmp_path, empty):
    lay(tmp_path, "A/1.png", "B/1.png")
    (tmp_path / empty).mkdir(parents=True)
    assert RadiographFolder(tmp_path).classes == ["A", "B"]


def test_folders_of_patients_inside_a_class_are_searched(tmp_path):
    lay(tmp_path, "A/p1/day1/1.png", "A/p1/day2/1.png", "A/p2/1.png", "B/images/p3/1.png")
    assert RadiographFolder(tmp_path).class_counts == {"A": 3, "B": 1}


@pytest.mark.parametrize("link", ["B", "B/linked"])
def test_linked_folders_are_read(tmp_path, link):
    lay(tmp_path, "elsewhere/1.png", "root/A/1.png")
    (tmp_path / "root" / link).parent.mkdir(exist_ok=True)
    (tmp_path / "root" / link).symlink_to(tmp_path / "elsewhere")
    assert RadiographFolder(tmp_path / "root").paths == ["A/1.png", f"{link}/1.png"]


@pytest.mark.parametrize("target", ["A", "A/deep", "A/deep/loop"])
def test_a_loop_of_links_ends_and_gives_each_image_once(tmp_path, target):
    lay(tmp_path, "A/1.png", "A/deep/2.png", "B/1.png")
    (tmp_path / "A/deep/loop").symlink_to(tmp_path / target)
    folder = RadiographFolder(tmp_path)
    assert folder.paths == ["A/1.png", "A/deep/2.png", "B/1.png"]


def test_a_link_up_to_the_root_gives_no_image_a_second_label(tmp_path):
    lay(tmp_path, "A/1.png", "B/1.png")
    (tmp_path / "A/loop").symlink_to(tmp_path)
    assert RadiographFolder(tmp_path).paths == ["A/1.png", "B/1.png"]


def test_samples_do_not_depend_on_the_order_of_creation(tmp_path):
    names = [f"{name}/{n}.png" for name in "AB" for n in range(12)]
    forward, backward = lay(tmp_path / "1", *names), lay(tmp_path / "2", *reversed(names))
    folders = RadiographFolder(forward), RadiographFolder(backward)
    assert folders[0].paths == folders[1].paths == sorted(names)
    assert folders[0].targets == folders[1].targets


def test_a_folder_with_two_names_gives_the_same_paths_in_any_listing_order(tmp_path, monkeypatch):
    lay(tmp_path, "A/p1/1.png", "B/1.png")
    (tmp_path / "A/p2").symlink_to(tmp_path / "A/p1")
    walk, forward = os.walk, RadiographFolder(tmp_path).paths

    def backward(*args, **options):
        for current, folders, files in walk(*args, **options):
            folders.sort(reverse=True)
            yield current, folders, files

    monkeypatch.setattr(os, "walk", backward)
    assert RadiographFolder(tmp_path).paths == forward == ["A/p1/1.png", "B/1.png"]


def test_classes_choose_and_order(first_release):
    folder = RadiographFolder(first_release, ["Viral Pneumonia", "COVID-19"])
    assert folder.classes == ["Viral Pneumonia", "COVID-19"]
    assert folder.class_counts == {"Viral Pneumonia": 3, "COVID-19": 3}
    assert folder.paths[0].startswith("COVID-19/")  # the order of the samples is that of their paths
    assert folder.targets[0] == 1


@pytest.mark.parametrize(
    "classes",
    [["COVID-19", "Normal"], ["COVID-19", "COVID-19"], [], ["NORMAL"], ["COVID-19", "empty"], ["COVID-19", ".."]],
    ids=str,
)
def test_wrong_class_names_name_the_key(first_release, classes):
    (first_release / "empty").mkdir()
    with pytest.raises(UserError, match=r"data\.classes"):
        RadiographFolder(first_release, classes)


def test_a_wrong_class_name_is_told_with_those_that_are_there(first_release):
    with pytest.raises(UserError, match=r"'COVID-19', 'NORMAL', 'Viral Pneumonia'.*\['Normal'\] are not among them"):
        RadiographFolder(first_release, ["COVID-19", "Normal"])


@pytest.mark.parametrize("key", ["data.root", "data.test_root"])
def test_a_missing_root_names_its_key_and_the_drawn_radiographs(tmp_path, key):
    with pytest.raises(UserError, match=rf"nowhere does not exist, but {key} .*data=phantom"):
        RadiographFolder(tmp_path / "nowhere", key=key)


def test_a_root_that_is_a_file_is_told_so(tmp_path):
    lay(tmp_path, "archive.zip")
    with pytest.raises(UserError, match=r"archive\.zip is a file, but data\.root"):
        RadiographFolder(tmp_path / "archive.zip")


def told(root):
    with pytest.raises(UserError) as mistake:
        RadiographFolder(root)
    return str(mistake.value)


@pytest.mark.parametrize("release", ["first_release", "later_release"])
def test_a_root_a_level_too_high_is_told_the_right_one(request, release):
    root = request.getfixturevalue(release)
    assert f"data.root={root}" in told(root.parent)


def test_the_folder_of_a_root_and_its_test_root_is_refused(first_release):
    """Taken for two classes, they would train a classifier of "training image or test image"."""
    lay(
        first_release.with_name(f"{first_release.name} Test"), "COVID-19/3.png", "NORMAL/3.png", "Viral Pneumonia/3.png"
    )
    assert f"data.root={first_release}" in told(first_release.parent)


@pytest.mark.parametrize("name", ["COVID", "Normal"])
@pytest.mark.parametrize("masks", [True, False])
def test_a_class_folder_of_the_later_release_is_told_the_folder_above(later_release, name, masks):
    if not masks:
        for file in (later_release / name / "masks").iterdir():
            file.unlink()
    assert f"data.root={later_release}." in told(later_release / name)


def test_a_class_folder_of_the_first_release_is_told_to_give_a_folder_of_classes(first_release):
    assert "one folder of radiographs for each class" in told(first_release / "NORMAL")


def test_a_test_folder_beside_the_classes_is_no_class(tmp_path):
    message = told(lay(tmp_path, "A/1.png", "B/1.png", "test/A/2.png", "test/B/2.png"))
    assert "no folder of training images, which should be called train" in message
    assert (
        f"if ['A', 'B'] are the classes, give data.classes=['A', 'B'] and data.test_root={tmp_path / 'test'}" in message
    )


def test_an_empty_root_is_told_what_a_root_holds(tmp_path):
    assert "no class folder" in told(tmp_path)


@pytest.mark.parametrize(("given", "root"), [("A", "."), ("B/images", ".")])
def test_a_folder_of_one_class_is_told_the_folder_above(tmp_path, given, root):
    lay(tmp_path, "A/1.png", "B/images/1.png")
    assert f"data.root={tmp_path / root}." in told(tmp_path / given)


@pytest.mark.parametrize("classes", [None, ["NORMAL", "COVID-19"]])
def test_a_class_folder_is_walked_once(first_release, later_release, monkeypatch, classes):
    walk, walked = os.walk, []

    def counted(start, **options):
        for current, folders, files in walk(start, **options):
            walked.append(current)
            yield current, folders, files

    monkeypatch.setattr(os, "walk", counted)
    folder = RadiographFolder(first_release, classes)
    assert sorted(walked) == sorted(str(first_release / name) for name in ("COVID-19", "NORMAL", "Viral Pneumonia"))
    assert len(folder.paths) == 3 * len(folder.classes)
    del walked[:]
    assert len(RadiographFolder(later_release).paths) == 8
    assert len(set(walked)) == len(walked) == 4
