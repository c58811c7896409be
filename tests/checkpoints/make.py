"""Make what ``tests/test_old_checkpoint.py`` reads, by the code of commit 2c5dbd2: README.md here tells how."""

import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from helpers import LAST, QUICK, RUN, paint, read_json, read_rows

HERE = Path(__file__).parent
COMMIT = "2c5dbd2"
BEST = RUN / "checkpoints" / "best.ckpt"
SMALL = 10_000  # values: a tensor of fewer is kept as it is


def coarse(tensor: torch.Tensor, step: float, least: float = -torch.inf) -> torch.Tensor:
    """Return a large tensor in multiples of ``step``, which takes few values and so compresses well."""
    return tensor if tensor.numel() < SMALL else (tensor / step).round().mul(step).clamp(min=least)


def round_off(checkpoint: Path) -> None:
    """Make weights and Adam's moments coarse; no mean square may be zero, as Adam divides by its root."""
    held = torch.load(checkpoint, weights_only=True)
    held["state_dict"] = {name: coarse(tensor, 2**-5) for name, tensor in held["state_dict"].items()}
    for moments in held["optimizer_states"][0]["state"].values():
        moments["exp_avg"] = coarse(moments["exp_avg"], 2**-7)
        moments["exp_avg_sq"] = coarse(moments["exp_avg_sq"], 2**-20, least=2**-20)
    torch.save(held, checkpoint)


def pack(folder: Path, archive: Path) -> None:
    """Write a folder as a compressed TAR, in which xz finds what best.ckpt shares with last.ckpt only once."""

    def nameless(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return None if entry.name.endswith(".lock") else entry

    with (
        lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tape,
    ):
        tape.add(folder, filter=nameless)


def main() -> None:
    """Train, round off and pack; then write what the same code makes of it."""
    code = Path(sys.argv[1]).resolve()
    environment = {**os.environ, "PYTHONPATH": str(code)}

    def run(*words: str | Path) -> None:
        subprocess.run([sys.executable, *words], env=environment, check=True)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        environment["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        paint(Path("xrays"))
        data = ["data.root=xrays", "data.image_size=20", "data.test_per_class=3", "data.batch_size=8"]
        run(code / "train.py", "run", *data, "trainer.max_epochs=2", "report=false", *QUICK)
        for checkpoint in (LAST, BEST):
            round_off(checkpoint)
        pack(Path("runs"), HERE / f"{COMMIT}.tar.xz")
        shutil.copytree("runs", "packed")
        run("-m", "covidnet.tools", "predict", RUN, "--device=cpu", "--out=predictions.csv")
        run(code / "train.py", "test", f"ckpt_path={BEST}", *QUICK)
        tested = read_json(RUN.with_name("version_1") / "results.json")["test"]
        shutil.rmtree("runs")
        shutil.copytree("packed", "runs")
        run(code / "train.py", "run", f"ckpt_path={LAST}", "trainer.max_epochs=4", "report=false", *QUICK)
        expected = {
            "predict": read_rows(Path("predictions.csv")),
            "test": {name: value for name, value in tested.items() if isinstance(value, float)},
            "resume": read_rows(RUN / "metrics.csv"),
        }
        (HERE / f"{COMMIT}.json").write_text(json.dumps(expected, indent=1) + "\n")
        os.chdir(HERE)


if __name__ == "__main__":
    main()
