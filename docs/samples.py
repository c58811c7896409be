"""Make the sample reports of the site, of drawn radiographs: ``python docs/samples.py``, or one of them by name."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from covidnet.report.page import REPORT

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "extra" / "samples"  # where docs/conf.py looks
EPOCHS = 8  # enough for the lungs to be learned
WORDS = ["data=phantom", "shortcuts=true", f"trainer.max_epochs={EPOCHS}", "data.cache_dir=cache"]
SAMPLES = {"without-a-marker": [], "with-a-marker": ["data.shortcut=1.0"]}


def main(names: Sequence[str]) -> None:
    """Train each in a folder that goes, and keep its report without the name of that folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            here = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run([sys.executable, ROOT / "train.py", *WORDS, *SAMPLES[name]], cwd=place, env=here, check=True)
            report = Path(place, "runs", "convnet", "version_0", REPORT).read_text(encoding="utf-8")
            (FOLDER / f"{name}.html").write_text(report.replace(f"{place}/", ""), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(SAMPLES))
