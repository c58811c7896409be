"""Make docs/images/door.png: a report's verdicts beside the page of ``covidnet serve``, with a drawn radiograph.

``python docs/picture.py RUN``, with a run of ``data=phantom``. No image of a person may be shown here. It needs the Chromium of the system.
"""

import io
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from covidnet.data.phantoms import Phantoms

PICTURE = Path(__file__).parent / "images" / "door.png"
SIZE = {"width": 760, "height": 900}  # CSS pixels of each half
COLOURS = 96  # a palette keeps the file small


def verdicts(browser: Browser, run: Path) -> Image.Image:
    """Return the box of verdicts of a run's report."""
    page = browser.new_page(viewport=SIZE)
    page.goto((run / "report.html").resolve().as_uri())
    return Image.open(io.BytesIO(page.locator("#verdicts").screenshot()))


def served(browser: Browser, run: Path, image: Path) -> Image.Image:
    """Return the page of ``covidnet serve`` that shows what a run says of an image."""
    command = [sys.executable, "-m", "covidnet", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
        page = browser.new_page(viewport=SIZE, reduced_motion="reduce")
        page.goto(url)
        page.set_input_files("#file", image)
        page.wait_for_selector("body:not(.busy)")
        shown = Image.open(io.BytesIO(page.screenshot()))
        server.send_signal(signal.SIGTERM)
    return shown


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Return two pictures side by side, the higher one cut."""
    height = min(left.height, right.height)
    both = Image.new("RGB", (left.width + right.width, height), "white")
    both.paste(left.crop((0, 0, left.width, height)), (0, 0))
    both.paste(right.crop((0, 0, right.width, height)), (left.width, 0))
    return both


def main(run: Path) -> None:
    """Write the picture."""
    drawn = Phantoms()
    image = drawn.root / drawn.listing.paths[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        both = beside(verdicts(browser, run), served(browser, run, image))
        browser.close()
    PICTURE.parent.mkdir(exist_ok=True)
    both.quantize(COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
