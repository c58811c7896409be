"""SIGTERM ends a training after the batch in hand, on all processes together."""

import signal
from types import FrameType
from typing import Any

from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

_received: set[int] = set()  # signals that this process was told


def terminated() -> bool:
    """Tell whether SIGTERM came to this process in a training or test."""
    return signal.SIGTERM in _received


class SignalConnector(_SignalConnector):
    """Lightning's, whose handler only takes note of SIGTERM and passes it on to the processes that this one started.

    The training loop asks for the note after each batch, and rank 0 tells it to all before the next. Lightning's own
    handler tells it from within the signal, between any two collective calls: where each process gets the signal, as
    from torchrun, they then wait for one another for ever.
    """

    def _sigterm_notifier_fn(self, signum: Any, _: FrameType) -> None:
        launcher = self.trainer.strategy.launcher
        if launcher is not None and not self.received_sigterm:
            launcher.kill(signum)
        self.received_sigterm = True
        _received.add(signum)
