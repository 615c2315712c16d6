"""The command contract: formats, exit codes, one line an error, nothing driven by file text."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import make_runs, network
from golden_files import check_golden

from nccli import hdf5
from nccli.cli.app import run

ANALYZE_FIELDS = set(
    """
    path split epoch loss_name label_smoothing seed n num_classes dim accuracy loss nc1
    nc1_train_means nc2_features nc2_classifier nc2_duality nc2_equinorm_features
    nc2_equinorm_classifier nc2_equiangular_features nc2_equiangular_classifier nc3 nc4 cdnv
    weight_norm feature_norm nontarget_logit_spread notes
    """.split()
)
SCORE_FIELDS = set(
    """
    accuracy confidence nll brier ece ece_equal_mass ece_classwise mce ece_noise_floor
    overconfidence
    """.split()
)
CLOSED_FORM_FIELDS = set(
    """
    num_classes per_class dim lambda_w lambda_h label_smoothing logit_scale p_target p_other
    kappa_loss kappa_regularised kappa_joint spectrum
    """.split()
)
MEASURED_FIELDS = set(
    """
    lambda_max_w lambda_max_h lambda_max_joint trace_w trace_h kappa_means_w
    kappa_regularised_w kappa_regularised_h kappa_h_median kappa_h_p90
    """.split()
)


@pytest.fixture
def call(capsys, monkeypatch, run_folder):
    """Run a command line beside the toy runs; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(run_folder)
    monkeypatch.setenv("COLUMNS", "100")

    def calling(*words):
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


def test_analyze_gives_every_field_of_the_contract(call):
    code, out, err = call("analyze", "toy-ce-s0", "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert err == ""
    assert [(row["epoch"], row["split"]) for row in rows] == [
        (epoch, split) for epoch in (1, 10, 100) for split in ("train", "test")
    ]
    assert set(rows[0]) >= ANALYZE_FIELDS
    assert rows[0]["path"] == "toy-ce-s0/checkpoints/epoch-00001.h5"


def test_calibrate_gives_every_field_of_the_contract(call):
    code, out, _ = call("calibrate", "toy-ce-s0@1", "--format", "json")
    (row,) = json.loads(out)
    assert code == 0
    assert row["split"] == "test"
    assert {"path", "n", "temperature", "bins", "calibrated", *SCORE_FIELDS} <= set(row)
    assert set(row["calibrated"]) >= SCORE_FIELDS
    assert set(row["bins"][0]) >= {"lower", "upper", "count", "confidence", "accuracy"}
    assert len(row["bins"]) == 15


def test_the_closed_form_gives_one_object_a_delta(call):
    code, out, _ = call(
        *"hessian --classes 4 --per-class 25 --dim 8 --lambda-w 5e-3".split(),
        *"--lambda-h 1e-3 --smoothing 0,0.05,0.1 --format json".split(),
    )
    rows = json.loads(out)
    assert code == 0
    assert [row["label_smoothing"] for row in rows] == [0.0, 0.05, 0.1]
    assert set(rows[0]) >= CLOSED_FORM_FIELDS
    assert sum(entry["multiplicity"] for entry in rows[0]["spectrum"]) == 4 * 8 + 100 * 8
    assert set(rows[0]["spectrum"][0]) == {"value", "multiplicity", "block"}


def test_the_measured_hessian_gives_each_value_with_its_theory(call):
    code, out, err = call("hessian", "toy-ls0.1-s0@last", "--format", "json")
    (row,) = json.loads(out)
    assert code == 0
    assert set(row) >= MEASURED_FIELDS
    assert {f"theory_{name}" for name in MEASURED_FIELDS} <= set(row)
    assert "norm balance" in err


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "md", "auto", "table"])
@pytest.mark.parametrize("command", ["analyze", "hessian", "calibrate", "check"])
def test_every_format_gives_the_same_bytes_twice_and_no_colour(call, command, form):
    words = (command, "toy-ls0.1-s0", "--format", form)
    code, out, _ = call(*words)
    assert code == 0
    assert call(*words)[1] == out
    assert "\x1b" not in out
    assert out.endswith("\n")


