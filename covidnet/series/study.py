"""A study that several processes share: who does which trial, what is left, and what a killed process left undone."""

import hashlib
import json
import math
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from covidnet.errors import UserError
from covidnet.series.space import Space, combination, plain_space, space_size

DATABASE, LOCK, TRIAL_LOCK = "search.db", "search.lock", ".lock"
LOCAL = "search"  # the study's name in a database of its own
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
PATIENCE = 60  # seconds for which SQLite waits for another process to finish writing
BEAT, STILL = 20.0, 180.0  # seconds: how often a trial on another machine tells that it lives, and when it is dead
STARTUP, WARMUP = 5, 3  # no trial is pruned before so many are whole, and none in its first validations
Parameters = dict[str, Any]


class SharedStudy:
    """An Optuna study in a directory, and the rules by which processes share its trials.

    A trial is taken under a lock, so that all processes together do as many as were asked for. Its directory is locked
    while its process lives, and the system releases that lock however the process ends: an unfinished trial whose lock
    is free is dead. A trial of another machine lives while its pulse beats. The parameters of a dead trial, and of one
    that was given up, are the first to be taken again: they are those of failed trials that no other trial has.

    Args:
        folder: The search's directory on this machine.
        url: SQLAlchemy's URL of a database that machines share, or redis://...; SQLite in the folder where left out.
        name: The study's name in a shared database.
        space: What is tried.
        mode: "min" or "max": which values of the trials are better.
        seed: Seed of the proposals.
        prune: End trials early that do worse than the median at the same epoch.
    """

    def __init__(
        self, folder: Path, url: str | None, name: str, space: Space, mode: str, *, seed: int, prune: bool
    ) -> None:
        self.folder, self.space, self.seed = folder, space, seed
        # Several searches may share a database, and several machines a search.
        self.place = hashlib.sha256(f"{socket.gethostname()}:{folder.absolute()}".encode()).hexdigest()[:16]
        self.shared = url is not None
        self.lock = FileLock(folder / LOCK)
        self._locks: dict[int, FileLock] = {}
        self._pulses: dict[int, _Pulse] = {}
        self._seen: dict[int, tuple[Any, float]] = {}  # trial -> its pulse and since when it has not changed
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.MedianPruner(STARTUP, WARMUP) if prune else optuna.pruners.NopPruner()
        with self.lock:  # two processes that make the tables at once would get in each other's way
            self.storage = _open_storage(url, folder)
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=name if self.shared else LOCAL,
                direction="minimize" if mode == "min" else "maximize",
                pruner=pruner,
                load_if_exists=True,
            )
            self._check_space(name)

    def close(self) -> None:
        """Let go of the database."""
        if isinstance(self.storage, RDBStorage):
            self.storage.remove_session()
            self.storage.engine.dispose()

    def claim(self, wanted: int) -> optuna.Trial | None:
        """Return a trial to do, its parameters set; None where all of ``wanted`` are finished or being done."""
        with self.lock:
            while True:
                self._bury_dead()
                trials = self._trials()
                done = _distinct(trials, *FINISHED)
                taken = done | _distinct(trials, TrialState.RUNNING)
                if len(taken) >= wanted:
                    return None
                failed = (trial.params for trial in trials if trial.state == TrialState.FAIL)
                lacking = [params for params in failed if set(params) == set(self.space) and _key(params) not in taken]
                if lacking:
                    self.study.enqueue_trial(lacking[0])
                trial = self._ask(trials)
                others = [other for other in self._trials() if other.number < trial.number]
                taken = _distinct(others, *FINISHED, TrialState.RUNNING)
                if _key(trial.params) in taken:
                    self.study.tell(trial, state=TrialState.FAIL)
                    self._enqueue_another(taken, trial.number)
                elif len(taken) >= wanted:  # another machine was faster
                    self.study.tell(trial, state=TrialState.FAIL)
                    return None
                else:
                    return self._begin(trial)

    def finish(self, trial: optuna.Trial, value: float | None, facts: Mapping[str, Any]) -> None:
        """Keep what a trial has found: a value, or None where it was ended early."""
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        self.study.tell(trial, value, state=state, skip_if_finished=True)
        self._release(trial.number)
        with self.lock:
            self._remove_checkpoints()

    def give_up(self, trial: optuna.Trial) -> None:
        """Leave a trial that was interrupted to whoever goes on."""
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        self._release(trial.number)
        shutil.rmtree(self.directory(trial.number), ignore_errors=True)

    def directory(self, number: int) -> Path:
        """Return the directory of a trial, on the machine that did it."""
        return self.folder / f"trial_{number}"

    def finished(self) -> list[FrozenTrial]:
        """Return the finished trials, best first; those that were ended early last, by their own best value."""
        unique: dict[str, FrozenTrial] = {}
        for trial in self._trials():
            if trial.state in FINISHED:
                unique.setdefault(_key(trial.params), trial)
        sign = 1 if self.study.direction == optuna.study.StudyDirection.MINIMIZE else -1

        def rank(trial: FrozenTrial) -> tuple[bool, float, int]:
            value = best_value(trial, minimize=sign == 1)
            return trial.state != TrialState.COMPLETE, math.inf if value is None else sign * value, trial.number

        return sorted(unique.values(), key=rank)

    def under_way(self) -> int:
        """Return how many trials are being done, here or elsewhere."""
        return sum(trial.state == TrialState.RUNNING for trial in self._trials())

    def importance(self) -> dict[str, float]:
        """Return which share of the values' variance each key explains (fANOVA); empty where that cannot be told."""
        whole = [trial for trial in self._trials() if trial.state == TrialState.COMPLETE]
        if len(whole) < 2 * STARTUP or len({trial.value for trial in whole}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        return dict(optuna.importance.get_param_importances(self.study, evaluator=evaluator))

    def _check_space(self, name: str) -> None:
        known, own = self.study.user_attrs.get("space"), plain_space(self.space)
        if known is None:
            self.study.set_user_attr("space", own)
        elif known != json.loads(json.dumps(own)):
            raise UserError(
                f"The search {name} in this storage has another space: {known}. Give another name=, or that space."
            )

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _ask(self, trials: Sequence[FrozenTrial]) -> optuna.Trial:
        """Return a new trial, or one that waits, with its parameters.

        The proposals have a seed of their own for each trial, and on shared storage for each place: two processes that
        begin at the same moment must not propose the same.
        """
        seeds = [self.seed, len(trials), *([int(self.place, 16)] if self.shared else [])]
        seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
        self.study.sampler = optuna.samplers.TPESampler(seed=seed)
        return self.study.ask(self.space)

    def _enqueue_another(self, taken: set[str], number: int) -> None:
        """Have a combination done next that is not taken, of a space that has few; of others, proposals soon differ."""
        size = space_size(self.space)
        if size is None:
            return
        rng = np.random.default_rng([self.seed, number])
        while True:
            params = combination(self.space, int(rng.integers(size)))
            if _key(params) not in taken:
                self.study.enqueue_trial(params)
                return

    def _begin(self, trial: optuna.Trial) -> optuna.Trial:
        folder = self.directory(trial.number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        lock = FileLock(folder / TRIAL_LOCK)
        lock.acquire()
        self._locks[trial.number] = lock
        trial.set_user_attr("place", self.place)
        if self.shared:
            self._pulses[trial.number] = _Pulse(trial)
        return trial

    def _release(self, number: int) -> None:
        if number in self._pulses:
            self._pulses.pop(number).stop()
        lock = self._locks.pop(number)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)

    def _bury_dead(self) -> None:
        """Fail the unfinished trials whose process has died, so that their parameters are taken again."""
        for trial in self._trials():
            if trial.state == TrialState.RUNNING and not self._alive(trial):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                shutil.rmtree(self.directory(trial.number), ignore_errors=True)

    def _alive(self, trial: FrozenTrial) -> bool:
        if trial.number in self._locks:
            return True
        if self.shared and trial.user_attrs.get("place") != self.place:
            # The clocks of two machines may differ, so what counts is how long this process has seen no beat.
            pulse, now = trial.user_attrs.get("pulse"), time.monotonic()
            last, since = self._seen.get(trial.number, (None, now))
            self._seen[trial.number] = (pulse, since if pulse == last else now)
            return now - self._seen[trial.number][1] < STILL
        lock = FileLock(self.directory(trial.number) / TRIAL_LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # it died before it had a directory
            return False
        lock.release()
        return False

    def _remove_checkpoints(self) -> None:
        """Keep the checkpoints of the best trial alone."""
        for trial in self.finished()[1:]:
            shutil.rmtree(self.directory(trial.number) / "checkpoints", ignore_errors=True)


class _Pulse:
    """Tells other machines every few seconds that a trial is alive."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(trial,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait for its last beat."""
        self._over.set()
        self._thread.join()

    def _beat(self, trial: optuna.Trial) -> None:
        beats = 0
        while not self._over.wait(BEAT):
            beats += 1
            try:
                trial.set_user_attr("pulse", beats)
            except Exception:  # the database may be away for a while; a trial that others took over is finished
                continue


def best_value(trial: FrozenTrial, *, minimize: bool) -> float | None:
    """Return the best of what a trial has reported, None where it has reported nothing finite."""
    values = [value for value in trial.intermediate_values.values() if math.isfinite(value)]
    if trial.value is not None and math.isfinite(trial.value) and trial.state == TrialState.COMPLETE:
        values = [trial.value]
    return (min(values) if minimize else max(values)) if values else None


def without_password(url: str) -> str:
    """Return a storage's URL as it may be told and written.

    Raises:
        UserError: Where it is no URL.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError as error:
        raise UserError(
            "storage must be a URL, such as sqlite:///search.db, postgresql://user@host/name, mysql+pymysql://user@host/"
            "name or redis://host:6379."
        ) from error


def _open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Return the storage of a URL, or SQLite in ``folder``.

    SQLite, not Optuna's journal file: SQLite rolls a half-written change back, and the system releases its locks when a
    process is killed. A half-written line of the journal stays, the next one is appended to it, and no process can read
    the file again; its lock outlives its process for half a minute.
    """
    if url is None:
        file = os.fspath(folder / DATABASE)

        def connect() -> sqlite3.Connection:  # a folder's name need not fit into a URL
            return sqlite3.connect(file, timeout=PATIENCE, check_same_thread=False)

        return RDBStorage(f"sqlite:///{DATABASE}", engine_kwargs={"creator": connect})
    told = without_password(url)
    try:
        if url.startswith("redis"):
            from optuna.storages.journal import JournalRedisBackend

            return optuna.storages.JournalStorage(JournalRedisBackend(url))
        waiting = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {"pool_pre_ping": True}
        return RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=waiting)
    except ImportError as error:
        raise UserError(f"storage={told} needs a driver that is not installed ({error}): pip install it.") from error
    # Each driver raises its own for a host that does not answer, a wrong password, a missing database.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"storage={told} cannot be used ({type(error).__name__}): {reason.replace(url, told)}"
        ) from error


def _distinct(trials: Sequence[FrozenTrial], *states: TrialState) -> set[str]:
    return {_key(trial.params) for trial in trials if trial.state in states}


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
