"""Facts about the page, driven in a real browser: mouse, keyboard, phone and desktop, and nothing from elsewhere."""

import csv
import io
import re
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from helpers import CLASSES, read_rows, slow
from PIL import Image
from served import fail_lungs_test, serving, train

from covidnet.inference.predictions import WRITERS
from covidnet.report.page import write_report
from covidnet.serving.page import to_html

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Playwright leaves its pipes to the garbage collector when it stops.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH to drive the page in")
CARD = """---
license: mit
---
# Card

Its **limits**: <script>document.title = "hacked"</script>

| a | b |
|---|---|
| 1 | 2 |

![x](https://elsewhere.example/x.png) [link](javascript:alert(1))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = train(tmp_path_factory.mktemp("page"))
    (folder / "model_card.md").write_text(CARD)
    fail_lungs_test(folder)
    return folder


@pytest.fixture(scope="module")
def served(run):
    with serving(run) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, served) -> Iterator:
    """A page that has been opened; after the test, all that it asked for was the server's own and without error."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    asked: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    opened.goto(served.url)
    yield opened
    context.close()
    assert [url for url in asked if not url.startswith((f"{served.url}/", "data:", "blob:"))] == []
    assert errors == []


@slow
@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["report", "served"])
def test_whoever_cannot_see_or_point_finds_no_serious_fault(place, scheme, browser, served, run):
    """Ask axe-core, which knows the rules of WCAG 2; its words for what shuts somebody out are serious and critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(viewport={"width": 360, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    opened = context.new_page()
    opened.goto(write_report(run).as_uri() if place == "report" else served.url)
    opened.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = axe.run(opened).response["violations"]
    context.close()
    assert [(one["id"], one["nodes"][0]["target"]) for one in found if one["impact"] in ("serious", "critical")] == []


def file(content, name="image.png"):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def radiograph(run, label=0):
    name = CLASSES[label]
    return (run.parents[1] / "xrays" / name / f"{name} (1).png").read_bytes()


def upload(page, content, name="image.png"):
    page.set_input_files("#file", file(content, name))
    page.wait_for_selector("body:not(.busy)")


def drop(page, content):
    """Drop a file on the page's foot; ``content`` is JavaScript, as what comes from here is slow to send."""
    page.evaluate(
        f"""() => {{
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([{content}], "dropped.png"));
            document.querySelector("footer").dispatchEvent(new DragEvent("drop", {{ dataTransfer, bubbles: true }}));
        }}"""
    )


def shares(page):
    found = {}
    for row in page.locator("#bars li").all():
        found[row.locator(".name").inner_text()] = row.locator(".value").inner_text()
    return found


def percent(share):
    if 0.999 < share < 1:
        return "> 99.9\u00a0%"
    return "< 0.1\u00a0%" if 0 < share < 0.001 else f"{100 * share:.1f}\u00a0%"


@needs_browser
def test_an_upload_shows_image_bars_set_and_warnings(page, run, served):
    upload(page, radiograph(run))
    known = served.predict(radiograph(run)).json
    named = "An unfamiliar image" if known["unfamiliar"] else f"Most probable: {known['predicted']}"
    assert page.locator("#predicted").inner_text() == named
    assert shares(page) == {name: percent(share) for name, share in known["calibrated"].items()}
    assert page.locator("#kind").inner_text() == "Probability (calibrated)"
    assert page.locator("#set").inner_text().startswith("At 90\u00a0% coverage ")
    for name in known["prediction_set"]:
        assert name in page.locator("#set").inner_text()
    assert page.locator("#warnings li").all_inner_texts() == [one.replace(" %", "\u00a0%") for one in known["warnings"]]
    assert page.locator("#image").evaluate("image => image.naturalWidth") == 24
    assert "Research software, not a medical device." in page.locator("header").inner_text()


@needs_browser
def test_an_unfamiliar_image_is_called_so_before_all_else(page):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, "PNG")
    upload(page, content.getvalue())
    assert page.locator("#predicted").inner_text() == "An unfamiliar image"
    assert page.locator("#warnings li").first.inner_text().startswith("This image does not look like those")
    assert page.locator("#set").inner_text().endswith("This does not hold for an unfamiliar image.")


