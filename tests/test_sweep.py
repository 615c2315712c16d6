"""The closed form over a range: kappa_loss is linear in delta, kappa_regularised turns."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys

import numpy as np
import pytest
from golden_files import check_golden
from test_cli import rounded

from nccli import regime, sweep, ufm
from nccli.cli.app import run
from nccli.errors import UsageError

PAPER = {"num_classes": 10, "per_class": 5000, "dim": 512, "lambda_w": 5e-4, "lambda_h": 1e-6}
BASE = PAPER | {"label_smoothing": 0.0}
CLASSES = (2, 3, 4, 10, 100, 10_000)


def problem(**changes):
    return ufm.Problem(**(BASE | changes))


def kappa(delta, **changes):
    return ufm.kappa_regularised(problem(label_smoothing=delta, **changes))


def weak_enough(classes, pull):
    """The lambda_h with K sqrt(n) lambda_z = pull."""
    return (pull / classes) ** 2 / BASE["per_class"] / BASE["lambda_w"]


@pytest.fixture
def call(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def calling(line):
        code = run(["hessian", *line.split()])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


# --- the words of a sweep -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("delta=0:0.5:6", (0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        ("lambda-h=1e-8:1e-2:7:log", (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)),
        ("lambda_h=1e-2:1e-4:3:log", (1e-2, 1e-3, 1e-4)),
        ("n=10,100, 1000", (10, 100, 1000)),
        ("n=1:1e6:3:log", (1, 1000, 1_000_000)),
        ("K=2:4:9", (2, 3, 4)),  # what rounding makes equal is taken once
        ("d=1e3", (1000,)),
        ("lambda=1e-300:1e300:3:log", (1e-300, 1.0, 1e300)),
    ],
)
def test_a_word_becomes_an_axis(word, values):
    (axis,) = sweep.parse([word])
    assert axis.values == values
    if axis.name in ("n", "K", "d"):
        assert all(isinstance(value, int) for value in axis.values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["delta"], "cannot read the sweep 'delta'; write NAME=START:STOP:COUNT"),
        (["delta="], "cannot read the sweep 'delta='"),
        (["kappa=1,2"], "unknown sweep variable 'kappa'; try one of: delta, lambda, lambda-w"),
        (["delta=a,b"], "'a' in the sweep 'delta=a,b' is not a number; write"),
        (["delta=0,,1"], "'' in the sweep 'delta=0,,1' is not a number"),
        (["delta=nan"], "'nan' in the sweep 'delta=nan' is not a number"),
        (["delta=0:1"], "cannot read the range of the sweep 'delta=0:1'"),
        (["delta=0:1:3:lin"], "cannot read the range of the sweep 'delta=0:1:3:lin'"),
        (["delta=0:1:3:log:2"], "cannot read the range"),
        (["delta=0:1:1"], "the count of the sweep 'delta=0:1:1' must be a whole number from 2 on"),
        (["delta=0:1:2.5"], "must be a whole number from 2 on"),
        (["delta=0:1:1e9"], "the sweep has 1,000,000,000 points, and 100,000 is our own limit"),
        (["delta=0:0.5:3:log"], "the log range of the sweep 'delta=0:0.5:3:log' must lie above 0"),
        (["n=1.5,2"], "the sweep 'n=1.5,2' must hold whole numbers"),
        (["delta=0,0.1", "delta=0.2"], "label_smoothing is swept twice, by delta and delta"),
        (["lambda=1e-3", "lambda-h=1e-4"], "lambda_h is swept twice, by lambda and lambda-h"),
    ],
)
def test_a_bad_word_is_told_with_what_is_allowed(words, message):
    with pytest.raises(UsageError) as raised:
        sweep.parse(words)
    assert message in str(raised.value)


# --- points -------------------------------------------------------------------------------------


def test_the_first_axis_varies_slowest_and_every_point_is_the_closed_form():
    points = sweep.sweep(sweep.parse(["n=10,20", "delta=0,0.1,0.2"]), BASE)
    assert [(one.per_class, one.label_smoothing) for one in points] == [
        (10, 0.0), (10, 0.1), (10, 0.2), (20, 0.0), (20, 0.1), (20, 0.2),
    ]  # fmt: skip
    for point in points:
        report = ufm.analyze(point.problem)
        for name in ("kappa_loss", "kappa_regularised", "kappa_joint", "weight_norm", "objective"):
            assert getattr(point, name) == getattr(report, name)


def test_lambda_sets_both_penalties_and_d_follows_k():
    axes = sweep.parse(["K=2,10", "lambda=1e-3,1e-2"])
    points = sweep.sweep(axes, BASE | {"dim": None})
    assert [(one.dim, one.lambda_w, one.lambda_h) for one in points] == [
        (2, 1e-3, 1e-3), (2, 1e-2, 1e-2), (10, 1e-3, 1e-3), (10, 1e-2, 1e-2),
    ]  # fmt: skip


def test_a_point_where_the_theory_is_silent_is_named():
    with pytest.raises(UsageError, match=r"needs d >= K - 1 = 9, got d = 8 \(at K=10 d=8\); a"):
        sweep.problems(sweep.parse(["K=4,10", "d=9,8"]), BASE)


def test_a_product_of_too_many_points_is_refused_before_any_is_made():
    axes = sweep.parse(["delta=0:0.5:1000", "lambda-h=1e-8:1e-2:101:log"])
    with pytest.raises(UsageError, match="101,000 points, and 100,000 is our own limit; take"):
        sweep.problems(axes, BASE)


# --- the first answer ---------------------------------------------------------------------------


@pytest.mark.parametrize("classes", CLASSES)
def test_kappa_loss_lies_on_a_straight_line_with_the_stated_slope(classes):
    axes = sweep.parse(["delta=0:0.9:10"])
    points = sweep.sweep(axes, BASE | {"num_classes": classes, "dim": None, "lambda_h": 1e-12})
    (answer,) = regime.answers(points)
    line = answer.linearity
    assert line.points == 10
    assert line.slope == (0 if classes == 2 else -(classes - 1))
    assert line.deviation <= 1e-14 * classes
    ends = points[-1].kappa_loss - points[0].kappa_loss
    assert ends / 0.9 == pytest.approx(line.slope, rel=1e-12)


def test_a_bent_line_is_seen_and_two_points_are_no_evidence():
    bent = regime.linearity(3, [(0.0, 3.0), (0.2, 2.5), (0.4, 2.2), (0.9, None)])
    assert bent.deviation == pytest.approx(0.1)
    assert bent.points == 3
    assert regime.linearity(3, [(0.0, 3.0), (0.4, 2.2)]).deviation is None


# --- the second answer --------------------------------------------------------------------------


@pytest.mark.parametrize("classes", CLASSES)
def test_the_slope_changes_its_sign_at_the_crossing(classes):
    turn = regime.crossing(classes)
    for factor, sign in ((0.999, 1), (1.001, -1)):
        changes = {"num_classes": classes, "dim": classes}
        changes["lambda_h"] = weak_enough(classes, factor * turn)
        found = regime.regime(problem(**changes))
        step = 1e-4
        ahead = [kappa(times * step, **changes) for times in (0, 1, 2)]
        numerical = (4 * ahead[1] - 3 * ahead[0] - ahead[2]) / (2 * step)
        assert math.copysign(1, found.slope) == math.copysign(1, numerical) == sign
        assert found.slope == pytest.approx(numerical, abs=2e-5)
        assert found.rises == (sign > 0)
        assert found.crossing_lambda_h == pytest.approx(weak_enough(classes, turn), rel=1e-12)


@pytest.mark.parametrize("classes", CLASSES)
def test_the_crossing_is_the_root_of_its_equation_in_extended_precision(classes):
    number = np.longdouble
    s, k = number(regime.crossing(classes)), number(classes)
    for end, sign in ((s * number(1 - 1e-14), 1), (s * number(1 + 1e-14), -1)):
        value = np.log(k / end - k + 1) * (1 - 2 * (1 - 1 / k) * end) - 1
        assert np.sign(value) == sign


@pytest.mark.parametrize("lambda_h", [5e-4, 1e-4, 1e-6, 1e-9])
def test_the_peak_and_the_return_are_where_a_fine_sweep_finds_them(lambda_h):
    found = regime.regime(problem(lambda_h=lambda_h))
    deltas = np.linspace(0, 1 - 1e-9, 20_001)
    values = np.array([kappa(delta, lambda_h=lambda_h) for delta in deltas])
    assert found.baseline == values[0]
    assert found.peak >= values.max() * (1 - 1e-12)
    assert found.peak_delta == pytest.approx(deltas[values.argmax()], abs=1e-4)
    last_above = deltas[np.flatnonzero(values > values[0])[-1]]
    assert found.return_delta == pytest.approx(last_above, abs=1e-4)
    assert kappa(found.return_delta, lambda_h=lambda_h) == pytest.approx(values[0], rel=1e-9)


def test_strong_penalties_have_no_peak_and_at_total_collapse_nothing_moves():
    strong = regime.regime(problem(lambda_h=1e-3))
    assert strong.slope < 0
    assert strong.peak_delta is strong.peak is strong.return_delta is None
    collapsed = regime.regime(problem(lambda_h=1.0))
    assert collapsed.slope is None
    assert collapsed.baseline == 1.0
    assert not collapsed.rises


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("delta", [1e-9, 1e-3, 0.1, 0.5, 0.99])
def test_at_the_crossing_of_a_delta_smoothing_and_cross_entropy_are_equal(classes, delta):
    pull = regime.crossing(classes, label_smoothing=delta)
    changes = {"num_classes": classes, "dim": classes, "lambda_h": weak_enough(classes, pull)}
    assert kappa(delta, **changes) == pytest.approx(kappa(0.0, **changes), rel=1e-9)
    if delta >= 1e-3:
        weaker = changes | {"lambda_h": changes["lambda_h"] * 0.99}
        assert kappa(delta, **weaker) > kappa(0.0, **weaker)


def test_at_the_very_crossing_the_return_is_where_it_starts():
    turn = regime.crossing(10)
    for pull in (math.nextafter(turn, 0), turn * (1 - 1e-12)):
        found = regime.regime(problem(lambda_h=weak_enough(10, pull)))
        assert found.return_delta is None or 0 <= found.return_delta < 1e-6


def test_the_crossing_on_each_swept_variable_has_the_pull():
    pull = regime.crossing(10)
    fields = {
        "lambda-w": ["lambda_w"],
        "lambda-h": ["lambda_h"],
        "lambda": ["lambda_w", "lambda_h"],
    }
    for name, names in fields.items():
        value = regime.value_at(pull, name, problem())
        assert problem(**dict.fromkeys(names, value)).pull == pytest.approx(pull, rel=1e-12)
    samples = regime.value_at(pull, "n", problem())
    assert 10 * math.sqrt(samples * 5e-4 * 1e-6) == pytest.approx(pull, rel=1e-12)
    assert regime.value_at(pull, "K", problem()) is None


@pytest.mark.parametrize(("classes", "delta"), [(1, 0.0), (3, 1.0), (3, -0.1)])
def test_a_crossing_outside_the_theory_is_refused(classes, delta):
    with pytest.raises(UsageError, match=r"a crossing needs K >= 2 and delta in \[0, 1\), got"):
        regime.crossing(classes, label_smoothing=delta)


# --- the command --------------------------------------------------------------------------------

TYPICAL = "--classes 10 --per-class 5000 --dim 512 --lambda-h 1e-6 --sweep delta=0:0.9:10"
GRID = "--classes 10 --per-class 5000 --sweep lambda-h=1e-8:1e-2:7:log --smoothing 0,0.1"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sweep-delta", f"{TYPICAL} --format table"),
        ("sweep-delta-csv", f"{TYPICAL} --format csv"),
        ("sweep-delta-chart", f"{TYPICAL} --chart"),
        ("sweep-lambda", f"{GRID} --format table"),
        ("sweep-lambda-chart", f"{GRID} --chart"),
        ("sweep-grid", "--sweep K=2,10,1000 --sweep n=10,1000 --sweep delta=0:0.8:3 -f table"),
        ("spectrum-chart", "--classes 10 --per-class 5000 --dim 512 --smoothing 0,0.1 --chart"),
    ],
)
def test_the_output_is_the_golden_one(call, name, line):
    code, out, _ = call(line)
    assert code == 0
    if "csv" not in line:
        assert max(map(len, out.splitlines())) <= 80
        out = "".join(row.rstrip() + "\n" for row in out.splitlines())
        out = re.sub(r"within \S+ of", "within ROUNDOFF of", out)
    check_golden(f"cli/{name}.txt", rounded(out) if "csv" in line else out)


def test_machine_formats_hold_one_row_a_point_and_nothing_else(call):
    rows = json.loads(call(f"{GRID} -f json")[1])
    assert len(rows) == 14
    assert list(rows[0])[:6] == [*PAPER, "label_smoothing"]
    assert "spectrum" not in rows[0]
    lines = call(f"{GRID} -f jsonl")[1].splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(call(f"{GRID} -f csv")[1])))
    assert [float(row["kappa_joint"]) for row in table] == [row["kappa_joint"] for row in rows]
    assert call(f"{GRID} -f md")[1].count("\n") == 16


def test_points_that_collapse_are_counted_on_stderr_and_say_why_in_their_row(call):
    code, out, err = call(f"{GRID} -f json")
    assert code == 0
    assert err == (
        "nccli: 2 of 14 points collapse to zero (s = delta + K sqrt(n) lambda_z >= 1): kappa_loss "
        "is undefined there\n"
    )
    assert "total collapse" in json.loads(out)[-1]["notes"][0]


def test_fail_if_holds_for_rows_and_names_the_point(call):
    code, out, err = call(f"{TYPICAL} -f json --fail-if kappa_regularised>40")
    assert code == 1
    assert len(json.loads(out)) == 10
    point = "K=10 n=5000 d=512 lambda_W=0.0005 lambda_H=1e-06 delta=0.2"
    assert err == f"nccli: {point}: kappa_regularised>40 is true\n"
    assert call(f"{TYPICAL} -f json --fail-if kappa_regularised>50")[0] == 0


@pytest.mark.parametrize("line", [f"{TYPICAL} --chart", f"{GRID} --chart", "--classes 3 --chart"])
def test_an_ascii_terminal_without_colour_gets_ascii_without_colour(line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict"))
    assert run(["hessian", *line.split()]) == 0
    sys.stdout.flush()
    sys.stdout.buffer.getvalue().decode("ascii")
    assert "\x1b" not in sys.stdout.buffer.getvalue().decode()


def test_more_curves_and_problems_than_fit_are_counted(call):
    _, out, _ = call("--classes 3 --sweep delta=0:0.5:3 --sweep n=1:25:25 --chart")
    assert "8 of 25 curves drawn" in out
    assert "and 5 more problems: sweep fewer values" in out
    assert "no room for" not in out
    penalties = " ".join(f"--sweep lambda-{side}=1.2345e-8,1.3e-8" for side in "wh")
    sizes = "--sweep K=1000,1001 --sweep n=1000000,2000000"
    wide = call(f"{sizes} {penalties} --sweep delta=0.12345,0.2 -f table")[1]
    assert "no room for feature_norm" in wide
    assert max(map(len, wide.splitlines())) <= 80


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--sweep delta=0:0.5:3", "--sweep goes with --classes; or sweep K: --sweep K=2,10,100"),
        ("--classes 3 --sweep K=2,3", "--classes does not go with a sweep of K: leave it out"),
        ("--classes 3 --smoothing 0 --sweep delta=0,0.1", "--smoothing does not go with a sweep"),
        ("--classes 3 --lambda-h 1e-3 --sweep lambda=1e-3,1e-2", "--lambda-h does not go with"),
        ("--classes 3 --per-class 3 --sweep n=3,4", "--per-class does not go with a sweep of n"),
        ("--classes 3 --dim 3 --sweep d=3,4", "--dim does not go with a sweep of d"),
        ("runs --sweep delta=0,0.1", "give checkpoints or --classes, not both"),
        ("--classes 3 --split test", "--split goes with checkpoints, not with --classes"),
        ("--classes 3 --sweep delta=0,1", "must lie in [0, 1), got 1.0 (at delta=1)"),
        ("--dim 4 --sweep K=2,10", "needs d >= K - 1 = 9, got d = 4 (at K=10 delta=0)"),
        ("--classes 3 --sweep lambda-h=0,1", "lambda_h must be positive, got 0.0 (at lambda_H=0"),
        ("--classes 3 --sweep delta=0,0.1 --fail-if kappa>1", "no field 'kappa'"),
        ("--classes 3 --sweep delta=0,0.1 --format xml", "unknown format 'xml'"),
        ("--sweep K=2 --per-class 1" + "0" * 400, "must not be above"),
    ],
)
def test_an_error_is_one_line_before_anything_is_printed(call, line, message):
    code, out, err = call(line)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