def test_csv_and_json_hold_the_same_numbers(call):
    rows = json.loads(call("analyze", "toy-ce-s0", "-f", "json")[1])
    table = list(csv.DictReader(io.StringIO(call("analyze", "toy-ce-s0", "-f", "csv")[1])))
    assert [float(row["nc1"]) for row in table] == [row["nc1"] for row in rows]


def test_auto_on_a_pipe_is_columns_between_tabs_without_box_glyphs(call):
    out = call("analyze", "toy-ce-s0@1")[1]
    header, *lines = out.splitlines()
    assert header.split("\t")[:3] == ["path", "epoch", "split"]
    assert all(line.count("\t") == header.count("\t") for line in lines)
    assert out.isascii()


def test_the_split_option_picks_one(call):
    rows = json.loads(call("analyze", "toy-ce-s0", "--split", "test", "-f", "json")[1])
    assert {row["split"] for row in rows} == {"test"}
    code, _, err = call("analyze", "toy-ce-s0@1", "--split", "val")
    assert code == 3
    assert "has no split 'val'; it holds: train, test" in err


def test_paths_come_from_stdin(call, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("toy-ce-s0@1\n\ntoy-ls0.1-s0@last\n"))
    rows = json.loads(call("analyze", "-", "--split", "train", "-f", "json")[1])
    assert [row["epoch"] for row in rows] == [1, 100]


def break_in_the_middle():
    path = Path("toy-ce-s0/checkpoints/epoch-00010.h5")
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("command", ["analyze", "hessian", "calibrate"])
def test_one_bad_file_is_one_line_and_the_rest_goes_on(call, command):
    break_in_the_middle()
    code, out, err = call(command, "toy-ce-s0", "--format", "json")
    assert code == 4
    assert {row["epoch"] for row in json.loads(out)} == {1, 100}
    lines = [line for line in err.splitlines() if "epoch-00010.h5" in line]
    assert len(lines) == 1
    assert lines[0].startswith("nccli: toy-ce-s0/checkpoints/epoch-00010.h5: truncated HDF5 file")


