"""Groups of runs at equal NC1: power laws with a known answer, detours, what is out of reach."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from conftest import make_runs
from golden_files import check_golden
from rich.console import Console
from scipy import stats

from nccli.calibration import CalibrationReport
from nccli.cli.app import run as command
from nccli.collapse_report import CollapseReport
from nccli.compare import claims, claims_at_equal_nc1
from nccli.errors import UsageError
from nccli.levels import first_reach, why_unreached
from nccli.matching import METRICS, ROWS, check_metric, matched, shared_levels, why_none_shared
from nccli.matching_table import matching_table
from nccli.trajectory import Observation, trajectory


def run(nc1, *, delta=0.0, seed=0, name="", ece=None, **laws):
    """A run with the given NC1 by epoch; laws: number -> (c, p), for number = c NC1^p."""
    observations = []
    for epoch, level in nc1.items():
        values = {key: c * level**p for key, (c, p) in laws.items()}
        loss = "label-smoothing" if delta else "cross-entropy"
        common = {"loss_name": loss, "label_smoothing": delta, "seed": seed}
        score = None if ece is None else CalibrationReport(**common, ece=ece(level))
        report = CollapseReport(**common, epoch=epoch, nc1=level, **values)
        observations.append(Observation(epoch=epoch, train=report, calibration=score))
    return trajectory(name or f"run-{delta:g}-s{seed}", observations)


def one(rows, key, level=None):
    (found,) = [row for row in rows if row.key == key and level in (None, row.level)]
    return found


CE_NC1 = {1: 1.0, 10: 0.3, 50: 0.05, 100: 0.02, 200: 0.004}
LS_NC1 = {1: 0.9, 7: 0.2, 30: 0.01, 200: 0.001}


# --- interpolation ------------------------------------------------------------------------------


def test_a_power_law_of_nc1_comes_out_exactly_between_the_saved_epochs():
    ce = run(CE_NC1, nc2_features=(2.0, 0.5), weight_norm=(3.0, -0.1))
    ls = run(LS_NC1, delta=0.1, nc2_features=(0.7, 0.8), weight_norm=(1.0, 0.0))
    rows = matched([ce], [ls], levels=[0.3, 0.123, 0.007])
    for level in (0.3, 0.123, 0.007):
        nc2, norm = (one(rows, f"train.{key}", level) for key in ("nc2_features", "weight_norm"))
        assert nc2.baseline_mean == pytest.approx(2.0 * level**0.5, rel=1e-12)
        assert nc2.other_mean == pytest.approx(0.7 * level**0.8, rel=1e-12)
        assert nc2.ratio == pytest.approx(0.35 * level**0.3, rel=1e-12)
        assert norm.difference == pytest.approx(1.0 - 3.0 * level**-0.1, rel=1e-12)


def test_accuracy_and_ece_are_linear_in_the_logarithm_of_nc1():
    ce = run({1: 1.0, 101: 0.01}, ece=lambda x: 0.1 + 0.02 * math.log(x))
    ls = run({1: 1.0, 3: 0.01}, delta=0.1, ece=lambda _: 0.05)
    row = one(matched([ce], [ls], levels=[0.1]), "calibration.ece")
    assert row.baseline_mean == pytest.approx(0.1 + 0.02 * math.log(0.1))
    assert row.other_mean == pytest.approx(0.05)


def test_the_epoch_of_a_level_lies_between_the_saved_ones_and_is_compared_as_well():
    ce, ls = run({1: 1.0, 101: 0.01}), run({1: 1.0, 3: 0.01}, delta=0.1)
    row = one(matched([ce], [ls], levels=[0.1]), "epoch")
    assert (row.baseline_mean, row.other_mean) == pytest.approx((51.0, 2.0))  # halfway in log NC1
    assert (row.baseline_epoch, row.other_epoch) == (row.baseline_mean, row.other_mean)


def test_a_level_at_a_saved_epoch_is_that_epochs_value_to_the_last_digit():
    ce = run({1: 0.7, 5: 0.3, 9: 0.1}, nc3=(0.123456789, 0.37))
    row = one(matched([ce], [run(LS_NC1, delta=0.1)], levels=[0.3]), "train.nc3")
    assert row.baseline_mean == ce.observations[1].train.nc3
    assert row.baseline_epoch == 5


def test_a_number_that_touches_zero_is_interpolated_without_its_logarithm():
    ls = run({1: 1.0, 3: 0.01}, delta=0.1, nc3=(0.0, 1.0))
    ce = run({1: 1.0, 3: 0.01}, nc3=(1.0, 0.5))
    row = one(matched([ce], [ls], levels=[0.1]), "train.nc3")
    assert row.other_mean == 0.0
    assert row.ratio is None
    assert row.difference == pytest.approx(-math.sqrt(0.1))


# --- the rule: the first time ------------------------------------------------------------------


def test_a_level_that_is_crossed_several_times_counts_the_first_time():
    detour = {1: 1.142, 10: 0.0284, 50: 0.0024, 100: 0.0349, 200: 0.00099}
    reach = first_reach(detour, 0.0025)
    assert (reach.before, reach.after) == (10, 50)
    deeper = first_reach(detour, 0.001)  # below the first dip: the step that ends there
    assert (deeper.before, deeper.after) == (100, 200)


def test_the_detour_itself_changes_nothing():
    law = {"nc2_features": (2.0, 0.5)}
    straight = run({1: 1.0, 10: 0.01, 200: 0.001}, delta=0.1, **law)
    bumpy = run({1: 1.0, 10: 0.01, 50: 0.5, 60: 0.02, 200: 0.001}, delta=0.1, **law)
    ce = run(CE_NC1, **law)
    for level in (0.5, 0.02, 0.01):
        rows = [one(matched([ce], [ls], levels=[level]), "epoch") for ls in (straight, bumpy)]
        assert rows[0].other_epoch == rows[1].other_epoch


def test_a_plateau_is_reached_where_it_begins():
    assert first_reach({1: 0.5, 2: 0.1, 3: 0.1, 4: 0.1}, 0.1).epoch == 2


def test_the_first_reach_is_that_of_a_literal_search():
    rng = np.random.default_rng(3)
    for _ in range(200):
        values = np.exp(rng.normal(size=8)).tolist()
        series = dict(enumerate(values, start=1))
        level = float(np.exp(rng.normal()))
        fine = np.linspace(1, 8, 7_001)
        path = np.exp(np.interp(fine, range(1, 9), np.log(values)))
        below = fine[path <= level]
        reach = first_reach(series, level)
        if values[0] < level or not len(below):
            assert reach is None
        else:
            assert reach.epoch == pytest.approx(below[0], abs=2e-3)


# --- what is out of reach ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nc1", "why"),
    [
        ({1: 1.0, 9: 0.2}, "NC1 gets down to 0.2 only"),
        ({3: 0.01, 9: 0.001}, "NC1 is 0.01 already at its first saved epoch, 3"),
        ({1: 1.0, 5: 0.5, 9: 0.0}, "NC1 gets down to 0.5 only before it is 0 at epoch 9"),
        ({1: 0.0}, "NC1 is positive at no saved epoch"),
    ],
)
def test_a_level_out_of_reach_is_undefined_and_says_why(nc1, why):
    ce, ls = run(nc1, name="short", nc3=(1.0, 1.0)), run(LS_NC1, delta=0.1, nc3=(1.0, 1.0))
    row = one(matched([ce], [ls], levels=[0.1]), "train.nc3")
    assert row.baseline_mean is None
    assert row.baseline_epoch is None
    assert row.difference is None
    assert (row.pairs, row.baseline_runs, row.other_runs) == (0, 0, 1)
    assert row.other_mean == pytest.approx(0.1)
    assert row.notes == (f"short: {why}",)


def test_the_shared_levels_run_from_the_latest_start_to_the_earliest_end():
    ce, ls = run(CE_NC1), run(LS_NC1, delta=0.1)
    levels = shared_levels([ce, ls])
    assert (levels[0], levels[-1]) == (0.9, 0.004)  # exactly: rounded, they would be out of reach
    assert np.diff(np.log(levels)) == pytest.approx(np.full(4, math.log(0.004 / 0.9) / 4))
    rows = matched([ce], [ls])
    assert list(dict.fromkeys(row.level for row in rows)) == list(levels)
    assert all(row.notes == () for row in rows if row.key == "epoch")


def test_runs_that_never_meet_share_no_level_and_say_which():
    ce = run({1: 1.0, 100: 0.5}, name="slow")
    ls = run({1: 0.1, 100: 0.01}, delta=0.1, name="fast")
    assert shared_levels([ce, ls]) == ()
    assert matched([ce], [ls]) == []
    assert why_none_shared([ce, ls]) == (
        "slow gets down to 0.5 only, fast is at 0.1 at its first saved epoch"
    )
    assert "positive at no" in why_none_shared([ce, run({}, name="empty")])
    assert claims_at_equal_nc1([])[0].verdict == "undecided"


def test_runs_that_meet_in_one_point_are_compared_there():
    ce, ls = run({1: 1.0, 100: 0.1}), run({1: 0.1, 9: 0.01}, delta=0.1)
    assert shared_levels([ce, ls]) == (0.1,)
    row = one(matched([ce], [ls]), "epoch")
    assert (row.baseline_mean, row.other_mean) == (100, 1)


def test_a_missing_calibration_leaves_the_other_rows_and_names_the_epochs():
    ce = run(CE_NC1, name="bare", nc3=(1.0, 1.0))
    ls = run(LS_NC1, delta=0.1, nc3=(1.0, 1.0), ece=lambda x: x)
    rows = matched([ce], [ls], levels=[0.1])
    assert one(rows, "train.nc3").ratio == pytest.approx(1.0)
    ece = one(rows, "calibration.ece")
    assert ece.baseline_mean is None
    assert ece.other_mean is not None
    assert ece.notes == ("bare: ECE test is not known at epoch 10 and 50",)


def test_two_runs_of_one_name_are_two_runs():
    ce = [run(CE_NC1, seed=0, name="same"), run({1: 1.0, 5: 0.001}, seed=1, name="same")]
    ls = [run(LS_NC1, delta=0.1, seed=seed, name="same") for seed in (0, 1)]
    epoch = one(matched(ce, ls, levels=[0.02]), "epoch")
    assert epoch.baseline_mean == pytest.approx((100 + 1 + 4 * math.log(50) / math.log(1000)) / 2)


# --- statistics ----------------------------------------------------------------------------------


def groups(seeds=3, factor=0.5):
    """CE and LS runs of several seeds; NC2 of LS is about `factor` that of CE at every NC1."""
    scatter = (1.0, 1.1, 0.95, 1.05)
    ce = [run(CE_NC1, seed=s, nc2_features=(scatter[s], 0.5)) for s in range(seeds)]
    ls = [
        run(LS_NC1, delta=0.1, seed=s, nc2_features=(factor * scatter[s] ** 2, 0.5))
        for s in range(seeds)
    ]
    return ce, ls


def test_the_interval_is_students_over_the_log_ratios_of_the_pairs():
    row = one(matched(*groups(), levels=[0.1]), "train.nc2_features")
    logs = [math.log(0.5 * scatter) for scatter in (1.0, 1.1, 0.95)]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(logs), scale=stats.sem(logs))
    assert (row.low, row.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert row.baseline_std == pytest.approx(np.std([1.0, 1.1, 0.95], ddof=1) * 0.1**0.5)
    assert (row.pairs, row.winner) == (3, "LS 0.1")


def test_swapping_the_groups_inverts_the_ratio_and_keeps_the_winner():
    ce, ls = groups()
    there, back = matched(ce, ls), matched(ls, ce)
    assert [row.level for row in there] == [row.level for row in back]
    for one_way, other_way in zip(there, back, strict=True):
        assert one_way.winner == other_way.winner
        if one_way.ratio is not None:
            assert one_way.ratio * other_way.ratio == pytest.approx(1, rel=1e-12)
            assert one_way.baseline_mean == other_way.other_mean
        if one_way.low is not None:
            assert one_way.low * other_way.high == pytest.approx(1, rel=1e-12)


def test_a_group_beside_itself_is_a_tie():
    ce, _ = groups()
    for row in matched(ce, ce):
        assert row.winner is None
        assert row.difference in (None, 0.0)


def test_one_seed_gives_values_but_no_interval_and_no_verdict():
    ce, ls = groups(seeds=1)
    rows = matched(ce, ls)
    assert one(rows, "train.nc2_features", rows[0].level).ratio == pytest.approx(0.5)
    assert all(row.low is None and row.winner is None for row in rows)
    assert {claim.verdict for claim in claims_at_equal_nc1(rows)} == {"undecided"}


def test_seeds_without_a_partner_count_for_the_mean_but_not_for_the_ratio():
    ce, ls = groups(seeds=3)
    row = one(matched(ce, ls[:2], levels=[0.1]), "train.nc2_features")
    assert row.pairs == 2
    assert row.baseline_mean == pytest.approx(np.mean([1.0, 1.1, 0.95]) * 0.1**0.5)


def test_a_run_that_does_not_get_there_is_left_out_of_its_group_and_told():
    ce, ls = groups()
    late = [*ce[:2], run({1: 1.0, 200: 0.5}, seed=2, name="late", nc2_features=(1.0, 0.5))]
    row = one(matched(late, ls, levels=[0.1]), "train.nc2_features")
    assert (row.pairs, row.baseline_runs, row.other_runs) == (2, 2, 3)
    assert row.notes == ("late: NC1 gets down to 0.5 only",)


def test_the_papers_statement_is_judged_where_every_run_still_counts():
    ce, ls = groups()
    late = [*ce[:2], run({1: 1.0, 200: 0.5}, seed=2, nc2_features=(0.95, 0.5))]
    (means, duality) = claims_at_equal_nc1(matched(late, ls, levels=[0.7, 0.1]))
    assert means.verdict == "supported"
    assert "3 pairs" in means.evidence  # at 0.7; at 0.1 there are two
    assert duality.verdict == "undecided"  # it was not measured


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "supported"), (2.0, "not supported")])
def test_the_claim_is_the_row_at_the_deepest_shared_level(factor, verdict):
    ce, ls = groups(factor=factor)
    (claim,) = [one for one in claims(ce, ls) if "at equal NC1" in one.statement]
    assert claim == claims_at_equal_nc1(matched(ce, ls))[0]
    assert claim.verdict == verdict


# --- other metrics -------------------------------------------------------------------------------


def test_runs_can_be_matched_by_any_number_that_collapse_brings_to_zero():
    ce = run(CE_NC1, nc2_features=(1.0, 0.5), cdnv=(2.0, 1.0))
    ls = run(LS_NC1, delta=0.1, nc2_features=(0.5, 0.5), cdnv=(2.0, 1.0))
    rows = matched([ce], [ls], metric="cdnv", levels=[0.2])
    assert one(rows, "train.nc1").ratio == pytest.approx(1.0)
    assert one(rows, "train.nc2_features").baseline_mean == pytest.approx(0.1**0.5)
    by_nc1 = matched([ce], [ls], levels=[0.2])
    assert "train.nc1" not in {row.key for row in by_nc1}  # equal, and no news
    assert len(by_nc1) == len(ROWS) - 1


def test_a_metric_that_does_not_fall_to_zero_is_refused_with_the_choices():
    assert "nc1" in METRICS
    assert not {"accuracy", "loss", "weight_norm", "n", "notes"} & set(METRICS)
    with pytest.raises(UsageError, match=r"cannot match runs by 'accuracy'; choices: nc1, nc1_t"):
        check_metric("accuracy")
    with pytest.raises(UsageError, match=r"'nc2_feature'; did you mean nc2_features"):
        check_metric("nc2_feature")


def test_the_reason_of_a_level_knows_its_case():
    assert why_unreached({1: math.nan}, 0.1) == "is positive at no saved epoch"


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(make_runs(tmp_path, seeds=(0, 1)))
    monkeypatch.setenv("COLUMNS", "80")

    def calling(*words):
        code = command(["compare", ".", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


def test_every_format_has_one_record_a_level_and_number(call):
    code, out, err = call("--match", "nc1", "--levels", "0.05,0.1", "-f", "json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["level"] for row in rows] == [0.1] * 12 + [0.05] * 12
    assert {"key", "metric", "level", "ratio", "low", "high", "winner", "notes"} <= set(rows[0])
    table = list(csv.DictReader(io.StringIO(call("--match", "nc1", "-f", "csv")[1])))
    assert len(table) == 5 * 12
    lines = call("--match", "nc1", "--levels", "0.1", "-f", "jsonl")[1].splitlines()
    assert json.loads(lines[0]) == rows[0]


def test_the_table_is_the_golden_one(call):
    code, out, _ = call("--match", "nc1", "--levels", "0.15,1e-9", "-f", "table")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    check_golden("cli/compare-match.txt", out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--match", "nc"], "cannot match runs by 'nc'; did you mean nc"),
        (["--match", "nc1", "--levels", "0.1,x"], "cannot read the level 'x'; give positive"),
        (["--match", "nc1", "--levels", "0.1,0"], "cannot read the level '0'; give positive"),
        (["--match", "nc1", "--levels", "inf"], "cannot read the level 'inf'; give positive"),
        (["--levels", "0.1"], "--levels without --match; say of what: --match nc1"),
    ],
)
def test_a_wrong_word_is_a_usage_error_before_anything_is_measured(call, words, message):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"nccli: {message}")


def test_runs_without_a_common_level_cannot_be_used(capsys, monkeypatch, tmp_path):
    make_runs(tmp_path, epochs=(1,), groups=(("ce", 0.0),))
    make_runs(tmp_path, epochs=(100,), groups=(("ls0.1", 0.1),))
    monkeypatch.chdir(tmp_path)
    assert command(["compare", ".", "--match", "nc1"]) == 3
    assert "CE and LS 0.1 share no level of nc1: toy-ce-s0 gets down to" in capsys.readouterr().err


def test_one_group_without_a_common_level_does_not_stop_the_others(capsys, monkeypatch, tmp_path):
    make_runs(tmp_path)
    make_runs(tmp_path, epochs=(10_000,), groups=(("ls0.2", 0.2),))
    monkeypatch.chdir(tmp_path)
    code = command(["compare", ".", "--match", "nc1", "-f", "json"])
    captured = capsys.readouterr()
    assert code == 4
    assert {row["other"] for row in json.loads(captured.out)} == {"LS 0.1"}
    assert "CE and LS 0.2 share no level" in captured.err


def test_names_of_runs_are_shown_as_data():
    ce, ls = run({1: 1.0, 9: 0.5}, name="\x1b[31m[red]"), run(LS_NC1, delta=0.1)
    console = Console(width=80, force_terminal=False, markup=False)
    with console.capture() as captured:
        console.print(matching_table(matched([ce], [ls], levels=[0.1])))
    assert "\\x1b[31m[red]: NC1 gets down to 0.5 only" in captured.get()
    assert "\x1b" not in captured.get()
