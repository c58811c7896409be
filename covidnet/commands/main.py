"""Words -> one command, and its exit code: the door of ``covidnet``, ``python -m covidnet`` and ``train.py``.

Nothing heavy is imported before a command runs.
"""

import argparse
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from covidnet.__version__ import __version__
from covidnet.commands import (
    audit,
    cache,
    card,
    compare,
    download,
    evaluate,
    export,
    labels,
    lungs,
    predict,
    publish,
    rebalance,
    report,
    runs,
    send,
    serve,
    shortcuts,
    table,
    threshold,
    train,
)
from covidnet.commands.help import help_text, usage
from covidnet.errors import UserError, did_you_mean, exit_with
from covidnet.machine.faults import explain
from covidnet.machine.threads import wait_asleep
from covidnet.training.args import COMMANDS, program

# A command is a module: its docstring says what it does, ``add_options`` what it takes, ``run`` does it.
TOOLS: dict[str, ModuleType] = {
    "download": download,
    "audit": audit,
    "table": table,
    "shortcuts": shortcuts,
    "evaluate": evaluate,
    "compare": compare,
    "labels": labels,
    "lungs": lungs,
    "threshold": threshold,
    "rebalance": rebalance,
    "report": report,
    "card": card,
    "predict": predict,
    "serve": serve,
    "export": export,
    "publish": publish,
    "send": send,
    "runs": runs,
    "cache": cache,
}
INTERRUPTED = 128 + 2  # the exit code after SIGINT, as shells count it
NOBODY_READS = 128 + 13  # that after SIGPIPE


def main(argv: Sequence[str] | None = None, default: str | None = None) -> int:
    """Run a command; return its exit code.

    0 where the command did its work, whatever it found: a verdict is a finding, not an error. 2 for a user's mistake
    and 4 for what the machine lacks, after one message on stderr; 3 where files could not be read and the others were;
    130 for Ctrl-C; 141 where nobody reads what is printed.

    Args:
        argv: The words; those of this process where left out.
        default: The command where none is typed; without one, that is a mistake.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    wait_asleep()
    with _quiet_pipe():
        tool = _tool(words)
        if tool:
            return _run_tool(tool, words)
        _refuse_no_command(words, default)
        if not set(words).intersection(COMMANDS) and {"-h", "--help"}.intersection(words):
            print(help_text({name: module.__doc__ or "" for name, module in TOOLS.items()}))
            return 0
        if words == ["--version"]:
            print(f"covidnet {__version__}")
            return 0
        return train.run(words)


def _tool(words: list[str]) -> str | None:
    """Return the tool that the words ask for, if they ask for one, and take its name out of them."""
    for place, word in enumerate(words):
        if word in TOOLS:
            return words.pop(place)
        if "=" not in word:  # what stands behind another word is that word's
            return None
    return None


def _run_tool(name: str, words: Sequence[str]) -> int:
    tool = TOOLS[name]
    parser = argparse.ArgumentParser(f"{program()} {name}", description=tool.__doc__, allow_abbrev=False)
    tool.add_options(parser)
    options = parser.parse_args(words)
    try:
        code: int | None = tool.run(options)
    except UserError as error:
        exit_with(error)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        mistake = explain(error)
        if mistake is None:
            raise
        exit_with(mistake)
    return code or 0


def _refuse_no_command(words: Sequence[str], default: str | None) -> None:
    """Refuse what begins with no command, no setting and no option; nothing at all only where there is no default."""
    first = next(iter(words), "")
    if first in COMMANDS or "=" in first or first.startswith("-") or (default and not first):
        return
    names = [*COMMANDS, *TOOLS]
    found = f"'{first}' is neither a command nor a setting (key=value)." if first else "A command is needed."
    exit_with(f"{found}{did_you_mean(first, names)}\n{usage()}\nCommands: {', '.join(names)}.")


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """End without a word where nobody reads what is printed any more, as ``| head -1`` does."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still flushes at its end
        sys.exit(NOBODY_READS)


def _nobody_reads() -> bool:
    """Tell a broken standard output from another pipe that broke."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
