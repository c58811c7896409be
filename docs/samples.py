"""Make the sample reports of the site: ``python docs/samples.py``. Drawn radiographs, with and without a marker."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from covidnet.report.page import REPORT

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "extra" / "samples"  # where docs/conf.py looks
EPOCHS = 8  # enough for the lungs to be learned
WORDS = ["data=phantom", "shortcuts=true", f"trainer.max_epochs={EPOCHS}", "trainer.enable_progress_bar=false"]
SAMPLES = {"without-a-marker": [], "with-a-marker": ["data.shortcut=1.0"]}


def main() -> None:
    """Train each, in a folder of no name that matters, since a report tells where it was made; keep the report."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, words in SAMPLES.items():
        with tempfile.TemporaryDirectory() as place:
            here = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": f"{place}/cache"}
            subprocess.run([sys.executable, ROOT / "train.py", *WORDS, *words], cwd=place, env=here, check=True)
            shutil.copy(Path(place, "runs", "convnet", "version_0", REPORT), FOLDER / f"{name}.html")


if __name__ == "__main__":
    main()
