"""A run directory -> an object store, and back on another machine.

A run is written to a local folder as always, ``runs/s3/bucket/...`` for ``s3://bucket/...``. What has changed is sent
after each epoch, ``last.ckpt`` after all that it needs and ``results.json`` at the very end: whatever moment the
machine dies at, the store holds a run that can go on. ``.store.json`` in the run directory knows what was sent.
"""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from covidnet.errors import UserError
from covidnet.files.folders import locked
from covidnet.files.mirror import mirror_file
from covidnet.files.reading import read_json
from covidnet.files.store import ATTEMPTS, Store, Stored, check_url, is_url, location
from covidnet.files.whole import UNFINISHED
from covidnet.machine.parallel import progress_bar
from covidnet.machine.telling import tell
from covidnet.runs.files import CONFIG, LAST, RESULTS, write_results
from covidnet.runs.find import version_number

KEY = "trainer.default_root_dir"
RECORD = ".store.json"
CLAIM = "claimed"  # in the store alone: it holds a run's number from before the run has any file


class RunStore:
    """A folder of runs in a store, with the local folder that they are written to.

    Args:
        url: Of the folder that holds one folder a model.
        key: The setting that gave it, for messages.
    """

    def __init__(self, url: str, key: str = KEY) -> None:
        self.store = Store(url, key)
        self.folder = local_runs(url)

    def claim(self, model: str) -> int:
        """Take the next number that no run of the model has, neither in the store nor here; return it."""
        taken = {PurePosixPath(one.path).parts[1] for one in self.store.files(model)}
        taken |= {path.name for path in (self.folder / model).glob("version_*")}
        number = max(map(version_number, taken), default=-1) + 1
        while not self.store.create(f"{model}/version_{number}/{CLAIM}", b"\n"):
            number += 1  # taken at the same moment by another machine
        return number

    def release(self, run: Path) -> None:
        """Give back the number of a run that has written nothing; out of reach, it stays taken."""
        with suppress(UserError):
            self.store.remove(f"{self._name(run)}/{CLAIM}")

    def fetch(self, name: str) -> Path:
        """Return the local directory of the run ``model/version_N``, with what it lacked of the files in the store.

        A file here is newer than the store's, or the same, while the store's is the one last sent from here; else
        another machine has gone on with the run, and the store's counts.
        """
        run = self.folder / name
        run.parent.mkdir(parents=True, exist_ok=True)
        with locked(run.with_name(f".{run.name}.lock")):  # several processes may ask at once
            known = _read_record(run)["files"]
            lacking = [one for one in self._files_of(name) if not _is_here(run, one, known)]
            size = sum(one.size for one in lacking)
            title = f"fetching {len(lacking)} files of {self.store.url}/{name}"
            with progress_bar(size, title, unit="B", hidden=not size) as bar:
                for one in sorted(lacking, key=lambda one: _turn(one.path)):
                    there = f"{name}/{one.path}"
                    self.store.get(Stored(there, one.size, one.version), run / one.path)
                    known[one.path] = {**_state(run / one.path), "version": one.version}
                    self._write_record(run, name, known)
                    bar.update(one.size)
        return run

    def fetch_newest(self, model: str) -> None:
        """Fetch the run that ``ckpt_path=last`` and ``auto`` mean: of those with a last.ckpt, the highest number."""
        paths = [PurePosixPath(one.path) for one in self.store.files(model)]
        runs = [path.parts[1] for path in paths if path.match(f"{model}/version_*/checkpoints/{LAST}")]
        newest = max(map(version_number, runs), default=-1)
        if newest >= 0:
            self.fetch(f"{model}/version_{newest}")

    def send(self, run: Path, attempts: int = ATTEMPTS) -> str:
        """Send what has changed in a run directory since it was last sent, remove what is gone; return its URL.

        Raises:
            UserError: Where the store cannot be reached. What was sent stays, and the next call goes on there.
        """
        self.store.attempts = attempts
        name, known = self._name(run), _read_record(run)["files"]
        files = sorted(_files(run), key=_turn)
        for path in files:
            state = _state(run / path)  # of before it is sent: what changes meanwhile is sent again
            if not state.items() <= known.get(path, {}).items():
                known[path] = {**state, "version": self.store.put(run / path, f"{name}/{path}").version}
                self._write_record(run, name, known)
        for path in sorted(known.keys() - set(files)):
            self.store.remove(f"{name}/{path}")
            del known[path]
            self._write_record(run, name, known)
        return f"{self.store.url}/{name}"

    def send_at_end(self, run: Path) -> None:
        """Send the rest of a run that has ended.

        Raises:
            UserError: Where that fails; with the command that sends it later.
        """
        try:
            self.send(run)
        except UserError as error:
            send = f"covidnet send {shlex.quote(str(run))}"
            raise UserError(f"{error} The run lies whole in {run}; to send the rest: {send}") from error

    def _files_of(self, name: str) -> list[Stored]:
        """Return the files of a run, by their paths below its directory, without what no run would send."""
        all_files = [(one.path.removeprefix(f"{name}/"), one) for one in self.store.files(name)]
        return [
            Stored(path, one.size, one.version)
            for path, one in all_files
            if path != CLAIM and _belongs(PurePosixPath(path))
        ]

    def _name(self, run: Path) -> str:
        """Return ``model/version_N``."""
        try:
            return run.absolute().relative_to(self.folder.absolute()).as_posix()
        except ValueError:  # the command was started in another folder than the run
            return str(_read_record(run)["name"])

    def _write_record(self, run: Path, name: str, known: Mapping[str, Any]) -> None:
        write_results(run / RECORD, {"runs": self.store.url, "name": name, "files": known})


