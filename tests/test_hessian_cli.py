"""`nccli hessian PATH` as a script sees it: options, fields, charts, refusals."""

from __future__ import annotations

import json
import math

import pytest

import nccli


@pytest.fixture
def call(command):
    return command("hessian")


def test_everything_that_can_be_asked_for_is_in_the_json(call):
    code, out, _ = call(
        "toy-ls0.1-s0@last", "--top", "5", "--density", "--steps", "8", "--smallest",
        "--hierarchy", "--bias", "--format", "json",
    )  # fmt: skip
    assert code == 0
    (found,) = json.loads(out)
    assert found["bias_included"] is True
    assert len(found["spectrum_w"]) == 5
    assert found["spectrum_w"][0]["value"] == found["lambda_max_w"]
    assert found["spectrum_w"][0]["low"] <= found["lambda_max_w"] <= found["spectrum_w"][0]["high"]
    for name in ("density_w", "density_h", "density_joint"):
        assert sum(one["share"] for one in found[name]) == pytest.approx(1)
    parts = ("class", "cross_class", "within", "own")
    total = sum(found[f"trace_w_{part}"] for part in parts)
    assert total == pytest.approx(found["trace_w"], rel=1e-6)
    assert found["lambda_min_w"] >= 0
    assert found["kappa_regularised_perp_w"] <= found["kappa_regularised_w"]
    assert found["theory_spectrum_w"][0]["multiplicity"] == 1
    assert [one["label"] for one in found["kappa_h_classes"]] == [0, 1, 2, 3, 4]
    assert found["status"] == "converged"


def test_columns_are_the_same_whatever_was_asked_for(call):
    plain = call("toy-ls0.1-s0@last", "--format", "csv")[1].splitlines()[0]
    more = call("toy-ls0.1-s0@last", "--top", "3", "--hierarchy", "--format", "csv")[1]
    assert more.splitlines()[0] == plain
    assert "spectrum_w" not in plain.split(",")


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(call):
    words = ("toy-ce-s0@last", "--density", "--steps", "4", "--format", "json")
    assert call(*words) == call(*words)
    assert call(*words)[1] != call(*words, "--seed", "1")[1]


def test_charts_show_what_was_asked_for_within_80_columns(call):
    code, out, _ = call("toy-ce-s0", "toy-ls0.1-s0", "--top", "8", "--density", "--chart")
    assert code == 0
    for title in ("kappa means W", "eigenvalues of the W block by rank", "share of the W block's",
                  "share of the H block's", "share of the joint Hessian's"):  # fmt: skip
        assert title in out
    assert "CE UFM" in out
    assert "LS 0.1 UFM" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_single_checkpoint_without_curves_says_how_to_get_some(call):
    assert "--top 20 or --density" in call("toy-ce-s0@last", "--chart")[1]


def test_the_table_has_densities_by_decade(call):
    code, out, _ = call("toy-ce-s0@last", "--density", "--steps", "8", "--format", "table")
    assert code == 0
    found = json.loads(call("toy-ce-s0@last", "--density", "--steps", "8", "-f", "json")[1])[0]
    bins = found["density_w"]
    decade = math.floor(math.log10(max(one["high"] for one in bins)) - 1e-9)
    share = sum(one["share"] for one in bins if one["low"] and one["low"] > 0.999 * 10**decade)
    line = next(row for row in out.splitlines() if row.startswith(f"1e{decade} to 1e{decade + 1}"))
    assert f"{100 * share:.3g} %" in line


def test_rates_of_several_splits_say_which(call):
    table = call("toy-ce-s0", "--rates", "--split", "all", "--format", "table")[1]
    headings = [line.split()[-1] for line in table.splitlines() if line.startswith("toy-")]
    assert headings == ["train", "test"]


def test_rates_are_a_line_a_stretch(call):
    code, out, _ = call("toy-ce-s0", "--rates", "--format", "json")
    assert code == 0
    rows = json.loads(out)
    assert [(row["epoch_from"], row["epoch_to"]) for row in rows] == [(1, 10), (10, 100)]
    assert all(0 < row["nc1_decay"] < 1 for row in rows)
    table = call("toy-ce-s0", "--rates", "--format", "table")[1]
    assert "factor an epoch" in table
    assert "1 - 10" in table


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--classes 3 --density", "--density goes with checkpoints, not with --classes"),
        ("--classes 3 --exact --bias", "--bias and --exact go with checkpoints"),
        ("toy-ce-s0 --curvature ggn", "--curvature goes with --network"),
        ("toy-ce-s0 --double", "--double goes with --network"),
        ("--network a:b --hierarchy", "--hierarchy goes with checkpoints"),
        ("toy-ce-s0 --network a:b", "--network takes the place of checkpoints"),
        ("toy-ce-s0 --top 0", "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_belong_are_refused(call, words, message):
    code, out, err = call(*words.split())
    assert (code, out) == (2, "")
    assert message in err


def test_the_smallest_eigenvalue_is_a_number_in_every_format(call):
    """NumPy's scalars print as np.float64(...) where text is made of them."""
    for form in ("csv", "md", "auto"):
        code, out, _ = call("toy-ce-s0@last", "--smallest", "--format", form)
        assert code == 0
        assert "float64" not in out


def test_a_largest_eigenvalue_that_may_not_be_it_gives_no_condition_number(call):
    path = nccli.sample_data_path("runs") / "digits-mlp-ce-s0"
    code, out, err = call(f"{path}@last", "--max-passes", "1", "--format", "json", "--no-cache")
    assert code == 4
    (found,) = json.loads(out)
    assert found["status"] == "not converged"
    assert found["kappa_regularised_w"] is found["rate_regularised_w"] is None
    assert "a larger one may be there; kappa_regularised_w is left out" in err


@pytest.mark.parametrize("option", ["--lambda-w", "--lambda-h"])
def test_what_a_penalty_of_zero_leaves_out_is_named(option, call):
    code, out, _ = call("toy-ce-s0@last", option, "0", "--format", "json")
    assert code == 0
    (found,) = json.loads(out)
    for name in ("kappa_regularised_h", "lambda_max_joint_regularised"):
        assert found[name] is None
        assert any(name in note for note in found["notes"])
