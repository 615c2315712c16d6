"""Many files: one bad one never stops the rest."""

from __future__ import annotations

import threading
import time
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import make_runs

from nccli import batch
from nccli.batch import Engine, each
from nccli.compare import claims, compare, t_interval, trajectory
from nccli.errors import InputError, NotFoundError
from nccli.observe import observe, observe_run


def test_errors_stand_in_their_place():
    def function(path):
        if path.name == "huge":
            raise MemoryError
        if path.name == "bad":
            raise InputError("wrong", source=path)
        return [path.name]

    inputs = [Path("a"), NotFoundError("gone"), Path("huge"), Path("bad"), Path("b")]
    found = list(each(inputs, function))
    assert [str(item) for (item,) in found] == [
        "a",
        "gone",
        "huge: does not fit into memory; use a larger machine",
        "bad: wrong",
        "b",
    ]


PATHS = [Path(f"{number:03}") for number in range(100)]


def threads(workers=4, pool=ThreadPoolExecutor):
    return Engine(open=pool, workers=workers)


def name_after_a_while(path):
    time.sleep(0.002 * (7 - int(path.name) % 8))  # the later of eight are ready first
    return [path.name]


def test_answers_come_in_the_order_of_the_inputs_whoever_is_ready_first():
    found = list(each(PATHS, name_after_a_while, engine=threads()))
    assert found == [[path.name] for path in PATHS]


def test_what_is_known_already_keeps_its_place():
    inputs = [["known"], Path("1"), NotFoundError("gone"), Path("2"), ["known too"]]
    for engine in (None, threads()):
        found = [str(item) for (item,) in each(inputs, name_after_a_while, engine=engine)]
        assert found == ["known", "1", "gone", "2", "known too"]


@pytest.mark.parametrize("slow", ["000", "050"])
def test_ten_thousand_files_are_given_out_a_few_at_a_time(slow):
    taken, done, widest = 0, 0, 0
    held = threading.Event()

    def inputs():
        nonlocal taken, widest
        for number in range(10_000):
            taken += 1
            widest = max(widest, taken - done)
            yield Path(f"{number:03}")

    def work(path):
        nonlocal done
        if path.name == slow:
            held.wait(0.2)
        done += 1
        return [path.name]

    answers = each(inputs(), work, engine=threads())
    assert next(answers) == ["000"]
    assert taken <= batch.AHEAD + 1
    assert sum(1 for _ in answers) == 9_999
    assert widest <= threads().in_flight + 1


class Forgetful(ThreadPoolExecutor):
    """An executor whose workers die of some files: always of `bad`, of `once` the first time."""

    seen: list[str]

    def submit(self, function, path, *rest):
        self.seen.append(path.name)
        dies = path.name == "bad" or (path.name == "once" and self.seen.count("once") == 1)
        if not dies:
            return super().submit(function, path, *rest)
        future = Future()
        future.set_exception(BrokenExecutor("killed"))
        return future


def test_a_file_that_its_worker_dies_of_is_tried_once_more_alone(monkeypatch):
    monkeypatch.setattr(Forgetful, "seen", [], raising=False)
    opened = []

    def opening(workers):
        opened.append(workers)
        return Forgetful(workers)

    inputs = [Path("a"), Path("once"), Path("b"), Path("bad"), Path("c")]
    engine = Engine(open=opening, workers=2)
    found = [str(item) for (item,) in each(inputs, lambda path: [path.name], engine=engine)]
    assert found[:3] + found[4:] == ["a", "once", "b", "c"]
    assert found[3] == (
        "bad: the worker process died while reading it (out of memory?); "
        "leave it out, or use a machine with more memory"
    )
    assert sorted(Forgetful.seen) == ["a", "b", "bad", "bad", "c", "once", "once"]
    assert opened.count(1) == 2


def test_an_engine_that_was_not_asked_for_is_started_only_where_it_pays(monkeypatch, tmp_path):
    opened = []

    def opening(workers):
        opened.append(workers)
        return ThreadPoolExecutor(workers)

    def count(inputs):
        opened.clear()
        engine = Engine(open=opening, workers=2)
        found = list(each(inputs, lambda path: [path.name], engine=engine, unasked=True))
        assert found == [[path.name] for path in inputs]
        return len(opened)

    assert count(PATHS) == 0  # done within the first second
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(batch.LARGE_BYTES)
    assert count([large, *PATHS]) == 1
    assert count([large, *PATHS[: batch.FEW - 2]]) == 0  # too few
    monkeypatch.setattr(batch, "QUICK_SECONDS", -1.0)
    assert count(PATHS) == 1


def test_an_observation_holds_what_every_command_computes(run_folder):
    found = observe(run_folder / "toy-ls0.1-s0/checkpoints/epoch-00010.h5")
    assert found.epoch == 10
    assert found.train.split == "train"
    assert found.test.split == "test"
    assert found.calibration.split == "test"
    assert found.hessian.kappa_means_w > 1
    assert found.value("calibration.calibrated.ece") == found.calibration.calibrated.ece
    assert found.value("train.nothing") is None


def test_a_run_is_observed_around_its_bad_checkpoints(run_folder):
    (run_folder / "toy-ce-s0/checkpoints/epoch-00010.h5").write_bytes(b"x")
    run, problems = observe_run(run_folder / "toy-ce-s0")
    assert [one.epoch for one in run.observations] == [1, 100]
    assert len(problems) == 1
    assert run.group == "CE"
    assert set(run.series("train.nc1")) == {1, 100}


def groups(folder):
    runs = [observe_run(path)[0] for path in sorted(folder.iterdir())]
    baseline = [run for run in runs if run.group == "CE"]
    return baseline, [run for run in runs if run.group != "CE"]


def test_a_comparison_pairs_by_seed_and_names_the_winner_only_with_an_interval(tmp_path):
    baseline, other = groups(make_runs(tmp_path / "three", seeds=(0, 1, 2)))
    rows = {row.key: row for row in compare(baseline, other)}
    nc1 = rows["train.nc1"]
    assert nc1.pairs == 3
    assert nc1.low < nc1.ratio < nc1.high < 1
    assert nc1.winner == "LS 0.1"
    single = compare(*groups(make_runs(tmp_path / "one")))
    assert all(row.winner is None for row in single)


def test_a_difference_of_zero_is_undecided_and_a_swap_turns_the_verdict(tmp_path):
    baseline, other = groups(make_runs(tmp_path, seeds=(0, 1, 2)))
    verdicts = {claim.statement: claim.verdict for claim in claims(baseline, other)}
    swapped = {claim.statement: claim.verdict for claim in claims(other, baseline)}
    stronger = "LS collapses more strongly: smaller NC1"
    assert verdicts[stronger] == "supported"
    assert swapped[stronger] == "not supported"
    itself = {claim.statement: claim.verdict for claim in claims(baseline, baseline)}
    assert itself.pop("LS collapses faster: smaller NC1 on the way") == "not supported"
    assert set(itself.values()) == {"undecided"}


def test_the_interval_is_students():
    from scipy import stats

    values = [0.1, 0.5, 0.2, 0.9]
    expected = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    assert t_interval([1.0]) == (None, None)


def test_a_trajectory_without_reports_has_no_loss():
    empty = trajectory("nothing", [])
    assert empty.seed is None
    assert empty.observations == ()
