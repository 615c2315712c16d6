"""Run directories and the words that name inputs."""

from __future__ import annotations

import pytest
from conftest import make_runs

from nccli import runs
from nccli.errors import InputError, NotFoundError


def names(found):
    return [item.name if hasattr(item, "name") else type(item).__name__ for item in found]


def test_a_run_directory_means_its_checkpoints_by_epoch(run_folder):
    found = runs.expand([str(run_folder / "toy-ce-s0")])
    assert names(found) == ["epoch-00001.h5", "epoch-00010.h5", "epoch-00100.h5"]


def test_a_directory_of_runs_means_all_of_them(run_folder):
    assert len(runs.expand([str(run_folder)])) == 6
    assert len(runs.expand([str(run_folder.parent)])) == 6


def test_a_glob_means_what_it_matches_once(run_folder):
    pattern = str(run_folder / "**" / "epoch-0001*.h5")
    assert names(runs.expand([pattern])) == ["epoch-00010.h5"] * 2
    both = runs.expand([str(run_folder / "*"), str(run_folder / "*ce*")])
    assert len(both) == 6


@pytest.mark.parametrize(
    ("word", "name"),
    [("@10", "epoch-00010.h5"), ("@last", "epoch-00100.h5"), ("@first", "epoch-00001.h5")],
)
def test_an_epoch_of_a_run_is_named_with_at(run_folder, word, name):
    assert names(runs.expand([f"{run_folder / 'toy-ce-s0'}{word}"])) == [name]


def test_a_glob_takes_an_epoch_too(run_folder):
    found = runs.expand([f"{run_folder}/*@last"])
    assert names(found) == ["epoch-00100.h5"] * 2
    missing = runs.expand([f"{run_folder}/*x*@last"])
    assert "matches no run directory" in str(missing[0])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing", "no such file or directory"),
        ("toy-ce-s0@11", "has no checkpoint of epoch 11; saved: 1, 10, 100"),
        ("nothing@3", "not a run directory"),
        ("*.npz", "the pattern matches no .h5 file"),
        ("empty", "no run and no .h5 file in this directory"),
        ("fresh", "the run has no checkpoint yet"),
    ],
)
def test_a_word_that_names_nothing_is_an_error_in_its_place(run_folder, word, message, monkeypatch):
    monkeypatch.chdir(run_folder)
    (run_folder / "empty").mkdir()
    (run_folder / "fresh" / "checkpoints").mkdir(parents=True)
    found = runs.expand(["toy-ce-s0@1", word, "toy-ce-s0@last"])
    assert names(found)[0] == "epoch-00001.h5"
    assert names(found)[2] == "epoch-00100.h5"
    assert isinstance(found[1], InputError)
    assert message in str(found[1])


def test_runs_are_found_in_natural_order(tmp_path):
    for name in ("run10", "run9", "run1"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
    (tmp_path / ".hidden" / "checkpoints").mkdir(parents=True)
    assert [path.name for path in runs.find_runs(tmp_path)] == ["run1", "run9", "run10"]


def test_a_link_cycle_does_not_hang_the_search(tmp_path):
    make_runs(tmp_path / "runs", epochs=(1,))
    (tmp_path / "runs" / "loop").symlink_to(tmp_path)
    assert len(runs.find_runs(tmp_path)) == 2


def test_a_run_tells_its_settings_and_status(run_folder):
    run = runs.read_run(run_folder / "toy-ce-s0")
    assert run.status == "finished"
    assert run.settings["seed"] == 0
    assert len(run.checkpoints) == 3


@pytest.mark.parametrize("text", ["{", "[1]", "\x00", "9" * 5000, "[" * 100_000])
def test_a_damaged_run_file_is_told_and_the_checkpoints_stay_usable(run_folder, text):
    (run_folder / "toy-ce-s0" / "run.json").write_text(text)
    run = runs.read_run(run_folder / "toy-ce-s0")
    assert "run.json" in run.problem
    assert len(run.checkpoints) == 3


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="not a run directory"):
        runs.read_run(tmp_path)


def test_a_torn_last_line_of_the_log_is_ignored(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b'{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert [entry["epoch"] for entry in runs.read_log(tmp_path)] == [1, 2]
    (tmp_path / "log.jsonl").write_bytes(b'{"epoch": 1}\nnot json\n[]\n{"epoch": 3}\n')
    assert [entry["epoch"] for entry in runs.read_log(tmp_path)] == [1, 3]


def test_the_same_missing_file_twice_is_one_error(run_folder):
    found = runs.expand(["gone.h5", str(run_folder / "toy-ce-s0"), "gone.h5", "lost.h5"])
    errors = [str(item) for item in found if isinstance(item, InputError)]
    assert [text.split(":")[0] for text in errors] == ["gone.h5", "lost.h5"]
    assert len(found) == 5
