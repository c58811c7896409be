"""Facts about what is written for users: short pages, live links, a whole reference, a notebook that runs."""

import argparse
import ast
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from helpers import ROOT, slow
from nbclient import NotebookClient
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

import covidnet.lightning
from covidnet.commands.main import TOOLS
from covidnet.data.phantoms import Phantoms
from covidnet.data.radiographs import Radiographs
from covidnet.models.classifier import Classifier
from covidnet.models.convnet import ConvNet
from covidnet.models.encoded import Encoded
from covidnet.models.inception import InceptionV3
from covidnet.models.probe import Probe
from covidnet.training.args import COMMANDS, expand

DOCS = ROOT / "docs"
README = ROOT / "README.md"
REFERENCE = {
    "decisions.md",
    "journal.md",
    "reference-json.md",
    "reference-keys.md",
    "reference-python.md",
}  # any length
GIVEN = {"network", "num_classes", "options"}  # by the command line, not by a user
OWNERS = {  # of the keys of each section
    "trainer": [Trainer],
    "early_stopping": [EarlyStopping],
    "checkpoint": [ModelCheckpoint],
    "data": [Radiographs, Phantoms],
    "model": [Classifier, ConvNet, Encoded, InceptionV3, Probe],
}
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "bench" / "README.md"])
OF_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which tells what was, too
PLAIN = [page for page in OF_TODAY if page.name != "journal.md"]  # which keeps notes as they were made
LEAVE_FILES = [f"covidnet/{name}.py" for name in ("runs/files", "runs/remote", "inference/export")]
LEAVE_FILES += [f"covidnet/series/{name}.py" for name in ("outcome", "study")]
MOST_README, MOST_PAGE, MOST_SENTENCE = 900, 1200, 30  # words
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
RESULT = re.compile(
    r"\*{0,2}[-+]?\d*(?:\.\d| %|,? to \d)"
)  # a decimal number, a share, a range: counts and limits are none
COMMAND = re.compile(r"(?:`|^)(?:python (?:-m|train\.py)|covidnet) \S", re.MULTILINE)
DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")


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


