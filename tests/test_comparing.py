"""`nccli compare`: groups, the intervals of their differences, and conditions for scripts."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import checkpoint, make_runs
from scipy import stats

from nccli import collapse, hdf5
from nccli.calibration_report import CalibrationReport
from nccli.changes import SAMPLES, Method, change_of_means, change_of_pairs
from nccli.cli.app import run as run_command
from nccli.collapse.intervals import replicates
from nccli.collapse_report import CollapseReport
from nccli.compare import COMPARED, are_the_papers, compare
from nccli.errors import ContentError, NotFoundError, UsageError
from nccli.groups import grouped, groups_of, left_out
from nccli.hdf5 import read_checkpoint
from nccli.logits import load_labels
from nccli.observe import observe_run
from nccli.plots import number_plot
from nccli.runs import find_runs
from nccli.sample_changes import compare_samples
from nccli.trajectory import Observation, trajectory

ONES, TWOS = [0.3, 0.1, 0.25, 0.2], [0.15, 0.09, 0.2, 0.11]


def run(nc1, *, delta=0.0, seed=0, name="a-run"):
    loss = "label-smoothing" if delta else "cross-entropy"
    report = CollapseReport(loss_name=loss, label_smoothing=delta, seed=seed, epoch=1, nc1=nc1)
    return trajectory(name, [Observation(epoch=1, train=report)])


def group(values, *, delta=0.0, first_seed=0):
    return [run(value, delta=delta, seed=first_seed + at) for at, value in enumerate(values)]


def nc1_row(baseline, other, **options):
    (row,) = [row for row in compare(baseline, other, **options) if row.key == "train.nc1"]
    return row


# --- intervals ----------------------------------------------------------------------------------


def test_paired_runs_have_students_interval_of_their_log_ratios():
    row = nc1_row(group(ONES), group(TWOS, delta=0.1))
    logs = np.log(TWOS) - np.log(ONES)
    expected = stats.ttest_rel(np.log(TWOS), np.log(ONES)).confidence_interval(0.95)
    assert row.ratio == pytest.approx(math.exp(logs.mean()))
    assert (row.low, row.high) == pytest.approx(np.exp([expected.low, expected.high]))
    assert (row.interval, row.pairs) == ("paired t", 4)


def test_runs_without_common_seeds_have_welchs():
    row = nc1_row(group(ONES), group(TWOS[:3], delta=0.1, first_seed=10))
    test = stats.ttest_ind(np.log(TWOS[:3]), np.log(ONES), equal_var=False)
    expected = test.confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx(np.exp([expected.low, expected.high]))
    assert row.difference == pytest.approx(np.mean(TWOS[:3]) - np.mean(ONES))
    assert (row.interval, row.pairs) == ("Welch t", 0)


def test_one_common_seed_is_no_pairing_and_one_run_no_interval():
    row = nc1_row(group(ONES), group(TWOS, delta=0.1, first_seed=3))
    assert (row.interval, row.pairs) == ("Welch t", 0)
    row = nc1_row(group(ONES), group(TWOS[:1], delta=0.1))
    assert (row.interval, row.pairs, row.low) == (None, 0, None)
    assert row.ratio == pytest.approx(TWOS[0] / np.exp(np.log(ONES).mean()))  # as the means shown
    row = nc1_row(group(ONES[:1]), group(TWOS[:1], delta=0.1, first_seed=9))  # the only two
    assert (row.interval, row.pairs, row.ratio) == (None, 0, pytest.approx(TWOS[0] / ONES[0]))


@pytest.mark.parametrize(
    "pairs", [[(0.85, 0.9), (0.8, 0.85)], [(0.5, 0.75), (0.25, 0.5)], [(1e-90, 2e-90)] * 2]
)
def test_equal_changes_have_no_interval_whatever_their_rounding(pairs):
    found = change_of_pairs(pairs)
    assert (found.low, found.kind) == (None, None)


def test_tiny_numbers_have_welchs_interval_too():
    found = change_of_means([1e-90, 2e-90], [1e-90, 3e-90])
    scipys = stats.ttest_ind([1, 3], [1, 2], equal_var=False).confidence_interval(0.95)
    assert (1e90 * found.low, 1e90 * found.high) == pytest.approx((scipys.low, scipys.high))


def scored(run_made, split, ece=0.1):
    (one,) = run_made.observations
    report = CalibrationReport(split=split, ece=ece, seed=run_made.seed)
    return replace(run_made, observations=(replace(one, calibration=report),))


def test_scores_of_two_splits_are_not_compared_and_of_another_one_are_called_so():
    ce, ls = run(0.2), run(0.1, delta=0.1)
    rows = {row.key: row for row in compare([scored(ce, "test")], [scored(ls, "train")])}
    assert rows["calibration.ece"].baseline_mean is None
    assert rows["train.nc1"].ratio == pytest.approx(0.5)
    rows = {row.key: row for row in compare([scored(ce, "val")], [scored(ls, "val", 0.3)])}
    assert rows["calibration.ece"].label == "ECE val"
    assert rows["calibration.ece"].ratio == pytest.approx(3.0)
    plotted = number_plot(
        [[scored(ce, "test")], [scored(ls, "train")]],
        next(row for row in COMPARED if row.key == "calibration.ece"),
    )
    assert not plotted.drawable


def test_the_bootstrap_over_pairs_is_a_literal_one():
    method = Method(kind="bootstrap", resamples=500, seed=7)
    found = change_of_pairs(list(zip(ONES, TWOS, strict=True)), method)
    drawn = np.random.default_rng(7).integers(4, size=(500, 4))
    differences = np.array([[TWOS[at] - ONES[at] for at in row] for row in drawn]).mean(axis=1)
    assert (found.low, found.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]))
    assert found.kind == "paired bootstrap"
    scipys = stats.bootstrap(
        (ONES, TWOS), lambda one, two, axis: np.mean(two - one, axis=axis), paired=True,
        method="percentile", n_resamples=20_000, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    many = change_of_pairs(list(zip(ONES, TWOS, strict=True)), Method(kind="bootstrap"))
    assert (many.low, many.high) == pytest.approx((scipys.low, scipys.high), abs=0.003)


def test_the_bootstrap_of_independent_groups_is_scipys():
    scipys = stats.bootstrap(
        (ONES, TWOS), lambda one, two, axis: np.mean(two, axis=axis) - np.mean(one, axis=axis),
        method="percentile", n_resamples=20_000, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    found = change_of_means(ONES, TWOS, Method(kind="bootstrap"))
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), abs=0.003)
    assert found == change_of_means(ONES, TWOS, Method(kind="bootstrap"))  # seeded
    assert found != change_of_means(ONES, TWOS, Method(kind="bootstrap", seed=1))


@pytest.mark.parametrize("ones", [[], [1.0], [1.0, 1.0]])
def test_too_few_values_have_a_mean_at_most(ones):
    found = change_of_means(ones, ones)
    assert (found.mean, found.low, found.kind) == (0.0 if ones else None, None, None)


# --- groups -------------------------------------------------------------------------------------


def names(pairs):
    return [(one[0].group, two[0].group, len(one), len(two)) for one, two in pairs]


CE, LS = group(ONES), group(TWOS, delta=0.1)


def test_one_word_or_many_are_grouped_by_loss():
    more = group(TWOS, delta=0.2)
    expected = [("CE", "LS 0.1", 4, 4), ("CE", "LS 0.2", 4, 4)]
    assert names(grouped([("runs", [*LS, *more, *CE])])) == expected
    assert names(grouped([("a", CE), ("b", LS), ("c", more)])) == expected


def test_two_words_of_one_loss_each_are_the_groups_and_the_first_is_the_baseline():
    assert names(grouped([("*ce*", CE), ("*ls*", LS)])) == [("CE", "LS 0.1", 4, 4)]
    assert names(grouped([("*ls*", LS), ("*ce*", CE)])) == [("LS 0.1", "CE", 4, 4)]
    same = grouped([("runs/*wd1*", CE), ("runs/*wd2*", group(TWOS))])
    assert names(same) == [("*wd1*", "*wd2*", 4, 4)]
    assert compare(*same[0])[2].baseline == "*wd1*"


def test_two_words_with_the_same_seeds_and_losses_are_compared_loss_by_loss():
    again = [*group(ONES), *group(TWOS, delta=0.1)]
    both = [("resnet", [*CE, *LS]), ("vgg", again)]
    expected = [("resnet CE", "vgg CE", 4, 4), ("resnet LS 0.1", "vgg LS 0.1", 4, 4)]
    assert names(grouped(both)) == expected
    with pytest.raises(UsageError, match="two runs of CE have seed 0"):
        grouped(
            [("a", [*CE, *LS]), ("b", [run(0.1, name="another"), *LS])],
            by="loss",
        )


def test_words_that_share_a_loss_are_the_groups_and_can_be_pooled():
    later = [*group(ONES, first_seed=4), *group(TWOS, delta=0.1, first_seed=4)]
    words = [("a/x", [*CE, *LS]), ("b/x", later)]
    assert names(grouped(words, "loss")) == [("CE", "LS 0.1", 8, 8)]
    assert names(grouped(words))[0] == ("a/x CE", "b/x CE", 4, 4)


def test_what_is_left_out_is_known_and_shown_together_all_the_same():
    words = [("A", [*CE, *LS]), ("B", group(TWOS))]
    pairs = grouped(words)
    assert names(pairs) == [("A CE", "B CE", 4, 4)]
    assert left_out(words, pairs) == LS
    assert [one[0].group for one in groups_of(words)] == ["A CE", "A LS 0.1", "B CE"]


def test_verdicts_are_of_the_losses_not_of_names():
    (pair,) = grouped([("CE", CE), ("LS_a", group(TWOS))])
    assert (pair[0][0].group, pair[1][0].group) == ("CE", "LS_a")
    assert not are_the_papers(*pair)
    assert are_the_papers(*grouped([("a", CE), ("b", LS)])[0])


@pytest.mark.parametrize(
    ("words", "by", "kind", "message"),
    [
        ([("a", CE)], "auto", NotFoundError, "needs runs of cross-entropy and of label smoothing"),
        ([("a", CE)], "words", UsageError, "only one of the words names runs"),
        ([("a", CE), ("b", [])], "auto", NotFoundError, "found: CE"),
        ([("a", [*CE, *LS]), ("b", group(TWOS, delta=0.3))], "words", NotFoundError, "of one loss"),
    ],
)
def test_what_cannot_be_grouped_is_told(words, by, kind, message):
    with pytest.raises(kind, match=message):
        grouped(words, by)


# --- one pair of runs, over its samples ---------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    folder = make_runs(tmp_path / "runs", epochs=(10,))
    return [[observe_run(path)[0]] for path in sorted(find_runs(folder))]


def test_intervals_over_samples_are_a_literal_paired_bootstrap(pair):
    rows = {row.key: row for row in compare_samples(*pair, resamples=40, seed=3)}
    files = [read_checkpoint(one.last.path) for (one,) in pair]
    logs = []
    labels = load_labels(files[0], "train")
    for index in range(40):
        weights = literal_draw(labels, np.random.default_rng([3, index]))
        values = [collapse.measurement.measure(file, "train", weights=weights) for file in files]
        one, two = (
            collapse.analysis.report(file, found, split="train", path=None).nc1
            for file, found in zip(files, values, strict=True)
        )
        logs.append(math.log(two / one))
    row = rows["train.nc1"]
    low, middle, high = np.quantile(logs, [0.025, 0.5, 0.975])
    expected = np.exp(np.log(row.ratio) + np.array([low, high]) - middle)
    assert (row.low, row.high) == pytest.approx(expected, rel=1e-9)
    assert row.interval == SAMPLES
    assert row.winner == "LS 0.1"


def literal_draw(labels, rng):
    """As many samples of each class, drawn with replacement, class by class."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    within = rng.integers(np.repeat(counts, counts))
    weights = np.zeros(len(labels))
    at = 0
    for count in counts:
        for _ in range(count):
            weights[order[sum(counts[: np.searchsorted(np.cumsum(counts), at, "right")])
                          + within[at]]] += 1  # fmt: skip
            at += 1
    return weights