@needs_browser
def test_the_slider_fades_the_heat_map_of_the_chosen_class(page, run):
    upload(page, radiograph(run))
    heat = page.locator("#heat")
    assert page.locator("input[name=heat-of]:checked").get_attribute("value") in CLASSES
    for name in CLASSES:
        page.get_by_label(name, exact=True).check()
        if heat.is_visible():
            break
        assert name in page.locator("#heat-note").inner_text()
    assert heat.get_attribute("src").startswith("data:image/png;base64,")
    assert heat.bounding_box() == page.locator("#image").bounding_box()
    slider = page.get_by_label("Heat map")
    slider.fill("25")
    assert heat.evaluate("image => getComputedStyle(image).opacity") == "0.25"
    assert page.locator("#strength-shown").inner_text() == "25\u00a0%"


@needs_browser
def test_a_bad_file_is_told_aloud_and_the_next_is_looked_at(page, run):
    upload(page, b"hello", "<img src=x onerror=alert(1)>.png")
    problem = page.get_by_role("alert")
    assert problem.inner_text() == (
        "This file is not an image in a format that is taken: PNG, JPEG, TIFF, WEBP, BMP, DICOM."
    )
    assert page.locator("#result").is_hidden()
    upload(page, radiograph(run), "<b>bold</b>.png")
    assert problem.is_hidden()
    assert page.locator("#result").is_visible()
    assert page.locator("#name").inner_text() == "<b>bold</b>.png"


@needs_browser
def test_an_answer_goes_when_the_next_upload_begins(page, run):
    upload(page, radiograph(run))
    held = []
    page.route("**/predict*", lambda route: held.append(route))
    with page.expect_request("**/predict*"):
        page.set_input_files("#file", file(radiograph(run, 1), "next.png"))
    while not held:  # the browser hands it over a moment later
        page.wait_for_timeout(10)
    assert page.locator("#result").is_hidden()
    assert page.get_by_role("status").inner_text() == "The model looks at next.png …"
    held[0].continue_()
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#name").inner_text() == "next.png"


@needs_browser
def test_a_drawn_image_is_told_as_drawn(page, served):
    page.get_by_role("button", name="Drawn as NORMAL").click()
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#name").inner_text() == "drawn-2.png: drawn as NORMAL, it shows nobody"
    content = served.ask("/samples/drawn-2.png").body
    known = served.predict(content).json
    assert shares(page) == {name: percent(share) for name, share in known["calibrated"].items()}


@needs_browser
def test_several_images_are_a_table_a_csv_and_each_one_an_answer(page, run, served):
    names = ["=1+1.png", "<img src=x onerror=alert(1)>.png", "no image.png"]
    contents = [radiograph(run), radiograph(run, 1), b"hello"]
    page.set_input_files("#file", [file(content, name) for name, content in zip(names, contents, strict=True)])
    page.wait_for_selector("#csv:not([hidden])")
    assert page.locator("#several-title").inner_text() == "3 images, 1 without an answer"
    assert page.locator("#rows th").all_inner_texts() == names
    known = [served.predict(content).json for content in contents[:2]]
    assert page.locator("#rows td[data-label=called]").all_inner_texts() == [one["predicted"] for one in known]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    rows = read_rows(download.value.path())
    command = io.StringIO()
    WRITERS["csv"](command, served.engine.predictor)
    assert [*rows[0]] == next(csv.reader([command.getvalue()]))
    assert [row["path"] for row in rows] == ["'=1+1.png", *names[1:]]  # which no spreadsheet takes for a formula
    assert float(rows[1]["calibrated_NORMAL"]) == pytest.approx(known[1]["calibrated"]["NORMAL"], rel=1e-8)
    assert rows[2]["error"].startswith("This file is not an image")
    page.get_by_role("button", name=names[1]).click()
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#name").inner_text() == names[1]
    assert page.locator("#several").is_visible()
    upload(page, radiograph(run))
    assert page.locator("#several").is_hidden()


