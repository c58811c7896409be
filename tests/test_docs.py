"""Facts about what is written for users: the notebook runs, and the API reference is built."""

from pathlib import Path

import nbformat
import pytest
from helpers import slow
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1] / "docs"


@slow
# Jupyter's own warnings: of its event loop, and of what it leaves open when the kernel ends.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_the_tutorial_runs_from_top_to_bottom():
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what they show is what the reader's run gives
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    texts = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert any("balanced accuracy" in text for text in texts)
    assert any(text.startswith("Prediction(predicted=") for text in texts)
    assert texts[-1] == "True"  # noise is no radiograph
