"""Facts about what is written for users: short pages, live links, a whole reference, a notebook that runs."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from helpers import ROOT, slow
from nbclient import NotebookClient

from covidnet.runs import files

DOCS = ROOT / "docs"
README = ROOT / "README.md"
START = [README, DOCS / "start.md", DOCS / "glossary.md"]
PLAIN = ["evidence", "files-of-a-run", "number-at-home", "other-hospitals", "README", "recipes", "results", "running"]
PLAIN_PAGES = [*START, *(DOCS / f"{name}.md" for name in [*PLAIN, "speed", "using"])]
REFERENCE = {"decisions.md", "journal.md", "reference-keys.md"}  # as long as they must be
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "bench" / "README.md"])
MOST_README, MOST_PAGE, MOST_SENTENCE = 900, 1200, 30  # words
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """Return a page without blocks of code, tables and the targets of links."""
    text = FENCE.sub("\n", page.read_text(encoding="utf-8"))
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of prose: a heading, a point of a list and a paragraph end one."""
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-#]|\d+\. ))", text):
        yield from re.split(r"(?<=[.!?])[*_)\"]*\s+", part.strip())


def words(text: str) -> list[str]:
    """Return the words: what holds a letter or a digit."""
    return [word for word in text.split() if re.search(r"\w", word)]


def anchors(page: Path) -> set[str]:
    """Return the names that a link may point to in a page, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def reference() -> str:
    """Return the text of the reference that is made from the code, and of the files of a run."""
    return "".join((DOCS / name).read_text(encoding="utf-8") for name in ("reference-keys.md", "files-of-a-run.md"))


def test_the_readme_is_short():
    assert len(words(prose(README))) <= MOST_README
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_README  # with its code and tables, too


def test_the_readme_begins_with_two_commands_to_copy():
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    train = "pip install -e . && python train.py data=phantom\n"
    assert blocks[:2] == [train, 'pip install -e ".[dev]" && python -m pytest -n auto\n']


def test_long_sentences_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Of\n\nOne two. Three [four](five six)\n- seven\n\n```\ncode here\n```\n\n| a | b |\n")
    assert [len(words(one)) for one in sentences(prose(page)) if one] == [1, 2, 2, 1]


@pytest.mark.parametrize("page", PLAIN_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_sentence_is_long(page):
    assert [one for one in sentences(prose(page)) if len(words(one)) > MOST_SENTENCE] == []


def test_pages_are_short():
    long = {page.name: len(words(prose(page))) for page in DOCS.glob("*.md") if page.name not in REFERENCE}
    assert {name: count for name, count in long.items() if count > MOST_PAGE} == {}


def test_each_link_leads_somewhere():
    dead = []
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if link.startswith(("https://", "http://", "mailto:")):
                continue
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                dead.append((page.name, link))
    assert dead == []


def test_each_page_stands_in_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    names = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert {name for name in names if f"]({name})" not in index} == set()


def test_the_reference_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    told = reference.PAGE.read_text(encoding="utf-8")
    assert told == reference.page(), "python docs/reference.py writes it anew"
    for _, (section, owners) in reference.SECTIONS.items():
        for owner, _ in owners:
            for name, key in reference.own_keys(owner).items():
                assert f"| `{section}.{name}` |" in told
                assert key.text, f"{owner} does not tell what {name} means"


def test_each_file_of_a_run_is_told():
    told = reference()
    names = [str(value) for value in vars(files).values() if re.fullmatch(r"[\w./]+\.(json|csv|ckpt|yaml)", str(value))]
    assert len(names) > 8
    assert [name for name in names if name not in told] == []


def test_the_picture_is_there_and_small():
    assert (DOCS / "images" / "door.png").stat().st_size < 200_000


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