@needs_browser
def test_a_file_too_large_is_not_even_sent(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    drop(page, "new ArrayBuffer(32_000_001)")
    assert page.get_by_role("alert").inner_text().startswith("This file is too large: it has 32.0 MB")
    assert sent == []


@needs_browser
def test_a_server_that_is_gone_is_told(page, run):
    page.context.set_offline(True)
    upload(page, radiograph(run))
    assert page.get_by_role("alert").inner_text() == "The server does not answer. Is it still running?"


@needs_browser
def test_it_is_used_by_keyboard_alone(page, run):
    # The browser takes its time until it hands choosers over, but answers the questions below after that. On a busy
    # machine Enter came first otherwise, and opened a chooser that nobody heard of.
    page.on("filechooser", lambda chooser: None)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    ring = page.locator("label[for=file]").evaluate("label => getComputedStyle(label).outlineStyle")
    assert ring == "solid"  # what has the focus shows it
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file(radiograph(run)))
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "predicted"  # read next
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "strength"
    page.keyboard.press("ArrowRight")
    assert page.locator("#strength").input_value() == "61"
    page.keyboard.press("Tab")
    chosen = page.evaluate("document.activeElement.value")
    page.keyboard.press("ArrowDown")
    assert page.locator("input[name=heat-of]:checked").get_attribute("value") != chosen
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.get_by_text("Grad-CAM, scaled to its own maximum").is_visible()


@needs_browser
def test_a_screen_reader_finds_names_and_news(page, run):
    assert page.get_by_role("status").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    upload(page, radiograph(run))
    assert re.search(r"Most probable: .+\s%\.$", page.get_by_role("status").inner_text())
    assert page.get_by_role("group", name="It shows what speaks for").get_by_role("radio").count() == 3
    assert page.get_by_role("slider", name="Heat map").count() == 1
    assert page.get_by_role("list", name="Probability (calibrated)").get_by_role("listitem").count() == 3
    assert page.get_by_role("region", name=page.locator("#predicted").inner_text()).count() == 1
    assert page.locator("#image").get_attribute("alt") == "The image as it was decoded, image.png"


@needs_browser
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_phone_and_desktop(page, run, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    upload(page, radiograph(run), f"{'a' * 200}.png")
    page.locator("summary").first.click()
    page.locator("#model summary").click()
    assert page.evaluate(wide) <= width
    side_by_side = page.locator(".said").bounding_box()["y"] == page.locator(".seen").bounding_box()["y"]
    assert side_by_side == (width == 1440)
    upload(page, b"x")
    assert page.evaluate(wide) <= width
    page.set_input_files("#file", [file(radiograph(run), f"{'a' * 200}.png"), file(b"x")])
    page.wait_for_selector("#csv:not([hidden])")
    assert page.evaluate(wide) <= width


@needs_browser
def test_an_image_may_be_dropped_anywhere(page, run):
    drop(page, f"new Uint8Array({list(radiograph(run))})")
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#name").inner_text() == "dropped.png"


@needs_browser
def test_sixteen_bits_are_shown_too(page):
    content = io.BytesIO()
    Image.fromarray(np.linspace(0, 65_535, 900).reshape(30, 30).astype(np.uint16)).save(content, "TIFF")
    upload(page, content.getvalue())
    assert page.locator("#image").evaluate("image => image.naturalWidth") == 30


@needs_browser
def test_the_model_card_is_shown_and_runs_nothing(page):
    page.locator("#model summary").click()
    card = page.locator(".card-text")
    assert card.locator("h3").inner_text() == "Card"
    assert card.locator("td").all_inner_texts() == ["1", "2"]
    assert "license" not in card.inner_text()
    assert '<script>document.title = "hacked"</script>' in card.inner_text()
    assert page.title() == "convnet · covidnet"


def test_a_cards_html_is_text_and_its_images_are_not_fetched():
    html = to_html(CARD)
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html


@needs_browser
def test_the_page_calls_an_image_as_the_answer_decides(page, run, served):
    answer = served.predict(radiograph(run), "?heat=all&image=true").json
    other = next(name for name in CLASSES if name != answer["predicted"])
    decided = {**answer, "unfamiliar": False, "decision": other, "decision_rule": "It is called from 0.1 % upward."}
    page.evaluate("answer => show(answer, 'made.png')", decided)
    assert page.locator("#predicted").inner_text() == f"Called: {other}"
    assert page.locator("#rule").inner_text() == "It is called from 0.1\u00a0% upward."
    assert page.locator("#bars li.top .name").inner_text() == other
    assert page.locator("input[name=heat-of]:checked").get_attribute("value") == other
    page.evaluate("answer => show(answer, 'made.png')", {**answer, "unfamiliar": False})
    assert page.locator("#predicted").inner_text() == f"Most probable: {answer['predicted']}"
    assert page.locator("#rule").is_hidden()