def test_a_network_beside_itself_has_no_interval(pair):
    for row in compare_samples(pair[0], pair[0], resamples=5):
        assert row.difference in (0.0, None)
        assert (row.winner, row.low) == (None, None)


def test_scores_have_the_intervals_of_calibrate_paired(pair, capsys):
    words = [str(one.last.path) for (one,) in pair]
    options = ["--paired", "--no-cache", "-f", "json", "--resamples", "50"]
    code = run_command(["calibrate", *words, *options])
    assert code == 0
    theirs = {row["score"]: row for row in json.loads(capsys.readouterr().out)}
    rows = {row.key: row for row in compare_samples(*pair, resamples=50)}
    for score in ("ece", "nll", "overconfidence"):
        row = rows[f"calibration.{score}"]
        assert (row.low, row.high) == (theirs[score]["low"], theirs[score]["high"])
        assert row.ratio is None
    after = rows["calibration.calibrated.ece"]
    assert (after.low, after.high) == (
        theirs["ece"]["low_calibrated"], theirs["ece"]["high_calibrated"],
    )  # fmt: skip
    assert rows["hessian.kappa_means_w"].interval is None


def test_replicates_are_those_of_the_intervals():
    one = checkpoint(4)
    drawn = replicates(one, split="train", resamples=6, seed=2)
    assert {len(values) for values in drawn.values()} == {6}
    assert len(set(drawn["nc1"])) == 6


