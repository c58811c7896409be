"""The labels of a table, however they are written, become classes; what is not sure of one class is of none."""

from pathlib import Path

import pytest

from covidnet.data.tables.cells import split_labels
from covidnet.data.tables.keys import table_keys
from covidnet.data.tables.labels import read_labels
from covidnet.data.tables.reading import Table
from covidnet.data.tables.words import CONTRADICTED, NONE, SEVERAL, UNCERTAIN, UNLABELLED, class_of
from covidnet.errors import UserError


def keys(labels=None, separator=None, uncertain="unknown", disagree="skip"):
    return table_keys("t.csv", None, labels, separator, uncertain, disagree)


def of_cells(cells, labels=None, classes=None, **options):
    """Return the classes, and of each cell of a column of labels its class or why it has none."""
    table = Table(Path("t.csv"), ["label", "x"], [[cell, ""] for cell in cells], frozenset(), "")
    found = read_labels(table, 0, [1], classes, keys(labels, **options))
    return found.names, [told(found, word) for word in found.words]


def of_columns(columns, rows, labels=None, classes=None, **options):
    """Return the same of columns of findings."""
    table = Table(Path("t.csv"), ["path", *columns], [["", *row] for row in rows], frozenset(), "")
    free = list(range(1, len(columns) + 1))
    found = read_labels(table, None, free, classes, keys(labels, **options))
    return found.names, [told(found, word) for word in found.words]


def told(found, word):
    label = class_of([word], "skip")
    return found.names[label] if isinstance(label, int) else label


COVID = {"COVID": ["COVID-19", "covid"], "Normal": "No Finding"}


def test_each_label_of_a_column_is_a_class_where_nothing_is_asked_for():
    assert of_cells(["b", "a", "b", ""]) == (["a", "b"], ["b", "a", "b", UNLABELLED])


def test_labels_are_mapped_to_classes_in_the_order_given():
    names, found = of_cells(["covid", "No Finding", "COVID-19", "Mass", "nan"], COVID)
    assert names == ["COVID", "Normal"]
    assert found == ["COVID", "Normal", "COVID", NONE, UNLABELLED]


def test_classes_choose_and_order():
    assert of_cells(["a", "b", "c"], classes=["c", "a"]) == (["c", "a"], ["a", NONE, "c"])
    assert of_cells(["covid", "No Finding", "x"], COVID, ["Normal", "COVID"])[0] == ["Normal", "COVID"]


SEVERAL_LABELS = {
    "bars": ["COVID-19|Mass", "covid|COVID-19", "covid|No Finding", "Mass|Nodule"],
    "semicolons": ["COVID-19; Mass", "covid;COVID-19", "covid ;No Finding", "Mass;Nodule"],
    "a list of Python": ["['COVID-19', 'Mass']", "['covid', 'COVID-19']", "['covid', \"No Finding\"]", "['Mass', '']"],
    "a list of JSON": ['["COVID-19", "Mass"]', '["covid","COVID-19"]', '["covid", "No Finding"]', '["Mass"]'],
    "a bare list": ["[COVID-19, Mass]", "[covid,COVID-19]", "[covid, No Finding]", "[Mass]"],
}


@pytest.mark.parametrize("cells", SEVERAL_LABELS.values(), ids=SEVERAL_LABELS)
def test_an_image_is_of_the_class_of_which_alone_it_has_labels(cells):
    found = of_cells([*cells, "No Finding"], COVID)[1]
    assert found == ["COVID", "COVID", SEVERAL, NONE, "Normal"]


def test_what_stands_between_labels_may_be_given():
    assert of_cells(["a/x", "b", "c|d"], {"A": "a", "B": "b", "C": "c|d"}, separator="/")[1] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("", []),
        ("[]", []),
        ("['']", []),
        ("|a||b|", ["a", "b"]),
        ("a|a", ["a"]),
        ("1.0", ["1"]),
        ("['it\\'s', 'b']", ["it\\'s", "b"]),
        ("Pneumonia, viral", ["Pneumonia, viral"]),
    ],
)
def test_odd_cells_are_split_as_they_are_meant(cell, labels):
    assert split_labels(cell, None) == labels


def test_a_label_may_be_written_in_another_case_where_only_one_is():
    assert of_cells(["NORMAL", "Covid"], {"N": "normal", "C": "COVID"})[1] == ["N", "C"]


CHEXPERT = ["No Finding", "Pneumonia", "Effusion"]
ROWS = [("1.0", "", ""), ("", "1.0", "1.0"), ("", "-1.0", ""), ("0.0", "0.0", "1.0"), ("", "", ""), ("1.0", "1.0", "")]


def test_a_column_of_1_0_and_minus_1_is_a_finding():
    names, found = of_columns(CHEXPERT, ROWS, {"Normal": "No Finding", "Pneumonia": "Pneumonia"})
    assert names == ["Normal", "Pneumonia"]
    assert found == ["Normal", "Pneumonia", UNCERTAIN, NONE, UNLABELLED, SEVERAL]


