"""Processes that share a study do each trial once, and what a dead one left undone is done again."""

import time
from types import SimpleNamespace

import pytest
from filelock import FileLock
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from covidnet.errors import UserError
from covidnet.series import study as shared
from covidnet.series.study import SharedStudy, best_value, without_password

SPACE = {"model.dropout": FloatDistribution(0.0, 0.6)}


@pytest.fixture
def join(tmp_path):
    """Open the study once more, as another process does; all are closed in the end."""
    joined = []

    def open_study(
        space=SPACE, folder: str = "search_0", url: str | None = None, prune: bool = True, mode: str = "min"
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        study = SharedStudy(tmp_path / folder, url, "ours", space, mode, seed=28, prune=prune)
        joined.append(study)
        return study

    yield open_study
    for study in joined:
        for pulse in study._pulses.values():
            pulse.stop()
        study.close()


def die(study: SharedStudy) -> None:
    """Release what the system releases when a process is killed."""
    for lock in study._locks.values():
        lock.release()
    study._locks.clear()


def states(study: SharedStudy) -> list[TrialState]:
    return [trial.state for trial in study.study.get_trials()]


def test_two_processes_do_as_many_distinct_trials_as_were_asked_for(join):
    one, other = join(), join()
    for _ in range(3):
        trials = [(one, one.claim(6)), (other, other.claim(6))]
        for study, trial in trials:
            study.finish(trial, trial.params["model.dropout"], {})
    assert one.claim(6) is None
    assert other.claim(6) is None
    values = [trial.value for trial in other.finished()]
    assert len(set(values)) == 6
    assert values == sorted(values)


def test_no_process_takes_more_than_are_left(join):
    one, other = join(), join()
    trial = one.claim(1)
    assert other.claim(1) is None
    assert other.under_way() == 1
    one.finish(trial, 0.5, {})
    assert other.claim(1) is None
    assert other.claim(2) is not None


def test_a_space_of_few_combinations_is_done_without_repeating_one(join):
    space = {f"model.{name}": CategoricalDistribution([1, 2, 3]) for name in ("a", "b")}
    one, other = join(space), join(space)
    for study in [one, other] * 4 + [one]:
        trial = study.claim(9)
        study.finish(trial, 1.0, {})
    assert one.claim(9) is None
    assert len({tuple(sorted(trial.params.items())) for trial in one.finished()}) == 9


def test_a_dead_process_leaves_its_parameters_to_the_next(join):
    one, other = join(), join()
    lost = one.claim(4)
    kept = other.claim(4)
    (one.directory(lost.number) / "half").touch()
    die(one)
    again = other.claim(4)
    assert again.params == lost.params
    assert again.params != kept.params
    assert states(other) == [TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]
    assert not other.directory(lost.number).exists()
    assert other.claim(4).params not in (lost.params, kept.params)


def test_parameters_that_were_given_up_are_taken_once_again(join):
    one, other = join(), join()
    given_up = one.claim(3)
    one.give_up(given_up)
    again = other.claim(3)
    assert again.params == given_up.params
    other.finish(again, 1.0, {})
    assert one.claim(3).params != given_up.params


def test_a_process_that_died_while_it_took_parameters_again_neither_loses_nor_doubles_them(join):
    one, other = join(), join()
    given_up = one.claim(3)
    one.give_up(given_up)
    one.study.enqueue_trial(given_up.params)  # killed here, before it took them
    again = [other.claim(3) for _ in range(3)]
    assert [trial.params == given_up.params for trial in again] == [True, False, False]
    assert other.claim(3) is None


def test_a_process_that_died_before_it_drew_parameters_leaves_nothing(join):
    one, other = join(), join()
    one.study.ask()  # killed here
    other.finish(other.claim(1), 1.0, {})
    assert states(other) == [TrialState.FAIL, TrialState.COMPLETE]


def test_another_machine_is_dead_when_its_pulse_stands_still(join, tmp_path, monkeypatch):
    url, clock = f"sqlite:///{tmp_path / 'shared.db'}", [0.0]
    here, there = join(url=url), join(folder="elsewhere", url=url)
    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    lost = there.claim(1)
    die(there)  # its lock is on another machine, where nobody sees it
    for beat in range(3):
        lost.set_user_attr("pulse", beat)
        assert here.claim(1) is None  # alive, however long it has been
        clock[0] += shared.STILL
    again = here.claim(1)
    assert again.params == lost.params
    there._locks[lost.number] = FileLock(there.directory(lost.number) / ".lock")
    there.finish(lost, 0.0, {})  # it lived after all: what comes so late does not count
    assert states(here) == [TrialState.FAIL, TrialState.RUNNING]


def test_a_trial_tells_that_it_is_alive(join, tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "BEAT", 0.01)
    study = join(url=f"sqlite:///{tmp_path / 'shared.db'}")
    trial = study.claim(1)
    deadline = time.monotonic() + 10
    while not study.study.get_trials()[0].user_attrs.get("pulse") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert study.study.get_trials()[0].user_attrs["pulse"]
    study.finish(trial, 1.0, {})


def test_a_trial_worse_than_the_median_is_pruned_after_a_while(join):
    study = join()
    for _ in range(shared.STARTUP):
        trial = study.claim(9)
        for step in range(shared.WARMUP + 1):
            trial.report(0.5, step)
        study.finish(trial, 0.5, {})
    trial, spared = study.claim(9), join(prune=False).claim(9)
    pruned = []
    for step in range(shared.WARMUP + 1):
        trial.report(0.9, step)
        spared.report(0.9, step)
        pruned.append(trial.should_prune())
    assert pruned == [False] * shared.WARMUP + [True]
    assert not spared.should_prune()
    study.finish(trial, None, {"ended": "worse"})
    assert study.finished()[-1].number == trial.number


def test_only_the_best_trial_keeps_its_checkpoints(join):
    study = join()
    for value in (0.5, 0.3, 0.4):
        trial = study.claim(3)
        (study.directory(trial.number) / "checkpoints").mkdir()
        study.finish(trial, value, {})
    assert [folder.parent.name for folder in study.folder.rglob("checkpoints")] == ["trial_1"]


def test_where_more_is_better_the_greatest_value_is_the_best(join):
    study = join(mode="max")
    for value in (0.5, 0.9, None):
        trial = study.claim(3)
        trial.report(value or 1.0, 0)
        study.finish(trial, value, {})
    assert [trial.number for trial in study.finished()] == [1, 0, 2]  # the pruned one last, whatever it had
    assert best_value(study.finished()[-1], minimize=False) == 1.0


def test_what_matters_is_told_of_enough_whole_trials(join):
    space = {**SPACE, "model.weight_decay": FloatDistribution(0.0, 1.0)}
    study = join(space)
    for _ in range(2 * shared.STARTUP):
        assert study.importance() == {}
        trial = study.claim(20)
        study.finish(trial, trial.params["model.dropout"], {})
    importance = study.importance()
    assert importance["model.dropout"] > importance["model.weight_decay"]
    assert sum(importance.values()) == pytest.approx(1)


def test_another_space_under_the_same_name_is_refused(join, tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    join(url=url)
    with pytest.raises(UserError, match="ours in this storage has another space"):
        join({"model.dropout": FloatDistribution(0.0, 0.7)}, folder="elsewhere", url=url)


def test_a_folder_may_have_any_name(join):
    study = join(folder="a {b} c%20d?e#f é")
    study.finish(study.claim(1), 1.0, {})
    assert (study.folder / "search.db").is_file()


@pytest.mark.parametrize("url", ["postgresql://me:secret@127.0.0.1:1/x", "sqlite:////nowhere/at/all.db"])
def test_a_storage_that_cannot_be_used_is_told_without_its_password(url, join):
    with pytest.raises(UserError) as refused:
        join(url=url)
    assert "storage=" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_storage_must_be_a_url():
    with pytest.raises(UserError, match="storage must be a URL"):
        without_password("my database")
