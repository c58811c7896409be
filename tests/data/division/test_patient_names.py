"""Patients from names: the user's pattern, what it must be, and the one that is proposed."""

import time

import pytest

from covidnet.data.division import names
from covidnet.data.division.names import check_pattern, name_patients, propose, refuse_unmatched
from covidnet.data.listing import Known, Listed
from covidnet.errors import UserError

KERMANY = r"(person\d+|(?:NORMAL2-)?IM-\d+)[_-]"


def listing(root, *paths, known=None):
    """The images of class folders, as a layout lists them."""
    classes = sorted({path.split("/")[0] for path in paths})
    targets = [classes.index(path.split("/")[0]) for path in paths]
    return Listed(classes, list(paths), targets, [], known or Known(), root)


def patients(named):
    return {path: row["patient"] for path, row in named.known.rows.items()}


def test_the_group_of_the_pattern_is_the_patient_within_a_class(tmp_path):
    images = listing(tmp_path, "A/person1_x_1.png", "A/person1_x_2.png", "B/person1_y_1.png", "B/IM-1.png")
    named = name_patients(images, r"(person\d+)_", across=False)
    assert patients(named) == {
        "A/person1_x_1.png": "A/person1",
        "A/person1_x_2.png": "A/person1",
        "B/person1_y_1.png": "B/person1",
    }
    assert named.known.origin == "data.patient_pattern"
    assert named.known.told == [
        rf"data.patient_pattern=(person\d+)_, below {tmp_path}: 2 patients of 3 images, 50% of them with several; "
        "1 names do not match.",
        "1 of these names stand in several classes and count as a patient in each; data.patient_across_classes=true "
        "makes each of them one.",
    ]


def test_one_name_in_two_classes_is_one_patient_where_the_user_says_so(tmp_path):
    named = name_patients(listing(tmp_path, "A/p1_1.png", "B/p1_2.png"), r"(p\d+)_", across=True)
    assert set(patients(named).values()) == {"p1"}
    assert len(named.known.told) == 1


def test_a_pattern_reads_folders_and_leaves_what_a_table_knows(tmp_path):
    known = Known({"A/p1/1.png": {"patient": "Q", "sex": "F"}, "B/p2/1.png": {"patient": ""}}, "t.csv")
    named = name_patients(listing(tmp_path, "A/p1/1.png", "B/p2/1.png", known=known), "([^/]+)/[^/]+$", across=False)
    assert named.known.rows == {
        "A/p1/1.png": {"patient": "Q", "sex": "F"},
        "B/p2/1.png": {"patient": "B/p2"},
    }
    assert named.known.origin == "t.csv and data.patient_pattern"


def test_names_of_any_bytes_are_searched(tmp_path):
    named = name_patients(listing(tmp_path, "A/p1_\udcff.png", "B/p2_é\n.png"), r"(p\d+)_", across=True)
    assert list(patients(named).values()) == ["p1", "p2"]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(person", r"is no regular expression: .*It must be a regular expression with one group"),
        (r"person\d+_", "which has 0 groups, must be a regular expression with one group around the patient"),
        (r"(p)(\d+)", r"which has 2 groups, must be .*\(\?:\.\.\.\) is no group"),
        ("(" * 120 + ")" * 120, "which has 120 groups"),
        ("(x)" + "y" * 300, "of at most 300 characters"),
        ("(?P<patient>", "is no regular expression"),
    ],
)
def test_what_is_no_pattern_is_told_in_a_sentence(pattern, says):
    with pytest.raises(UserError, match=rf"data\.patient_pattern=.*{says}"):
        check_pattern(pattern)


def test_a_pattern_that_would_never_end_is_ended_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "SECONDS", 1)
    images, began = listing(tmp_path, "A/" + "a" * 60 + ".png", "B/b.png"), time.monotonic()
    with pytest.raises(UserError, match=r"takes more than 1 s for 2 names: it has too many ways to match"):
        name_patients(images, "((?:a+)+)$", across=False)
    assert time.monotonic() - began < 10


def test_a_pattern_that_finds_nobody_is_refused_unless_a_table_knows_patients(tmp_path):
    with pytest.raises(UserError, match=r"\(q\\d\) finds no patient in the 2 names, such as A/1\.png"):
        refuse_unmatched(r"(q\d)", [listing(tmp_path, "A/1.png", "B/2.png")])
    known = Known({"A/1.png": {"patient": "p"}})
    refuse_unmatched(r"(q\d)", [listing(tmp_path, "A/1.png", "B/2.png", known=known)])


