"""A sorted command line, run in this process: what is known to go wrong ends in one message and its own exit code."""

import faulthandler
import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import UnsupportedOperation
from typing import NoReturn

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException

from covidnet.errors import UserError, exit_with, user_error
from covidnet.machine.memory import keep_freed_memory
from covidnet.training.args import TRAINING, CommandLine
from covidnet.training.interface import AfterRun, CommandLineInterface
from covidnet.training.lightning import terminated
from covidnet.training.processes import end_with_parent, lost_another

LIGHTNING = (  # the loggers of Lightning that tell
    "pytorch_lightning.utilities.rank_zero",
    "pytorch_lightning.accelerators.cuda",
    "lightning_fabric.utilities.seed",
    "lightning_fabric.utilities.distributed",
)
TOLD = (  # by Lightning to whoever writes code, or by our own screen
    "litlogger",
    "litmodels",
    "set_float32_matmul_precision",
    "PU available",  # GPU, TPU, HPU
    "LOCAL_RANK",
    "distributed_backend",
    "GLOBAL_RANK",
    "Seed set to",
    "`Trainer.fit` stopped",
    "Detected KeyboardInterrupt",
    "Time limit reached",
    "Running in `fast_dev_run` mode",
    "Automatic Mixed Precision",
    "Loading `train_dataloader`",
    "Restoring states from",
    "Restored all states",
    "Loaded model weights",
)
INTERRUPTED, TERMINATED = 128 + 2, 128 + 15  # the exit codes after SIGINT and SIGTERM, as shells count them


def run_line(
    line: CommandLine,
    interface: Callable[[CommandLine, AfterRun | None], CommandLineInterface] = CommandLineInterface,
    afterwards: AfterRun | None = None,
) -> CommandLineInterface:
    """Run a sorted command line in this process; return what it built.

    What is known to go wrong ends in one message and its own exit code.

    Args:
        line: What was typed, sorted.
        interface: What parses it and does it.
        afterwards: What follows each run, called with its interface and its directory.

    Raises:
        SystemExit: With code 2 for a user's mistake, 4 for what the machine lacks, 130 for Ctrl-C, 143 for SIGTERM.
    """
    try:
        return carry_out(line, interface, afterwards)
    except UserError as mistake:
        exit_with(mistake)
    except SIGTERMException:  # a SystemExit without a code, which would look like success
        _end_terminated(line.command)
    except KeyboardInterrupt as interrupt:
        if not isinstance(interrupt.__cause__, SystemExit):  # Lightning, which ended with one, has told of it
            print(f"Interrupted. What is finished is kept. The same command:\n  {line.again()}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if terminated():  # another process was told first, and is gone
            _end_terminated(line.command)
        if lost_another(error):
            print(
                "error: another process of this training has ended; its own message, if it left one, says why. What "
                "is finished is kept; ckpt_path=auto goes on from the last whole epoch.",
                file=sys.stderr,
            )
            sys.exit(1)
        raise


def carry_out(
    line: CommandLine,
    interface: Callable[[CommandLine, AfterRun | None], CommandLineInterface] = CommandLineInterface,
    afterwards: AfterRun | None = None,
) -> CommandLineInterface:
    """Run a sorted command line in this process, for a program: as ``run_line``, but it raises and never exits.

    Raises:
        UserError: For a user's mistake and for what the machine lacks.
        KeyboardInterrupt: For Ctrl-C; what is finished is kept.
    """
    with suppress(UnsupportedOperation):  # of a stderr that is no file
        faulthandler.enable()  # a disk that goes while its files are mapped ends a process without a word
    _quieten()
    keep_freed_memory()
    end_with_parent()
    try:
        return interface(line, afterwards)
    except MisconfigurationException as error:  # in the middle of training, too
        raise UserError(f"The keys do not go together: {error}") from error
    except ValueError as error:
        mistake = user_error(error)
        if mistake is None or mistake is error:
            raise
        raise mistake from error
    except SystemExit as ended:
        if isinstance(ended.code, UserError):  # of the parser
            raise ended.code from None
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from ended
        raise


def _quieten() -> None:
    """Drop what the user can do nothing about: what our own screen says, and warnings of what we mean to do."""
    for name in LIGHTNING:
        logging.getLogger(name).addFilter(_is_news)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", module="pytorch_lightning.*")
    # As meant: a test has a run directory of its own, and a resumed run goes on in one that holds checkpoints.
    warnings.filterwarnings("ignore", message="The dirpath has changed")
    warnings.filterwarnings("ignore", message=".*exists and is not empty")
    warnings.filterwarnings("ignore", message="GPU available but not used")  # trainer=cpu was typed, or it is Apple's


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a line is no advertisement, asks for no line of code and is not said on our own screen too."""
    return record.levelno > logging.INFO or not any(word in record.getMessage() for word in TOLD)


def _end_terminated(command: str) -> NoReturn:
    how = "ckpt_path=auto goes on from the last whole epoch" if command in TRAINING else "the same command goes on"
    print(f"Terminated. What is finished is kept; {how}.", file=sys.stderr)
    sys.exit(TERMINATED)
