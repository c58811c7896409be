"""What stands in the way of a captured step: training goes on without it, or records anew, with the eager numbers."""

from bench.gpu.work import EAGER, Watchers, Work

AUTO = "model.capture=auto"
SWA = {"swa_lrs": 0.001, "swa_epoch_start": 1}


def fallback(work: Work) -> None:
    """Steps that wait, weights that move, averaged weights, garbage: the numbers stay those of eager steps."""
    _waiting(work)
    words = [*work.setting.tiny, "trainer.max_epochs=3"]
    work.pair("moved weights", words, {"bench.gpu.planted.Moved": {}})
    work.pair("garbage", words, {"bench.gpu.planted.Littered": {}})
    averaged: Watchers = {"pytorch_lightning.callbacks.StochasticWeightAveraging": SWA}
    eager = work.train("averaged weights, eager", [*words, EAGER], callbacks=averaged)
    auto = work.train("averaged weights, auto", [*words, AUTO], callbacks=averaged)
    work.alike("averaged weights: auto v eager", eager, auto, [*words, EAGER], averaged)
    if auto:
        work.launched("averaged weights: nothing replayed", auto, wanted=False)


def _waiting(work: Work) -> None:
    """A model that waits for a value cannot be recorded; a sound one can be after it, in the same process."""
    sound = [*work.setting.convnet, "trainer.max_epochs=2"]
    waiting = [*sound, "--model=bench.gpu.planted.WaitingConvNet"]
    eager = work.train("waiting, eager", [*waiting, EAGER])
    auto = work.train("waiting, auto", [*waiting, AUTO])
    work.alike("waiting: auto v eager", eager, auto, [*waiting, EAGER])
    if auto:
        work.launched("waiting: nothing replayed", auto, wanted=False)
    work.refused("waiting: model.capture=true is refused", [*waiting, "model.capture=true"])
    work.pair("sound after waiting", sound)
