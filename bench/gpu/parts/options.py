"""What is typed on a command line and may fail on a GPU only, each on a small network."""

from bench.gpu.work import EAGER, Work

CLIPPED = "trainer.gradient_clip_val=1.0"
HALF = "trainer.precision=16-mixed"
OPTIONS = {
    "clipped": [CLIPPED],
    "clipped by value": [CLIPPED, "trainer.gradient_clip_algorithm=value"],
    "clipped, 32-true": [CLIPPED, "trainer.precision=32-true"],
    "clipped, 16-mixed": [CLIPPED, HALF],
    "16-mixed": [HALF],
    "bf16-true": ["trainer.precision=bf16-true"],
    "64-true": ["trainer.precision=64-true"],
    "accumulated": ["trainer.accumulate_grad_batches=2"],
    "deterministic": ["trainer.deterministic=true"],
    "deterministic, equalised": ["trainer.deterministic=true", "model.equalize=true"],
    "by source": ["data.balance=source"],
    "no cache, 2 workers": ["data.cache=false", "data.num_workers=2"],
}
IN_A_GRAPH = {
    "captured, equalised": ["model.equalize=true"],
    "captured, few batches": ["trainer.limit_train_batches=2"],
    "captured, fast_dev_run": ["trainer.fast_dev_run=true"],
}


def convnet(work: Work) -> None:
    """ConvNet: both recipes, captured and eager, then every option that meets the GPU."""
    words = [*work.setting.convnet, "trainer.max_epochs=3"]
    work.pair("ConvNet", words)
    work.pair("robust", [*words, "recipe=robust", "trainer.max_epochs=3"])
    work.pair("mild, restyled", [*words, "data.augment=mild", "data.restyle=amplitude", "model.average_mirrored=true"])
    short = [*work.setting.convnet, "trainer.max_epochs=1"]
    for key, more in OPTIONS.items():
        work.train(key, [*short, *more])
    for key, more in IN_A_GRAPH.items():
        work.train(key, [*short, *more, work.setting.captured])
    _pixels(work, words)
    _one_process(work, words)


def _pixels(work: Work, words: list[str]) -> None:
    """Images that lie on the GPU are those that are copied there batch by batch."""
    copied = [*words, "data.cache=false", "data.num_workers=0"]
    resident = work.train("images on the GPU", [*words, EAGER])
    away = work.train("images copied in each step", [*copied, EAGER])
    if resident and away:
        found = {"resident": [resident.resident, away.resident]}
        work.only_on_a_gpu("images lie on the GPU", resident.resident and not away.resident, found)
    work.alike("copied images v images on the GPU", resident, away, [*words, EAGER])


def _one_process(work: Work, words: list[str]) -> None:
    """trainer=ddp where one GPU is all there is; last, as it leaves a process group."""
    accelerator = ["trainer.accelerator=cpu"] if work.setting.rehearse else []
    work.train("trainer=ddp, one process", [*words, "trainer=ddp", "trainer.devices=1", *accelerator])