def test_check_reports_every_file_and_how_to_mend_it(call):
    break_in_the_middle()
    code, out, err = call("check", "toy-ce-s0", "nothing", "--format", "json")
    rows = json.loads(out)
    assert code == 4
    assert [row["ok"] for row in rows] == [True, False, True, False]
    assert "copy it again" in rows[1]["remedy"]
    assert "nothing: no such file" in err
    assert call("check", "toy-ls0.1-s0")[0] == 0
    assert call("check", "nothing")[0] == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["analyze", "nothing"], 3, "nccli: nothing: no such file or directory"),
        (["analyze"], 2, "nothing to analyze"),
        (["analyze", "toy-ce-s0", "--format", "xml"], 2, "unknown format 'xml'; try one of: auto"),
        (["analyze", "toy-ce-s0", "--fail-if", "nc1"], 2, "cannot read the condition 'nc1'"),
        (["analyze", "toy-ce-s0", "--fail-if", "nc9>1"], 2, "no field 'nc9'; did you mean"),
        (["analise", "x"], 2, "Did you mean 'analyze'?"),
        (["analyze", "x", "--formt", "json"], 2, "No such option: --formt"),
        (["hessian"], 2, "give checkpoints, or --classes"),
        (["hessian", "toy-ce-s0", "--classes", "3"], 2, "not both"),
        (["hessian", "--classes", "5", "--dim", "3"], 2, "needs d >= K - 1 = 4, got d = 3"),
        (["hessian", "--classes", "5", "--smoothing", "a"], 2, "must be numbers between commas"),
        (["hessian", "--classes", "1"], 2, "K must be at least 2"),
        (["calibrate", "toy-ce-s0", "--bins", "0"], 2, "--bins"),
        (["view"], 2, "the terminal UI needs a terminal"),
        (["view", "nothing"], 3, "no run directory here"),
        (["view", "--screenshot", "no/x.svg", "toy-ce-s0"], 3, "nccli: no: no such directory"),
        (["view", "--screenshot", "x.svg", "--size", "0x9", "toy-ce-s0"], 2, "1x1 to 1000x1000"),
        (["view", "--screenshot", "x.svg", "--press", "2,entr", "toy-ce-s0"], 2, "named 'entr'"),
        (["analyze", ""], 3, "an empty path"),
        (["analyze", "toy-ce-s0", "--fail-if", "nc1 > nan"], 2, "cannot read the condition"),
        (["hessian", "toy-ce-s0", "--dim", "3"], 2, "go with --classes, not with paths"),
        (["hessian", "toy-ce-s0", "--lambda-w", "inf"], 2, "must be finite and not negative"),
        (["hessian", "--classes", "3", "--fail-if", "kappa_los>1"], 2, "no field 'kappa_los'"),
        (["hessian", "--classes", "3", "--per-class", "1" + "0" * 300], 2, "must not be above"),
        (["compare", "x" * 5000], 3, "cannot be looked up"),
        (["compare", "toy-ce-s0"], 3, "needs runs of cross-entropy and of label smoothing"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(call, words, code, message):
    found, out, err = call(*words)
    assert found == code
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith("nccli: ")


@pytest.mark.parametrize(
    ("condition", "code"), [("nc1 > 0", 1), ("nc1 > 1e9", 0), ("accuracy < 2", 1)]
)
def test_fail_if_makes_a_claim_a_check(call, condition, code):
    found, out, err = call("analyze", "toy-ce-s0", "--fail-if", condition, "-f", "json")
    assert found == code
    assert len(json.loads(out)) == 6  # the results are printed all the same
    assert (condition in err) == (code == 1)


def test_fail_if_does_not_pass_over_what_is_undefined(call, tmp_path):
    h, y, _, _ = network(0)
    hdf5.write_checkpoint(tmp_path / "bare.h5", splits={"train": (h, y)})
    code, _, err = call("analyze", tmp_path / "bare.h5", "--fail-if", "nc3 > 1")
    assert code == 4
    assert "could not be decided" in err


def written(path, **changes):
    h, y, weight, bias = network(0)
    options = {"splits": {"train": (h, y)}, "weight": weight, "bias": bias} | changes
    hdf5.write_checkpoint(path, **options)
    return path


BAD_CONTENT = {
    "collapse needs at least 2": lambda h, y: (h, np.zeros_like(y)),
    "train/features holds NaN": lambda h, y: (np.where(h == h.max(), np.nan, h), y),
    "train/features holds NaN or Inf": lambda h, y: (np.where(h == h.max(), np.inf, h), y),
}


@pytest.mark.parametrize("message", BAD_CONTENT)
def test_content_that_cannot_be_used_is_one_line(call, tmp_path, message):
    h, y, _, _ = network(0)
    path = written(tmp_path / "bad.h5", splits={"train": BAD_CONTENT[message](h, y)})
    code, out, err = call("analyze", path, "toy-ce-s0@1", "-f", "json")
    assert code == 4
    assert len(json.loads(out)) == 2
    assert err.count("\n") == 1
    assert f"nccli: {path}: " in err
    assert message in err


def test_an_empty_class_is_named_and_the_rest_is_measured(call, tmp_path):
    h, y, _, _ = network(0)
    path = written(tmp_path / "gap.h5", splits={"train": (h[y != 3], y[y != 3])})
    code, out, err = call("analyze", path, "-f", "json")
    assert code == 0
    assert json.loads(out)[0]["nc1"] is not None
    assert f"{path} (train): no samples of class 3 in train" in err


def test_a_file_without_classifier_is_measured_as_far_as_it_goes(call, tmp_path):
    path = written(tmp_path / "bare.h5", weight=None, bias=None)
    code, out, err = call("analyze", path, "-f", "json")
    (row,) = json.loads(out)
    assert code == 0
    assert row["nc1"] is not None
    assert row["nc3"] is None
    assert "no classifier" in err
    assert call("hessian", path)[0] == 3
    assert call("calibrate", path)[0] == 3


def test_scores_with_and_without_a_temperature_stand_in_one_table(call, tmp_path):
    h, y, weight, bias = network(0)
    right = 9.0 * np.eye(5)[y]
    written(tmp_path / "right.h5", splits={"train": (h, y, right), "test": (h, (y + 1) % 5, right)})
    mixed = 3.0 * np.random.default_rng(0).normal(size=right.shape) + right / 3
    written(tmp_path / "mixed.h5", splits={"train": (h, y, mixed)}, weight=weight, bias=bias)
    for form in ("csv", "md", "auto"):
        words = ("calibrate", tmp_path, "--split", "train", "-f", form)
        code, out, _ = call(*words)
        assert code == 0
        assert len({line.count("|") for line in out.splitlines()}) == 1
        assert "calibrated_ece" in out
    code, _, err = call("calibrate", tmp_path / "right.h5", "--fail-if", "calibrated_ece > 1")
    assert code == 4
    assert "could not be decided" in err


def test_a_split_of_one_class_leaves_the_others_alone(call, tmp_path):
    h, y, _, _ = network(0)
    path = written(tmp_path / "f.h5", splits={"train": (h, y), "val": (h[y == 1], y[y == 1])})
    code, out, err = call("analyze", path, "-f", "json")
    assert code == 4
    assert [row["split"] for row in json.loads(out)] == ["train"]
    assert err.count("val/labels holds samples of 1 class") == 1


def test_one_file_with_a_wild_penalty_does_not_stop_the_batch(call, tmp_path):
    path = written(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["weight_decay"] = -5e-4
    code, out, err = call("hessian", "toy-ce-s0@1", path, "-f", "json")
    assert code == 4
    assert len(json.loads(out)) == 1
    assert f"{path}: root attribute 'weight_decay' must be finite and not negative" in err


def test_a_glob_of_directories_of_files_means_the_files(call, run_folder):
    for name in ("d1", "d2"):
        (run_folder / name).mkdir()
        written(run_folder / name / "a.h5")
    assert len(json.loads(call("analyze", "d?", "-f", "json")[1])) == 2
    assert call("analyze", "d?", "--fail-if", "nc1 > 0")[0] == 1


def test_a_run_without_checkpoints_does_not_void_the_glob(call, run_folder):
    (run_folder / "toy-fresh" / "checkpoints").mkdir(parents=True)
    code, out, err = call("analyze", "toy-*", "-f", "json")
    assert code == 4
    assert len(json.loads(out)) == 12
    assert err == "nccli: toy-fresh: the run has no checkpoint yet; wait for its first one\n"


def test_compare_takes_each_run_once_and_refuses_two_of_one_seed(call, run_folder):
    once = call("compare", ".", "-f", "csv")
    assert call("compare", ".", "*", "toy-ce-s0", "-f", "csv") == once
    shutil.copytree(run_folder / "toy-ce-s0", run_folder / "again")
    code, _, err = call("compare", ".")
    assert code == 2
    assert "two runs of CE have seed 0: again and toy-ce-s0" in err


@pytest.mark.parametrize(("stream", "code"), [(">/dev/full", 3), (">&-", 0), ("<&-", 2)])
def test_broken_streams_are_no_bugs(run_folder, stream, code):
    words = "-" if stream == "<&-" else str(run_folder)
    command = f"{sys.executable} -m nccli analyze {words} -f csv {stream}"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_encoding_without_the_glyphs_is_no_bug(run_folder):
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = nccli("check", str(run_folder), "-f", "table", env=environment)
    assert done.returncode == 0
    assert "\\u2713" in done.stdout


def test_text_from_files_never_reaches_the_terminal_as_commands(call, tmp_path):
    evil = "\x1b]0;owned\x07[red]x[/red][@click=app.quit]y\nz"
    folder = tmp_path / "runs" / "[bold]r\x1b[2J"
    make_runs(folder, groups=(("ce", 0.0), ("ls0.1", 0.1)), epochs=(1,))
    for path in folder.glob("*/checkpoints/*.h5"):
        with h5py.File(path, "r+") as file:
            file.attrs["loss"] = evil
    for command in ("analyze", "hessian", "calibrate", "check"):
        for form in ("table", "csv", "md", "json", "auto"):
            _, out, err = call(command, folder, "--format", form)
            assert "\x1b" not in out + err, (command, form)
            assert "\x07" not in out + err
    assert "[red]x[/red]" in call("analyze", folder, "--format", "table")[1]


def test_a_bug_is_one_line_and_its_own_exit_code(call, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("oh\x1b")

    monkeypatch.setattr("nccli.collapse.analyze", broken)
    code, _, err = call("analyze", "toy-ce-s0")
    assert code == 70
    assert err == ("nccli: a bug in nccli: ZeroDivisionError: oh\\x1b; run it with NCCLI_DEBUG=1\n")
    monkeypatch.setenv("NCCLI_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(["analyze", "toy-ce-s0"])


def test_ctrl_c_is_quiet_and_130(call, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("nccli.collapse.analyze", pressed)
    code, _, err = call("analyze", "toy-ce-s0")
    assert code == 130
    assert err == "nccli: interrupted\n"


def test_jsonl_streams_so_that_an_interrupted_batch_keeps_what_it_has(call, monkeypatch):
    from nccli import collapse

    real, calls = collapse.analyze, []

    def second_is_interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 3:  # the second file
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr("nccli.collapse.analyze", second_is_interrupted)
    code, out, _ = call("analyze", "toy-ce-s0", "-f", "jsonl")
    assert code == 130
    assert [json.loads(line)["split"] for line in out.splitlines()] == ["train", "test"]


GOLDEN = {
    "analyze-run": "analyze toy-ce-s0 --format table",
    "analyze-file": "analyze toy-ls0.1-s0@last --format table",
    "analyze-file-jsonl": "analyze toy-ls0.1-s0@last --format jsonl",
    "analyze-run-md": "analyze toy-ls0.1-s0 --split test --format md",
    "calibrate-file": "calibrate toy-ce-s0@1 --format table",
    "calibrate-run": "calibrate toy-ce-s0 --format table",
    "hessian-closed-form": "hessian --classes 4 --per-class 25 --smoothing 0.1 --format table",
    "hessian-deltas": "hessian --classes 10 --per-class 5000 --dim 512 --format table",
    "hessian-file": "hessian toy-ls0.1-s0@1 --format table",
    "check": "check toy-ce-s0 --format table",
    "compare": "compare . --format table",
    "help": "--help",
    "help-analyze": "analyze --help",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_output_is_the_golden_one(call, name):
    code, out, _ = call(*GOLDEN[name].split())
    assert code == 0
    check_golden(f"cli/{name}.txt", rounded(out))


def rounded(text):
    """Machine formats print every digit, and the last ones are those of one kind of processor."""
    return re.sub(r"(?=[\d.]{9})\d+\.\d+(e-?\d+)?", lambda one: f"{float(one[0]):.6g}", text)


def nccli(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "nccli", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_the_module_runs_as_a_program():
    done = nccli("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("nccli 0.")


def test_a_closed_pipe_is_quiet(run_folder):
    with subprocess.Popen(
        [sys.executable, "-m", "nccli", "analyze", str(run_folder), "-f", "csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0  # not 1: that would be a --fail-if come true


def test_train_without_torch_says_what_to_install(call, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, out, err = call("train")
    assert code == 2
    assert out == ""
    assert err == "nccli: training needs PyTorch; pip install 'nccli[train]'\n"