def untold_results(page: Path) -> Iterator[str]:
    """Yield the headings under which a table holds three results or more, without the command and the day of them."""
    for section in re.split(r"^(?=#+ )", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        cells = [cell for row in re.findall(r"^\|(.*)\|$", section, re.MULTILINE) for cell in row.split("|")[1:]]
        results = [cell for cell in cells if RESULT.match(cell.strip())]
        if len(results) >= 3 and not (COMMAND.search(section) and DATE.search(section)):
            yield section.partition("\n")[0]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of covidnet in a page's blocks, and of each training in its text."""
    text = page.read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```(?:sh|text)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = [*blocks.replace("\\\n", " ").splitlines(), *re.findall(r"`(python train\.py [^`]+)`", FENCE.sub("", text))]
    for line in lines:
        for one in re.split(r"&& |\|\| |; ", line):
            if re.match(r"(python train\.py|covidnet) ", one):
                yield [word for word in shlex.split(one, comments=True) if not word.startswith("$")]


def mistake_in(words: list[str]) -> str | None:
    """Return what is wrong with a command of the docs, as its own parser tells it, or which key nothing takes."""
    words = words[1:] if words[0] == "covidnet" else words[2:]
    if words[0] in TOOLS:
        tool, parser = TOOLS[words[0]], argparse.ArgumentParser(exit_on_error=False)
        tool.add_options(parser)
        parser.parse_args(words[1:])
        return None
    unknown = [key for key in expand(words).typed_keys() if key.partition(".")[2].split(".")[0] not in known(key)]
    return f"nothing takes {unknown}" if unknown else None


def known(key: str) -> set[str]:
    """Return the names that the section of a key has; for a key in no section, the empty one."""
    owners = OWNERS.get(key.partition(".")[0], [])
    return {name for owner in owners for name in inspect.signature(owner).parameters} or {""}


@cache
def script(name: str) -> ModuleType:
    """Return a program of docs/, imported."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@pytest.mark.parametrize("page", [*PLAIN, ROOT / "CHANGELOG.md"], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_sentence_is_long(page):
    assert [one for one in sentences(prose(page)) if len(words(one)) > MOST_SENTENCE] == []


@pytest.mark.parametrize("page", PLAIN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_table_of_results_has_its_command_and_its_day(page):
    assert list(untold_results(page)) == []


def test_results_without_a_command_or_a_day_are_found(tmp_path):
    page = tmp_path / "page.md"
    table = "| x | y |\n|---|---|\n| a | 0.93 [0.9, 1] |\n| b | 12 % |\n| c | .5 |\n"
    told = "`covidnet audit FOLDER`, 2026-11-30:"
    page.write_text(
        f"# One\n\n{told}\n\n{table}\n## Two\n\n2026-11-30\n\n{table}\n## Limits\n\n| a | 4 |\n| b | 32,000 |\n"
    )
    assert list(untold_results(page)) == ["## Two"]


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


@pytest.mark.parametrize("page", OF_TODAY, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_command_of_a_page_is_one(page):
    assert [(words, wrong) for words in commands(page) if (wrong := mistake_in(words))] == []


def test_a_wrong_command_of_a_page_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Try `python train.py data.rot=F`.\n\n```sh\ncd x && covidnet compare A B  # one\n```\n")
    first, second = commands(page)
    assert (first, second) == (["covidnet", "compare", "A", "B"], ["python", "train.py", "data.rot=F"])
    assert (mistake_in(first), mistake_in(second)) == (None, "nothing takes ['data.rot']")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_compiles(page):
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        compile(block, page.name, "exec")


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


def test_the_reference_of_python_and_metrics_is_that_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    for name, page in script("public").PAGES.items():
        assert (DOCS / name).read_text(encoding="utf-8") == page(), "make reference writes it anew"
    told = {name for names in script("public").PUBLIC.values() for name in names}
    assert told == {*covidnet.__all__, *covidnet.lightning.__all__} - {"__version__"}


def test_each_command_and_key_is_in_the_reference():
    told = (DOCS / "reference-keys.md").read_text(encoding="utf-8")
    assert [name for name in {**COMMANDS, **TOOLS} if f"| `{name}` |" not in told] == []
    keys = [(section, name) for section in ("data", "model") for name in known(f"{section}.")]
    assert [key for key in keys if key[1] not in GIVEN and f"| `{'.'.join(key)}` |" not in told] == []


def test_each_file_of_a_run_is_told():
    told = (DOCS / "files-of-a-run.md").read_text(encoding="utf-8")
    nodes = [node for file in LEAVE_FILES for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))]
    texts = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    names = {text for text in texts if re.fullmatch(r"[\w.]+\.(json|csv|ckpt|yaml|html|md|db|onnx|pt2)", text)}
    assert len(names) > 20
    assert {name for name in names if not re.search(rf"(?<!\w){re.escape(name)}", told)} == set()


def test_the_picture_is_there_and_small():
    assert (DOCS / "images" / "door.png").stat().st_size < 200_000


def test_one_word_is_used_for_one_notion():
    table = (DOCS / "glossary.md").read_text(encoding="utf-8").rpartition("| we say | not |")[2]
    avoided = [word for row in table.splitlines() for word in row.rpartition("|")[0].rpartition("|")[2].split(",")]
    words = re.compile(rf"\b(?:{'|'.join(word.strip() for word in avoided if word.strip(' -'))})s?\b", re.IGNORECASE)
    texts = {page.name: re.sub(r"`[^`]*`", "", prose(page)) for page in PLAIN if page.name != "glossary.md"}
    assert "external" in words.pattern
    assert {name: found for name, text in texts.items() if (found := words.findall(text))} == {}


@slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", DOCS, "-d", tmp_path / "trees"]
    found = subprocess.run([*build, ROOT, tmp_path / "site"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    shown = {page.relative_to(tmp_path / "site").with_suffix("").as_posix() for page in tmp_path.rglob("*.html")}
    written = {page.relative_to(ROOT).with_suffix("").as_posix() for page in PAGES}
    assert written | {"index", "docs/tutorial"} <= shown


def test_the_notebook_shows_what_it_gave_and_no_place_of_a_machine():
    text = (DOCS / "tutorial.ipynb").read_text(encoding="utf-8")
    cells = [cell for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in cells)
    assert "image/png" in text
    assert re.findall(r"/(?:work|home|Users|root|tmp)/", text) == []


@slow
# Jupyter's own warnings: of its event loop, and of what it leaves open when the kernel ends.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_the_tutorial_runs_from_top_to_bottom():
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
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
