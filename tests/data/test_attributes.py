"""Facts about groups of images: how a table's cells are understood, and which columns are taken."""

import pytest

from covidnet.data.attributes import AGES, REST, age_group, attributes_of, check_bins, columns_there, sex_of
from covidnet.errors import UserError


@pytest.mark.parametrize(
    ("cell", "group"),
    [
        ("45", "40 to 64"),
        ("045Y", "40 to 64"),
        ("39.9", "18 to 39"),
        ("18", "18 to 39"),
        ("6 months", "0 to 17"),
        ("30M", "0 to 17"),
        ("0.5", "0 to 17"),
        ("90+", "65 or more"),
        ("414", ""),
        ("-3", ""),
        ("adult", ""),
        ("nan", ""),
        ("", ""),
    ],
)
def test_an_age_is_a_group_of_years_and_what_is_none_is_unknown(cell, group):
    assert age_group(cell, AGES) == group


def test_a_sex_is_one_of_three_words_and_tells_no_other():
    cells = ("F", "female", " M ", "Male", "O", "nan", "", "Mrs Smith")
    assert [sex_of(cell) for cell in cells] == ["F", "F", "M", "M", "other", "", "", "other"]


def test_columns_that_nobody_asked_for_are_left_alone():
    rows = {f"{n}.png": {"patient": f"p{n}", "Name": f"Mrs {n}", "view": "AP", "Manufacturer": "X"} for n in range(3)}
    paths = [*rows, "other.png"]
    assert attributes_of(paths, rows) == {"view": ["AP"] * 3 + [""], "machine": ["X"] * 3 + [""]}
    assert attributes_of(paths, rows, wanted=["NAME", "view"])["NAME"] == ["Mrs 0", "Mrs 1", "Mrs 2", ""]
    assert columns_there(paths, rows, ["name", "Ward"]) == ["name"]


def test_of_many_sources_the_commonest_keep_their_names():
    rows = {f"{n}.png": {"source": f"s{n % 30}" if n < 60 else "large"} for n in range(90)}
    sources = attributes_of(list(rows), rows)["source"]
    assert len(set(sources)) == 10
    assert sources.count("large") == 30
    assert REST in sources


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("Ward", r"data\.subgroups names the column 'Ward'.*columns \['room'\]"),
        ("room", "which has 11 different values"),
    ],
)
def test_a_column_that_is_no_subgroup_is_one_sentence(wanted, says):
    rows = {f"{n}.png": {"room": str(n)} for n in range(11)}
    with pytest.raises(UserError, match=says):
        attributes_of(list(rows), rows, wanted=[wanted])


@pytest.mark.parametrize("bins", [[], [40, 18], [18, 18], [0, 18], [18, 200], list(range(1, 12))])
def test_ages_that_cut_nothing_are_refused(bins):
    with pytest.raises(UserError, match=r"data\.age_bins=.* must be 1 to 9 rising ages"):
        check_bins(bins)