def named_by(*shapes, patients=6, images=2):
    """Names of ``patients`` a class with ``images`` each; a shape takes class, patient and image."""
    return [
        shape.format(c=name, p=patient + 10 * number, i=image)
        for number, name in enumerate(("NORMAL", "PNEUMONIA"))
        for shape in shapes
        for patient in range(patients)
        for image in range(images)
    ]


@pytest.mark.parametrize(
    ("paths", "pattern"),
    [
        (named_by("{c}/person{p}_bacteria_{i}.jpeg", "{c}/IM-01{p:02}-000{i}.jpeg"), KERMANY),
        (named_by("train/{c}/person{p}_virus_{i}.jpeg"), KERMANY),
        (named_by("{c}/000000{p:02}_00{i}.png"), r"(?:^|/)(\d{8})_\d{3}\."),
        (named_by("{c}/patient000{p:02}/study1/view{i}_frontal.jpg"), r"(?:^|/)(patient\d+)/"),
        (named_by("{c}/p100000{p:02}/s5041426{i}/x.jpg"), r"(?:^|/)(p\d{8})/"),
        (named_by("{c}/case-{p}_{i}.png"), r"(?:^|/)([A-Za-z]+[-_]?\d+)[-_ ][^/]*$"),
        (named_by("{c}/{p}-{i}.png"), r"(?:^|/)(\d+)[-_][^/]*$"),
        (named_by("{c}/anna{p}x/{i}.png"), r"([^/]+)/[^/]+$"),
        (named_by("{c}/anna{p}x/day{i}/1.png"), r"([^/]+)/[^/]+/[^/]+$"),
    ],
    ids=["kermany", "split", "nih", "chexpert", "mimic", "letters", "digits", "folders", "studies"],
)  # fmt: skip
def test_a_shape_that_most_names_have_is_proposed_with_what_it_would_join(tmp_path, paths, pattern):
    classes = ["NORMAL", "PNEUMONIA"]
    images = Listed(classes, paths, [int("PNEUMONIA" in path) for path in paths], [], Known(), tmp_path)
    proposed = propose({"": images})
    assert proposed is not None
    assert (
        f"data.patient_pattern='{pattern}' would find {len(paths) // 2} patients of {len(paths)} images, 100% of them"
        in proposed
    )
    assert f"names such as {paths[0]} look" in proposed
    assert proposed.endswith("It is not applied by itself.")
    check_pattern(pattern)
    assert len(set(patients(name_patients(images, pattern, across=False)).values())) == len(paths) // 2


@pytest.mark.parametrize(
    "shape",
    [
        "{c}/{c} ({p}{i}).png",
        "{c}/COVID-19 ({p}{i}).png",
        "{c}/images/COVID-{p}{i}.png",
        "{c}/{c} phantom ({p}{i}).png",
        "train/{c}/x{p}y{i}.png",
        "{c}/1-s2.0-S0929664620300449-gr{p}_{i}.jpg",
    ],
)  # fmt: skip
def test_names_that_tell_no_patient_are_not_proposed(tmp_path, shape):
    paths = named_by(shape)
    targets = [int(path.count("PNEUMONIA") > 0) for path in paths]
    assert propose({"": Listed(["NORMAL", "PNEUMONIA"], paths, targets, [], Known(), tmp_path)}) is None


def test_patients_with_one_image_each_are_not_proposed(tmp_path):
    assert propose({"": listing(tmp_path, *named_by("{c}/person{p}_{i}.png", images=1))}) is None


def test_a_proposal_tells_names_in_several_classes_and_names_that_do_not_match(tmp_path):
    paths = [f"{name}/0000001{patient}_00{i}.png" for name in "AB" for patient in range(6) for i in range(2)]
    proposed = propose({"": listing(tmp_path, *paths, "A/x.png")})
    assert proposed is not None
    assert (
        "12 patients of 24 images, 100% of them with several; 1 names do not match; 6 of them stand in several"
        in proposed
    )


def test_one_name_in_two_roots_is_two_patients_of_a_proposal(tmp_path):
    paths = named_by("{c}/person{p}_x_{i}.jpeg")
    proposed = propose({"a/": listing(tmp_path, *paths), "b/": listing(tmp_path, *paths)})
    assert proposed is not None
    assert "24 patients of 48 images" in proposed
