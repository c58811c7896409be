"""Facts about folders from elsewhere: which class an image is of, which are refused, which were seen before."""

import numpy as np
import pytest
from PIL import Image

from covidnet.data.external import find_seen, list_external
from covidnet.data.images import open_pixels
from covidnet.errors import UserError

CLASSES = ["COVID-19", "NORMAL", "Viral Pneumonia"]


@pytest.fixture
def make(tmp_path):
    """Return a function that makes empty files below a root: what is listed is not opened."""

    def make_files(*paths):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

    return make_files


def listed(root, **given):
    folder = list_external(root, CLASSES, given)
    return {
        path: (CLASSES[label], source)
        for path, label, source in zip(folder.paths, folder.labels, folder.sources, strict=True)
    }


@pytest.mark.parametrize(
    ("path", "name", "source"),
    [
        ("NORMAL/1.png", "NORMAL", ""),
        ("COVID/images/1.png", "COVID-19", ""),
        ("ieee8023/COVID-19/1.jpg", "COVID-19", "ieee8023"),
        ("a/test/viral_pneumonia/patient 3/1.jpg", "Viral Pneumonia", "a/test"),
        ("Covid19/No Finding/1.png", "NORMAL", "Covid19"),
    ],
    ids=["top", "images", "source above", "split and patient", "nearest name counts"],
)
def test_an_image_is_of_the_nearest_folder_that_means_a_class(make, path, name, source):
    assert listed(make(path)) == {path: (name, source)}


def test_masks_hidden_files_and_what_lies_beside_class_folders_are_left_out(make):
    root = make("COVID/images/1.png", "COVID/masks/1.png", "COVID/images/._1.png", "preview.png", "COVID/images/a.txt")
    folder = list_external(root, CLASSES, {})
    assert folder.paths == ["COVID/images/1.png"]
    assert [path for path, _ in folder.ignored] == ["COVID/images/a.txt", "preview.png"]


def test_a_folder_that_fits_no_class_is_named_with_the_option_that_maps_it(make):
    root = make("COVID/1.png", "x/Pneumonia/images/1.png", "x/Pneumonia/images/2.png")
    with pytest.raises(UserError, match=r"'x/Pneumonia' \(2 images\).*--map 'Pneumonia=CLASS'.*'COVID' is COVID-19"):
        listed(root)
    assert listed(root, pneumonia="viral pneumonia")["x/Pneumonia/images/1.png"] == ("Viral Pneumonia", "x")
    assert list(listed(root, Pneumonia="skip")) == ["COVID/1.png"]
    assert list(listed(root, x="skip")) == ["COVID/1.png"]


def test_a_map_goes_before_the_known_names(make):
    assert listed(make("COVID/1.png"), COVID="NORMAL") == {"COVID/1.png": ("NORMAL", "")}


def test_two_classes_of_one_meaning_are_only_what_they_are_called(make):
    root = make("COVID/1.png", "COVID-19/1.png", "covid pneumonia/1.png")
    folder = list_external(root, ["COVID", "COVID-19"], {"covid pneumonia": "COVID"})
    assert folder.names == {"COVID": 0, "COVID-19": 1, "covid pneumonia": 0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"COVID": "Normall"}, r"--map COVID=Normall.*no class"),
        ({"COVIDD": "NORMAL"}, "no folder .* called 'COVIDD'. Did you mean 'COVID'"),
        ({"COVID": "skip"}, "no images in folders named like a class"),
    ],
)
def test_a_wrong_map_is_explained(make, given, message):
    with pytest.raises(UserError, match=message):
        listed(make("COVID/1.png"), **given)


@pytest.mark.parametrize(
    ("file", "root", "message"),
    [("1.png", ".", "holds 1 images itself"), ("a.txt", ".", "no images"), ("a", "b", "does not exist")],
)
def test_a_folder_without_class_folders_is_refused(make, file, root, message):
    with pytest.raises(UserError, match=message):
        listed(make(file) / root)


@pytest.mark.parametrize("cache", [True, False])
def test_an_image_is_found_again_under_another_name_and_format(tmp_path, cache):
    rng = np.random.default_rng(0)
    own, other = (rng.integers(0, 256, (20, 20), dtype=np.uint8) for _ in range(2))
    colour = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)  # beside it, a grey image is served as three channels
    for name, pixels in {"own/a.png": own, "out/b.bmp": own, "out/c.png": other, "out/d.png": colour}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    known = open_pixels(tmp_path / "own", ["a.png", "gone.png"], 10, "bilinear", cache=cache)
    outside = open_pixels(tmp_path / "out", ["b.bmp", "c.png", "d.png"], 10, "bilinear", cache=cache)
    assert list(known.unreadable) == ["gone.png"]
    assert find_seen(outside, known) == {"b.bmp": "a.png"}


def test_other_hospitals_are_listed_by_class_and_source(real_data):
    folder = list_external(real_data / "external", CLASSES, {})
    assert [folder.labels.count(label) for label in range(3)] == [86, 240, 12]
    assert sorted(set(folder.sources)) == ["figure1", "ieee8023", "lundis", "pranavraikokte_covid19_image_dataset"]
    assert folder.ignored == []
