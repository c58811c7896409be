"""Views: one name for each spelling, and which images their view leaves out."""

import pytest

from covidnet.data.division.views import choose_views, other_views, read_views, refuse_lost, view_of
from covidnet.data.listing import Known, Listed, without_names
from covidnet.errors import UserError


@pytest.mark.parametrize(
    ("view", "cells"),
    [
        ("PA", ["PA", "pa", " PA ", "P-A", "POSTEROANTERIOR", "PA erect", "PA LLD"]),
        ("AP", ["AP", "AP Supine", "AP semi erect", "AP erect", "AP_horizontal", "antero-posterior", "AP LORDOTIC"]),
        ("LATERAL", ["L", "LL", "RL", "Lateral", "LATERAL", "XTABLE LATERAL", "lat"]),
        ("FRONTAL", ["Frontal", "frontal view"]),
        ("OBLIQUE", ["LAO", "RAO", "Oblique"]),
        ("CT", ["Axial", "Coronal"]),
        ("RIBS", ["COSTAL"]),
        ("", ["", " ", "?", "unknown", "nan", "None", "12", "chest"]),
    ],
)
def test_each_spelling_has_one_name(view, cells):
    assert {view_of(cell) for cell in cells} == {view}


def out(wanted, *cells):
    return list(
        other_views({str(n): {"view": cell} for n, cell in enumerate(cells)}, read_views(wanted) or []).values()
    )


def test_an_unknown_view_stays_in_and_a_frontal_one_is_pa_or_ap():
    cells = ["PA", "AP Supine", "L", "Frontal", "", "odd", "Axial"]
    assert out(["PA", "AP"], *cells) == ["LATERAL", "CT"]
    assert out(["ap"], *cells) == ["PA", "LATERAL", "CT"]
    assert out(["Frontal"], *cells) == ["LATERAL", "CT"]
    assert out(["lateral"], *cells) == ["PA", "AP", "FRONTAL", "CT"]


@pytest.mark.parametrize("given", [["PA", "sideways"], []])
def test_what_is_no_view_is_told_with_those_that_are(given):
    with pytest.raises(UserError, match=r"data\.views=.* must name one view or more, of PA, AP|of LATERAL, PA"):
        read_views(given)


def listing(root):
    paths = [f"{name}/{n}.png" for name in "AB" for n in range(4)]
    return Listed(["A", "B"], paths, [0] * 4 + [1] * 4, [], Known(), root)


def test_images_of_other_views_are_left_out_with_their_number(tmp_path):
    rows = {
        "A/0.png": {"view": "LL"},
        "B/1.png": {"view": "Lateral"},
        "B/2.png": {"view": "Axial"},
        "A/3.png": {"view": "AP"},
    }
    left = choose_views(listing(tmp_path), rows, ["PA", "AP"])
    assert left.class_counts == {"A": 3, "B": 2}
    assert left.known.told == [
        "2 LATERAL, 1 CT of 8 images are left out by their view: data.views=[PA, AP]; data.views=null takes all."
    ]


def test_a_view_that_is_not_understood_stays_in_and_is_told(tmp_path):
    left = choose_views(listing(tmp_path), {"A/0.png": {"view": "somehow"}}, ["PA", "AP"])
    assert len(left.paths) == 8
    assert left.known.told == ["1 images of a view that is not understood ('somehow') stay in."]
    assert without_names(left.known.told[0]) == "1 images of a view that is not understood stay in."


def test_without_views_nothing_changes(tmp_path):
    images = listing(tmp_path)
    assert choose_views(images, {"A/0.png": {"view": "PA"}, "A/1.png": {}}, ["PA", "AP"]) is images


def test_what_a_split_file_names_stays_whatever_its_view(tmp_path):
    left = choose_views(listing(tmp_path), {"A/0.png": {"view": "L"}, "A/1.png": {"view": "L"}}, ["PA"], {"A/1.png"})
    assert "A/0.png" not in left.paths
    assert "A/1.png" in left.paths


def test_a_class_of_other_views_alone_is_a_mistake_unless_another_root_has_it(tmp_path):
    images = listing(tmp_path)
    left = choose_views(images, {f"B/{n}.png": {"view": "L"} for n in range(4)}, ["PA", "AP"])
    says = r"data\.views=\[PA, AP\] leaves no image of \['B'\]: all 4 images of B are of other views"
    with pytest.raises(UserError, match=says):
        refuse_lost([images], [left], ["PA", "AP"])
    refuse_lost([images, images], [left, images], ["PA", "AP"])