def test_other_samples_are_refused(pair, tmp_path):
    other = read_checkpoint(pair[1][0].last.path)
    path = tmp_path / "other.h5"
    labels = np.roll(load_labels(other, "train"), 1)
    hdf5.write_checkpoint(
        path,
        splits={"train": (other.split("train").features.load(), labels)},
        weight=other.classifier.weight.load(),
        bias=other.classifier.bias.load(),
        metadata=other.metadata,
    )
    report = collapse.analyze(read_checkpoint(path), split="train")
    strange = trajectory("strange", [Observation(path=str(path), epoch=10, train=report)])
    with pytest.raises(ContentError, match="does not hold the train samples of"):
        compare_samples(pair[0], [strange])


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    make_runs(tmp_path / "runs", epochs=(1, 10), seeds=(0, 1, 2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def calling(*words):
        code = run_command(["compare", *words, "--no-cache"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


def test_two_globs_are_two_groups(call):
    by_loss = call("runs", "-f", "csv")
    assert call("runs/*ce*", "runs/*ls*", "-f", "csv") == by_loss
    code, out, _ = call("runs/*ls*", "runs/*ce*", "-f", "csv")
    assert code == 0
    turned = {row["key"]: row for row in csv.DictReader(io.StringIO(out))}
    same = {row["key"]: row for row in csv.DictReader(io.StringIO(by_loss[1]))}
    nc1 = "train.nc1"
    assert float(turned[nc1]["ratio"]) == pytest.approx(1 / float(same[nc1]["ratio"]))
    assert turned[nc1]["winner"] == same[nc1]["winner"] == "LS 0.1"


def test_groups_that_are_no_losses_have_no_verdicts_of_the_paper(call):
    code, out, _ = call("runs/*s0", "runs/*s1", "--groups", "words", "-f", "table")
    assert code == 0
    assert "*s0 CE" in out
    assert "*s1 LS 0.1" in out
    assert "paper" not in out


@pytest.mark.parametrize(
    ("condition", "code", "told"),
    [
        ("train.nc1.ratio > 1", 0, ""),
        ("train.nc1.ratio < 1", 1, "LS 0.1 against CE: train.nc1.ratio < 1 is true"),
        ("train.accuracy.ratio > 1", 4, "could not be decided for 1 of 1 comparisons"),
        ("train.nc1.ration > 1", 2, "did you mean train.nc1.ratio"),
        ("train.nc1.ratio", 2, "cannot read the condition"),
    ],
)
def test_a_script_can_fail_on_a_difference(call, condition, code, told):
    found = call("runs", "--fail-if", condition, "-f", "csv")
    assert found[0] == code
    assert told in found[2]


def test_a_condition_holds_at_any_level_of_a_matched_comparison(call):
    words = ("runs", "--match", "nc1", "--levels", "0.3", "-f", "csv", "--fail-if")
    code, _, err = call(*words, "train.nc3.other_mean > 0")
    assert code == 1
    assert "at nc1 = 0.3: train.nc3.other_mean > 0 is true" in err


def test_the_interval_is_chosen_and_named(call):
    for words, kind in (
        ((), "paired t"),
        (("--interval", "bootstrap"), "paired bootstrap"),
        (("--interval", "bootstrap", "--resamples", "10", "--seed", "3"), "paired bootstrap"),
    ):
        _, out, _ = call("runs", *words, "-f", "json")
        (row,) = [row for row in json.loads(out) if row["key"] == "train.nc1"]
        assert row["interval"] == kind


def test_intervals_over_samples_promise_nothing_of_seeds(call):
    words = ("--interval", "samples", "--resamples", "5", "-f", "table")
    code, out, err = call("runs/*ce-s0", "runs/*ls*-s0", *words)
    assert code == 0
    assert "paper" not in out
    assert "they say nothing of other seeds" in err
    code, _, err = call("runs", "--interval", "samples")
    assert code == 2
    assert "CE has 3" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--groups", "seed"), "choices: auto, loss, words"),
        (("--interval", "z"), "choices: t, bootstrap, samples"),
        (("--resamples", "10"), "--resamples without a bootstrap"),
        (("--interval", "bootstrap", "--resamples", "0"), "needs resamples"),
        (("--match", "nc1", "--interval", "samples"), "do not go together"),
        (("--interval", "bootstrap", "--seed", "-1"), "--seed"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_measured(call, words, told):
    code, out, err = call("runs", *words)
    assert (code, out) == (2, "")
    assert told in err


def test_the_groups_are_told_where_they_may_surprise(call, tmp_path):
    make_runs(tmp_path / "more", epochs=(1,), groups=(("ce", 0.0),))
    code, _, err = call("runs", "more", "-f", "csv")
    assert code == 4
    assert "more against runs, loss by loss; --groups loss pools them" in err
    assert "left out, as no other word has runs of that loss: toy-ls0.1-s0" in err
    code, _, err = call("runs", "-f", "csv", "--interval", "bootstrap")
    assert "a bootstrap of fewer than 5 runs is too narrow" in err


def test_a_level_that_no_run_reaches_cannot_be_used(call):
    code, out, err = call("runs", "--match", "nc1", "--levels", "1e-9")
    assert (code, out) == (3, "")
    assert "share no level of nc1" in err
