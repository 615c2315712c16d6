"""Many files: one bad one never stops the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import make_runs

from nccli.batch import each
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
