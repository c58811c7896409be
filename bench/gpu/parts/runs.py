"""Whole runs on a GPU: the lungs test, in which several follow one another, and a run that was ended."""

import json
import traceback

from bench.gpu.work import Work


def lungs(work: Work) -> None:
    """The lungs test trains twice more in one process: before each of them the GPU is empty again."""
    file = work.folder("seen") / "memory.jsonl"
    words = [*work.setting.inception, "trainer.max_epochs=1", "report=false", "shortcuts=true"]
    watching = {"bench.gpu.watch.Memory": {"file": str(file)}}
    work.train("run with the lungs test", words, callbacks=watching, command="run")
    seen = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    trainings = [one for one in seen if one["what"] == "training"]
    work.notes.check("lungs test: three trainings", len(trainings) == 3, len(trainings))
    for key, most in {"images on the GPU": 1, "graphs": 0}.items():
        found = [one[key] for one in trainings]
        good = max(found, default=2) <= most
        work.only_on_a_gpu(f"lungs test: as a training begins, {key} at most {most}", good, found)
    work.notes.figure("MB on the GPU at each start", [(one["what"], one["MB"]) for one in seen])


def resume(work: Work) -> None:
    """A training that SIGTERM ended in its third epoch and that goes on is one that was never ended."""
    rates = ["model.schedule=cosine", "model.warmup_epochs=1"]
    words = [*work.setting.inception, *rates, "trainer.max_epochs=4"]
    straight = work.train("four epochs", words)
    runs = work.folder("ended")
    common = [*work.setting.small.words(runs), work.setting.trainer]
    code: object = 0
    try:
        work.command(["fit", *common, *words], {"bench.gpu.watch.Ended": {}})
    except SystemExit as ended:
        code = ended.code
    except Exception as error:
        traceback.print_exc()
        code = repr(error)[:300]
    work.notes.check("SIGTERM ends a training with exit code 143", code == 143, code)
    last = next(runs.glob("*/version_0/checkpoints/last.ckpt"), None)
    work.notes.figure("MB of a checkpoint", last and last.stat().st_size / 2**20)
    went_on = work.train("gone on", [*words, f"ckpt_path={last}"], runs=runs) if last else None
    rest = straight.end(len(went_on.losses), len(went_on.metrics)) if straight and went_on else straight
    work.alike("gone on v never ended", rest, went_on, words)
