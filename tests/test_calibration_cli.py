"""`nccli calibrate` as a script sees it: modes, fields, charts, figures, refusals."""

from __future__ import annotations

import csv
import io
import json

import h5py
import numpy as np
import pytest
from conftest import make_runs

from nccli.cli.app import run

LAST = ("toy-ce-s0@last", "toy-ls0.1-s0@last")


@pytest.fixture
def call(command):
    return command("calibrate")


def records(out):
    return json.loads(out)


def test_every_score_has_an_interval_in_json_and_csv(call):
    code, out, _ = call(LAST[0], "--format", "json", "--resamples", "50")
    assert code == 0
    (found,) = records(out)
    for name, interval in found["intervals"].items():
        assert interval is None or interval["low"] <= interval["high"], name
    assert found["calibrated_intervals"]["ece"]["low"] >= 0
    assert found["change_intervals"]["accuracy"] == {"low": 0.0, "high": 0.0, "bias": 0.0}
    assert all(one["band_low"] <= one["band_high"] for one in found["bins"] if one["count"])
    row = next(csv.DictReader(io.StringIO(call(LAST[0], "-f", "csv", "--resamples", "50")[1])))
    assert float(row["intervals_ece_high"]) == found["intervals"]["ece"]["high"]
    assert float(row["calibrated_ece"]) == found["calibrated"]["ece"]


def test_columns_are_the_same_whatever_was_asked_for(call):
    plain = call(LAST[0], "--format", "csv")[1].splitlines()[0]
    none = call(LAST[0], "--format", "csv", "--resamples", "0", "--bins", "7")[1]
    assert none.splitlines()[0] == plain


def test_nothing_but_the_seed_changes_the_bytes(call):
    words = (LAST[0], "--format", "json", "--resamples", "50")
    assert call(*words) == call(*words)
    assert call(*words)[1] != call(*words, "--seed", "1")[1]


def test_the_protocol_and_the_split_that_was_fitted_on_are_told(call):
    (paper,) = records(call(LAST[0], "--protocol", "paper", "--format", "json")[1])
    assert len(paper["bins"]) == 20
    assert "the scored split itself" in paper["recalibration"]
    (other,) = records(call(LAST[0], "--fit", "train", "--format", "json")[1])
    assert other["protocol"] == "split"
    assert other["recalibration"].startswith("temperature, fitted on train")
    (vector,) = records(call(LAST[0], "--recalibrate", "vector", "--format", "json")[1])
    assert vector["recalibration"] == "vector, cross-fitted"


def test_a_missing_split_to_fit_on_is_one_line(call):
    code, _, err = call(LAST[0], "--fit", "val", "--format", "json")
    assert code == 3
    assert "val" in err
    assert len(err.splitlines()) == 1


def test_classes_are_a_line_each(call):
    code, out, _ = call(LAST[0], "--per-class", "--format", "json")
    assert code == 0
    found = records(out)
    assert [one["label"] for one in found] == [0, 1, 2, 3, 4]
    assert sum(one["predicted"] for one in found) == sum(one["count"] for one in found) == 40
    (whole,) = records(call(LAST[0], "--format", "json")[1])
    right = sum(one["accuracy"] * one["predicted"] for one in found if one["predicted"])
    assert right / 40 == pytest.approx(whole["accuracy"])
    assert np.mean([one["ece"] for one in found]) == pytest.approx(whole["ece_classwise"])
    assert "predicted" in call(LAST[0], "--per-class", "--format", "table")[1]


def test_pairs_are_told_with_both_values(call):
    code, out, _ = call(*LAST, "--paired", "--format", "json", "--resamples", "60")
    assert code == 0
    rows = {row["score"]: row for row in records(out)}
    (ce,), (ls,) = (records(call(one, "--format", "json")[1]) for one in LAST)
    for name in ("ece", "nll", "accuracy", "aurc"):
        row = rows[name]
        assert row["baseline_value"] == pytest.approx(ce[name])
        assert row["other_value"] == pytest.approx(ls[name])
        assert row["difference"] == pytest.approx(ls[name] - ce[name])
        assert row["low"] <= row["high"]
        assert row["baseline_calibrated"] == pytest.approx(ce["calibrated"][name])
    assert "recalibrated, each" in call(*LAST, "--paired", "-f", "table", "--resamples", "60")[1]


def test_pairs_of_nothing_are_said(call):
    code, out, err = call(LAST[0], "--paired", "--format", "table", "--resamples", "20")
    assert code == 0
    assert "found no single cross-entropy checkpoint" in err
    assert out == ""
    code, out, _ = call(LAST[0], "--paired", "--format", "json", "--resamples", "20")
    assert (code, json.loads(out)) == (0, [])


def test_relations_stand_beside_each_other(call):
    code, out, _ = call("toy-ce-s0", "toy-ls0.1-s0", "--relations", "--format", "json")
    assert code == 0
    found = records(out)
    assert len(found) == 6
    for one in found:
        assert one["nc1"] > 0
        assert one["logit_size"] > 0
        assert one["weight_norm"] > 0
    assert found[-1]["confidence_collapsed"] == pytest.approx(1 - 0.1 * 4 / 5)
    table = call("toy-ce-s0", "toy-ls0.1-s0", "--relations", "--format", "table")[1]
    assert "is the temperature the norm?" in table