def local_runs(url: str) -> Path:
    """Return the local folder for the runs of a store: ``runs/s3/bucket/...``.

    It is relative, so that a checkpoint names its best one alike on every machine.
    """
    return Path("runs", *location(url))


def run_store(given: str | None) -> RunStore | None:
    """Return the store that ``trainer.default_root_dir`` names, if it names one; say where its runs lie here."""
    if not given or not is_url(given):
        return None
    runs = RunStore(given)
    tell(f"Runs are written to {runs.folder} and sent to {given} after each epoch.")
    return runs


def refuse_store(runs: RunStore | None, command: str) -> None:
    """Refuse a store for the runs of a command that makes many.

    Raises:
        UserError: Where one was asked for.
    """
    if runs:
        raise UserError(
            f"{command} keeps its runs on this machine: give {KEY}=FOLDER. Only run and fit write to a store."
        )


def store_of(run: Path) -> RunStore | None:
    """Return the store that a run directory came from or was sent to, if any."""
    url = _read_record(run)["runs"]
    return RunStore(url, str(run)) if url else None


def store_to_go_on(run: Path | None, runs: RunStore | None) -> RunStore | None:
    """Return the store of a run that is gone on in ``run``: its own; ``runs`` where a checkpoint begins a new one.

    Raises:
        UserError: Where ``runs`` was asked for, and the run belongs to no store.
    """
    own = store_of(run) if run else runs
    if runs and own is None:
        raise UserError(
            f"{KEY}={runs.store.url} does not go with this checkpoint: its run goes on in {run}, which belongs to no "
            f"store. Leave {KEY} out, or give the checkpoint's own URL."
        )
    return own


def bring_checkpoint(given: str, model: str, runs: RunStore | None) -> str:
    """Fetch what ``ckpt_path=given`` means, where that is in a store; return what it means here.

    With a checkpoint comes the directory of its run.
    """
    if is_url(given):
        check_url(given, "ckpt_path")
        base, *name = given.rsplit("/", 4)  # base/model/version/checkpoints/file
        home = RunStore(base, "ckpt_path") if len(name) == 4 and is_url(base) else None
        run, file = "/".join(name[:2]), "/".join(name[2:])
        if home and home.store.file(f"{run}/{CONFIG}"):
            return str(home.fetch(run) / file)
        return str(mirror_file(given, None, "ckpt_path"))
    if runs and given in ("last", "auto"):
        runs.fetch_newest(model)
    return given


def send_run(run: Path) -> str:
    """Send what is not yet in the store of a run directory; return its URL.

    Raises:
        UserError: Where the run belongs to no store, or that cannot be reached.
    """
    if not run.exists():
        raise UserError(f"{run} does not exist. Give the directory of a run of {KEY}=s3://BUCKET/FOLDER.")
    runs = store_of(run)
    if runs is None:
        raise UserError(f"{run} holds no {RECORD} that names a store: it is no run of {KEY}=s3://BUCKET/FOLDER.")
    return runs.send(run)


def _files(run: Path) -> list[str]:
    """Return the finished files of a run directory, POSIX and relative."""
    found = [path.relative_to(run) for path in run.rglob("*") if path.is_file()]
    return [path.as_posix() for path in found if _belongs(path)]


def _belongs(path: PurePath) -> bool:
    """Tell the files of a run from half-written ones and from what is this machine's own."""
    return path.suffix not in (UNFINISHED, ".lock") and not any(part.startswith(".") for part in path.parts)


def _turn(path: str) -> tuple[int, str]:
    """Return the order of transfer: checkpoints after what they need, last.ckpt after them, results at the end."""
    name = PurePosixPath(path).name
    return {LAST: 2, RESULTS: 3}.get(name, int(name.endswith(".ckpt"))), path


def _state(file: Path) -> dict[str, int]:
    status = file.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_here(run: Path, stored: Stored, known: Mapping[str, Any]) -> bool:
    return known.get(stored.path, {}).get("version") == stored.version and (run / stored.path).is_file()


def _read_record(run: Path) -> dict[str, Any]:
    """Return what is known of a run in a store; nothing where its record is missing or damaged: all is sent anew."""
    try:
        record = read_json(run / RECORD)
        return {"runs": str(record["runs"]), "name": str(record["name"]), "files": dict(record["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"runs": "", "name": run.name, "files": {}}