def test_what_is_uncertain_may_be_taken_for_sure():
    found = of_columns(CHEXPERT, ROWS, classes=["No Finding", "Pneumonia"], uncertain="positive")[1]
    assert found[2] == "Pneumonia"


def test_columns_of_which_each_row_has_one_need_no_key():
    rows = [("1", "0", "0", "5"), ("0", "yes", "0", "6"), ("0", "0", "TRUE", "1")]
    assert of_columns(["b", "a", "c", "age"], rows) == (["a", "b", "c"], ["b", "a", "c"])


def test_a_column_that_only_seems_to_hold_labels_gives_way_to_columns_that_are_named():
    table = Table(Path("t.csv"), ["class", "a", "b"], [["x", "1", "0"], ["y", "0", "1"]], frozenset(), "")
    assert read_labels(table, 0, [1, 2], ["a", "b"], keys()).columns == [1, 2]
    assert read_labels(table, 0, [1, 2], ["x", "y"], keys()).columns == [0]


WRONG_CELLS = {
    "a label that is not there": (["a", "b", "c"], {"A": "a", "B": "bb"}, None, r"not 'bb'\. Did you mean 'b'\?"),
    "no two classes": (["a", "a"], None, None, r"gives the classes \['a'\].*needs two or more"),
    "a class that no label gives": (["a"], COVID, ["COVID", "Norm"], r"names \['Norm'\].*Did you mean 'Normal'\?"),
    "a class twice": (["a", "b"], None, ["a", "a"], "each once"),
    "labels that look like one": (["Normal", "NORMAL "[:6], "b"], None, None, r"look like one.*data\.labels=\{Normal"),
    "too many": ([f"case {n}" for n in range(101)], None, None, r"101 different labels.*data\.labels=\{CLASS"),
}


@pytest.mark.parametrize(("cells", "labels", "classes", "message"), WRONG_CELLS.values(), ids=WRONG_CELLS)
def test_wrong_labels_of_a_column_are_refused_with_what_there_is(cells, labels, classes, message):
    with pytest.raises(UserError, match=message):
        of_cells(cells, labels, classes)


WRONG_COLUMNS = {
    "a column that is not there": ([("1", "0", "0")], {"N": "No Finding", "P": "Pneumo"}, "not 'Pneumo'"),
    "a column of something else": ([("1", "0", "57")], {"N": "No Finding", "E": "Effusion"}, r"holds '57'.*holds 1, 0"),
    "no key, and several findings": ([("1", "1", "0")], None, r"which of the findings \['No Finding', 'Pneumonia'\]"),
    "no key, and no findings": (
        [("x", "y", "z")],
        None,
        r"none of them called as labels.*data\.columns=\{label: COLUMN\}",
    ),
}


@pytest.mark.parametrize(("rows", "labels", "message"), WRONG_COLUMNS.values(), ids=WRONG_COLUMNS)
def test_wrong_columns_of_findings_are_refused_with_what_there_is(rows, labels, message):
    with pytest.raises(UserError, match=message):
        of_columns(CHEXPERT, rows, labels)


WRONG_KEYS = {
    "a label of two classes": ({"A": "x", "B": ["x"]}, "gives the label 'x' to 'A' and to 'B'"),
    "a class without a label": ({"A": []}, "gives the class 'A' no label"),
    "an empty label": ({"A": ""}, "gives the class 'A' no label"),
}


@pytest.mark.parametrize(("labels", "message"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_odd_keys_are_refused_before_a_table_is_opened(labels, message):
    with pytest.raises(UserError, match=message):
        keys(labels)


def test_keys_of_a_table_without_a_table_are_refused():
    with pytest.raises(UserError, match=r"data\.labels=.* is for a table of labels.*data\.table=FILE"):
        table_keys(None, None, COVID, None, "unknown", "skip")


def test_what_would_not_hold_without_a_table_is_refused_too():
    with pytest.raises(UserError, match=r"data\.disagree=any is for a table of labels"):
        table_keys(None, None, None, None, "unknown", "any")


def together(cells, disagree):
    table = Table(Path("t.csv"), ["label"], [[cell] for cell in [*cells, "A", "B"]], frozenset(), "")
    found = read_labels(table, 0, [], ["A", "B"], keys())
    label = class_of(found.words[: len(cells)], disagree)
    return found.names[label] if isinstance(label, int) else label


@pytest.mark.parametrize(
    ("cells", "skip", "any_row", "most"),
    [
        (["A", "A"], "A", "A", "A"),
        (["A", "B"], CONTRADICTED, SEVERAL, CONTRADICTED),
        (["A", "x"], CONTRADICTED, "A", CONTRADICTED),
        (["A", "A", "x"], CONTRADICTED, "A", "A"),
        (["A", "A", "B"], CONTRADICTED, SEVERAL, "A"),
        (["A", ""], "A", "A", "A"),
        (["x", "y"], NONE, NONE, NONE),
        (["", ""], UNLABELLED, UNLABELLED, UNLABELLED),
    ],
)
def test_the_rows_of_one_image_are_joined_by_the_rule_that_the_user_names(cells, skip, any_row, most):
    assert [together(cells, rule) for rule in ("skip", "any", "most")] == [skip, any_row, most]
