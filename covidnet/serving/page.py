"""The one page that a person sees, made once when the server starts."""

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markupsafe import Markup

from covidnet.__version__ import __version__
from covidnet.files.reading import UNREADABLE, read_text
from covidnet.inference.prediction import NOTICE
from covidnet.inference.predictor import Predictor
from covidnet.report.page import html_templates
from covidnet.runs.files import CARD, unreadable
from covidnet.serving.engine import Engine
from covidnet.serving.limits import NAMES, Limits
from covidnet.serving.samples import Sample

LONGEST_CARD = 2**19  # bytes; one has some thousands
DEEPER = 2  # levels by which a card's headings go down: they stand below those of the page


def render(engine: Engine, limits: Limits, samples: Sequence[Sample]) -> str:
    """Return the page as HTML."""
    predictor = engine.predictor
    template = html_templates("covidnet.serving", "web").get_template("page.html.j2")
    return template.render(
        name=predictor.recipe["name"],
        classes=predictor.classes,
        drawn=predictor.notice.removesuffix(NOTICE).strip(),
        formats=f"{NAMES} or DICOM",
        max_bytes=limits.max_bytes,
        max_pixels=engine.max_pixels,
        samples=samples,
        card=read_card(predictor),
        facts=list(facts(predictor)),
        version=__version__,
    )


def read_card(predictor: Predictor) -> Markup | None:
    """Return the run's model card as HTML that holds nothing but text, links and tables, if there is one."""
    run = predictor.run
    if run is None or not (run / CARD).is_file():
        return None
    try:
        return to_html(read_text(run / CARD, LONGEST_CARD, errors="replace"))
    except (*UNREADABLE, RecursionError) as error:
        raise unreadable(run / CARD, error) from error


def to_html(markdown: str) -> Markup:
    """Return Markdown as HTML. Its own HTML is shown as text, its images are links: nothing is fetched."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(_without_header(markdown))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + DEEPER, 6)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # html is off


def facts(predictor: Predictor) -> Iterator[tuple[str, str]]:
    """Yield what a checkpoint tells of its model, for want of a card."""
    size = predictor.image_size
    yield "Model", predictor.recipe["name"]
    yield "Classes", ", ".join(predictor.classes)
    yield "Sees images as", f"{size} x {size} pixels"
    yield "Probabilities", "as the model gives them" if predictor.temperature is None else "calibrated"
    if predictor.several:
        yield "Ensemble", f"the mean of {len(predictor.model.members)} models"
    if predictor.decision:
        yield "Decision", predictor.decision.sentence
    if predictor.coverage is not None:
        yield "Prediction sets", f"{100 * predictor.coverage:g} % coverage"
    yield "Knows unfamiliar images", "no" if predictor.novelty is None else "yes"
    yield "Trained by", f"covidnet {predictor.recipe.get('version', 'of unknown version')}"


def _without_header(markdown: str) -> str:
    """Return a card without its YAML header, which is for hubs."""
    if markdown.startswith("---\n"):
        _, found, rest = markdown[4:].partition("\n---\n")
        return rest if found else markdown
    return markdown
