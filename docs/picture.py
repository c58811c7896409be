"""Make docs/images/door.png: a report's verdicts beside the page of ``covidnet serve``, with a drawn radiograph.

``python docs/picture.py RUN``, with a run of ``data=phantom``. No image of a person may be shown here.
It needs the Chromium of the system.
"""

import io
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from covidnet.data.phantom import draw_radiograph

PICTURE = Path(__file__).parent / "images" / "door.png"
NARROW, WIDE = {"width": 660, "height": 900}, {"width": 1000, "height": 900}  # CSS pixels
EDGE = 24  # pixels around the two
COLOURS = 96  # a palette keeps the file small
# A report names places on the machine that wrote it: what stands before the run's own folders is nobody's business.
WITHOUT_PLACES = """(box, place) => {
    for (const code of box.querySelectorAll("code")) code.textContent = code.textContent.replaceAll(place, "");
}"""


def verdicts(browser: Browser, run: Path) -> Image.Image:
    """Return the box of verdicts of a run's report."""
    page = browser.new_page(viewport=NARROW)
    page.goto((run / "report.html").resolve().as_uri())
    box = page.locator("#verdicts")
    box.evaluate(WITHOUT_PLACES, f"{run.resolve().parents[2]}/")
    return Image.open(io.BytesIO(box.screenshot()))


def served(browser: Browser, run: Path, image: Path) -> Image.Image:
    """Return what the page of ``covidnet serve`` shows of an image."""
    command = [sys.executable, "-m", "covidnet", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
        page = browser.new_page(viewport=WIDE, reduced_motion="reduce")
        page.goto(url)
        page.set_input_files("#file", image)
        page.wait_for_selector("body:not(.busy)")
        shown = Image.open(io.BytesIO(page.locator("#result").screenshot()))
        server.send_signal(signal.SIGTERM)
    return shown


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Return two pictures side by side, on white."""
    both = Image.new("RGB", (left.width + right.width + 3 * EDGE, max(left.height, right.height) + 2 * EDGE), "white")
    both.paste(left, (EDGE, EDGE))
    both.paste(right, (left.width + 2 * EDGE, EDGE))
    return both


def main(run: Path) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        image = Path(folder) / "phantom.png"
        Image.fromarray(draw_radiograph(0, np.random.SeedSequence(2026))[0]).save(image)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        both = beside(verdicts(browser, run), served(browser, run, image))
        browser.close()
    PICTURE.parent.mkdir(exist_ok=True)
    both.quantize(COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
