"""List what the cache folder holds, with size and last use; or clean it, but for what is being used."""

import argparse
from pathlib import Path
from typing import Any

from covidnet.commands.options import agreed, say_disk, words_of
from covidnet.errors import UserError
from covidnet.files.home import at_home

ACTIONS = ("ls", "clean")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    text = "ls, which is meant where nothing is said, or clean; then the folder (default: as data.cache_dir has it)"
    parser.add_argument("words", nargs="*", metavar="[ls|clean] [FOLDER]", help=text)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--older", type=float, metavar="DAYS", help="of clean: what was not used for so many days")
    which.add_argument("--all", action="store_true", help="of clean: all that no process is using")
    parser.add_argument("--yes", action="store_true", help="of clean: do not ask")


def run(options: argparse.Namespace) -> None:
    """List the folder, or clean it."""
    action, given = words_of(options.words, ACTIONS)
    if action == "clean" and options.older is None and not options.all:
        raise UserError("cache clean removes what? Give --older DAYS, such as --older 30, or --all.")
    if options.older is not None and not options.older >= 0:
        raise UserError(f"--older {options.older:g} must be a number of days, 0 or more.")
    from covidnet.files.folders import default_cache_dir

    cache = at_home(given) if given else default_cache_dir()
    if given and not cache.is_dir():
        raise UserError(f"{cache} is no folder. Give that of data.cache_dir, or none for the user's own.")
    from covidnet.data.cache_shelf import busy, shelves

    found, used = shelves(cache), busy(cache)
    if action == "clean":
        _clean(found, used, cache, options)
        return
    _show(found, used, cache)


def _show(found: list[Any], used: set[Path], cache: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(str(cache)), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("last use", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("of", overflow="fold")
    for shelf in found:
        when = "now" if shelf.folder in used else f"{shelf.used:%Y-%m-%d}"
        table.add_row(f"{shelf.size / 1e6:,.1f}", when, shelf.kind, escape(shelf.what))
    if found:
        Console().print(table)
    print(f"{sum(shelf.size for shelf in found) / 1e6:,.1f} MB in all. Whatever goes is made again when it is needed.")


def _clean(found: list[Any], used: set[Path], cache: Path, options: argparse.Namespace) -> None:
    from covidnet.data.cache_shelf import older_than, remove

    chosen = found if options.all else older_than(found, options.older)
    going = [shelf for shelf in chosen if shelf.folder not in used]
    say_disk([(shelf.kind, shelf.size, shelf.what) for shelf in going], f"Nothing in {cache} is to go.")
    if len(going) < len(chosen):
        print(f"{len(chosen) - len(going)} that a process is using stay.")
    if going and agreed("Remove this? It is made again when it is needed.", yes=options.yes):
        freed = sum(shelf.size for shelf in going if remove(shelf))
        print(f"{freed / 1e6:,.1f} MB are free again.")
