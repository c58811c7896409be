"""The documentation site: ``make docs``. Its pages are the Markdown files of this repository, where they lie."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent
INDEX = HERE / "README.md"  # its order is that of the navigation
EXTRA = ROOT / "build" / "extra"  # what docs/samples.py leaves, below samples/

project = "covidnet"
html_title = "covidnet"
root_doc = "README"
highlight_language = "text"  # of blocks that name none
extensions = ["myst_nb"]
include_patterns = ["*.md", "docs/*.md", "docs/*.ipynb", "bench/README.md"]
exclude_patterns = [one.name for one in ROOT.iterdir() if one.is_dir() and one.name not in {"docs", "bench"}]
html_theme = "furo"  # fonts of the system: nothing is fetched
html_extra_path = ["site", *([str(EXTRA)] if EXTRA.exists() else [])]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
myst_heading_anchors = 4  # links to headings, named as GitHub names them
nb_execution_mode = "off"  # the notebook is committed executed; a test executes it anew


def contents(index: str) -> Iterator[str]:
    """Yield the navigation as MyST writes it: a list for each heading of the index, which GitHub shows as it is."""
    for section in index.split("\n## ")[1:]:
        caption = section.splitlines()[0]
        links = re.findall(r"^- \[([^\]]+)\]\(([^)#]+)\)", section, re.MULTILINE)
        pages = [(title, posixpath.splitext(posixpath.normpath(f"docs/{file}"))[0]) for title, file in links]
        entries = "\n".join(f"{title} </{page}>" for title, page in pages)
        yield f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```"


def complete(app: Sphinx, name: str, source: list[str]) -> None:
    """Add to two pages what only the site has: the navigation, and the sample reports."""
    if name == root_doc:
        source[0] += "\n\n".join(
            [
                "",
                "```{toctree}\n:hidden:\n\nAll pages </docs/README>\n```",
                *contents(INDEX.read_text(encoding="utf-8")),
            ]
        )
    if name == "docs/samples":
        names = sorted(report.stem for report in EXTRA.glob("samples/*.html"))
        links = [f'- <a href="../samples/{name}.html">{name.replace("-", " ")}</a>' for name in names]
        source[0] += "\n".join(["", "**Open them:**", "", *links] if links else [])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", complete)
