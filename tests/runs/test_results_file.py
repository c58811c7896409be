import json

from covidnet.runs.files import write_results


def test_a_list_of_numbers_takes_one_line_and_all_is_read_back(tmp_path):
    held = {"curve": [0.1, None, -3], "matrix": [[1, 2], [3, 4]], "a [ 1, 2 ]\n[\n 1 ]": ["[ 1,\n 2 ]", 1], "none": []}
    write_results(tmp_path / "results.json", held)
    text = (tmp_path / "results.json").read_text()
    assert '"curve": [0.1, null, -3]' in text
    assert json.loads(text) == held