def test_relations_of_both_splits_stay_apart(call):
    words = ("toy-ce-s0", "toy-ls0.1-s0", "--relations", "--split", "all", "--format", "table")
    out = call(*words)[1]
    headings = [line for line in out.splitlines() if line.startswith("toy-")]
    assert len(headings) == 4
    ratios = [line for line in out.splitlines() if line.startswith("LS 0.1 ")]
    assert 1 <= len(ratios) <= 2


def test_both_splits_of_a_file_are_a_table_each(call):
    out = call(LAST[0], "--split", "all", "--format", "table", "--resamples", "20")[1]
    assert out.count("NLL") == 2
    assert "…" not in out


def test_what_was_fitted_on_itself_is_refused(call):
    code, _, err = call(LAST[0], "--fit", "test", "--format", "json")
    assert code == 3
    assert "--protocol paper" in err


def test_rank_correlations_need_a_few_epochs(tmp_path, capsys, monkeypatch):
    make_runs(tmp_path, epochs=(1, 3, 10, 30, 100))
    monkeypatch.chdir(tmp_path)
    assert run(["calibrate", "toy-ce-s0", "--relations", "-f", "table", "--no-cache"]) == 0
    assert "Spearman" in capsys.readouterr().out


def test_charts_by_epoch_and_side_by_side(call, monkeypatch):
    curves = call("toy-ce-s0", "toy-ls0.1-s0", "--chart", "--resamples", "0")[1]
    assert "ECE" in curves
    assert "log n" not in curves
    assert "not shown" not in curves  # underconfident epochs are negative, not absent
    monkeypatch.setenv("COLUMNS", "130")
    both = call(*LAST, "--chart", "--resamples", "50")[1]
    assert any(line.count("log n") == 2 for line in both.splitlines())
    monkeypatch.setenv("COLUMNS", "80")
    below = call(*LAST, "--chart", "--resamples", "50")[1]
    assert sum(line.count("log n") for line in below.splitlines()) == 2
    assert all(line.count("log n") < 2 for line in below.splitlines())


@pytest.mark.parametrize("paths", [LAST, ("toy-ce-s0", "toy-ls0.1-s0")])
def test_figures_are_whole_files_and_the_same_every_time(call, tmp_path, paths):
    pytest.importorskip("matplotlib")
    files = [tmp_path / f"{name}.svg" for name in "ab"]
    for file in files:
        code, _, err = call(*paths, "--figure", str(file), "-f", "csv", "--resamples", "50")
        assert code == 0
        assert "wrote" in err
    assert files[0].read_bytes() == files[1].read_bytes()
    words = ("ECE", "confidence") if paths == LAST else ("ECE", "epoch")
    assert all(word in files[0].read_text() for word in words)


def test_too_many_diagrams_are_refused_by_number(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    make_runs(tmp_path / "runs", epochs=(5,), seeds=(0, 1, 2, 3))
    words = ["--figure", str(tmp_path / "a.pdf"), "--resamples", "0", "--no-cache", "-f", "csv"]
    assert run(["calibrate", str(tmp_path / "runs"), *words]) == 3
    captured = capsys.readouterr()
    assert "8 reliability diagrams do not fit on a page" in captured.err
    assert len(captured.out.splitlines()) == 9  # the table is there all the same
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--per-class", "--paired"),
        ("--paired", "--relations"),
        ("--per-class", "--chart"),
        ("--relations", "--fit", "train"),
        ("--paired", "--resamples", "0"),
        ("--paired", "--fail-if", "ece > 1"),
        ("--protocol", "papr"),
        ("--recalibrate", "platt"),
        ("--fit", "train", "--protocol", "paper"),
        ("--fit", "train", "--folds", "3"),
        ("--per-class", "--folds", "3"),
        ("--relations", "--resamples", "5"),
        ("--per-class", "--seed", "1"),
    ],
)
def test_what_makes_no_sense_together_is_a_usage_error(call, words):
    code, out, err = call(LAST[0], *words)
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1


def test_probabilities_in_a_file(call, run_folder, tmp_path):
    source = next(run_folder.glob("toy-ce-s0/checkpoints/*00100.h5"))
    target = tmp_path / "p.h5"
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        logits = file["test/features"][...] @ file["classifier/weight"][...].T
        logits += file["classifier/bias"][...]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        file["test/logits"] = p / p.sum(axis=1, keepdims=True)
    code, out, err = call(str(target), "--format", "json", "--resamples", "0")
    assert code == 0
    assert "give --probabilities" in err
    (read,) = records(
        call(str(target), "--probabilities", "--format", "json", "--resamples", "0")[1]
    )
    (exact,) = records(call(LAST[0], "--format", "json", "--resamples", "0")[1])
    assert read["ece"] == pytest.approx(exact["ece"], abs=1e-5)
    assert records(out)[0]["ece"] != pytest.approx(exact["ece"], abs=1e-2)
    code, _, err = call(LAST[0], "--probabilities", "--format", "json")
    assert code == 3
    assert "leave --probabilities out" in err
