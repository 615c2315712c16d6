"""When a condition first comes true in a run: the saved epoch, about where, and if it lasts."""

from __future__ import annotations

import json
import math
import random

import pytest
from conftest import make_runs
from rich.console import Console

from nccli.collapse import analyze
from nccli.collapse_report import CollapseReport
from nccli.condition import Condition
from nccli.crossing import crossings
from nccli.crossing_table import crossings_table
from nccli.errors import UsageError
from nccli.hdf5 import read_checkpoint
from nccli.render import rendered
from nccli.runs import run_folder

DETOUR = {1: 1.142, 10: 0.0284, 50: 0.0024, 100: 0.0349, 200: 0.00099}


def reports(nc1, *, run="runs/a", split="train", seed=0, **fields):
    """Reports of one run with the given NC1 by epoch."""
    return [
        CollapseReport(
            path=f"{run}/checkpoints/epoch-{epoch:05d}.h5",
            epoch=epoch,
            split=split,
            loss_name="cross-entropy",
            label_smoothing=0.0,
            seed=seed,
            nc1=value,
            **fields,
        )
        for epoch, value in nc1.items()
    ]


def crossing(results, text):
    (found,) = crossings(results, Condition.parse(text))
    return found


def test_the_first_saved_epoch_stands_beside_the_one_before_it():
    found = crossing(reports(DETOUR), "nc1<0.01")
    assert (found.epoch, found.value) == (50, 0.0024)
    assert (found.epoch_before, found.value_before) == (10, 0.0284)
    assert found.epoch_last == 200
    assert (found.path, found.split, found.seed) == ("runs/a", "train", 0)
    assert found.condition == "nc1<0.01"


def test_a_condition_that_is_lost_again_does_not_last():
    found = crossing(reports(DETOUR), "nc1 < 0.01")
    assert (found.lasting, found.epoch_lasting) == (False, 200)
    lasts = crossing(reports(DETOUR), "nc1 < 0.05")
    assert (lasts.epoch, lasts.lasting, lasts.epoch_lasting) == (10, True, 10)
    lost = crossing(reports({1: 0.1, 2: 0.5}), "nc1 < 0.2")
    assert (lost.epoch, lost.lasting, lost.epoch_lasting) == (1, False, None)


def test_what_falls_exponentially_is_met_at_its_own_epoch():
    law = {epoch: math.exp(-epoch / 30) for epoch in (1, 10, 50, 200)}
    found = crossing(reports(law), "nc1 < 0.1")
    assert found.epoch_interpolated == pytest.approx(30 * math.log(10))


def test_what_touches_zero_is_interpolated_as_it_is():
    results = [
        CollapseReport(path="r/checkpoints/x.h5", epoch=epoch, nc4=value)
        for epoch, value in ((0, 0.4), (10, 0.0))
    ]
    assert crossing(results, "nc4 < 0.1").epoch_interpolated == pytest.approx(7.5)


def test_a_number_that_rises_is_met_from_below():
    results = [
        CollapseReport(path="r/checkpoints/x.h5", epoch=epoch, feature_norm=value)
        for epoch, value in ((2, 1.0), (6, 4.0), (8, 5.0))
    ]
    found = crossing(results, "feature_norm >= 2")
    assert (found.epoch, found.epoch_interpolated) == (6, pytest.approx(4.0))


@pytest.mark.parametrize("text", ["nc1 == 0.0024", "nc1 != 1.142", "nc1 < 5"])
def test_there_is_no_epoch_in_between_of_an_equality_or_before_the_first_epoch(text):
    found = crossing(reports(DETOUR), text)
    assert found.epoch is not None
    assert found.epoch_interpolated is None


def test_a_strict_condition_is_met_where_the_value_is_still_equal():
    found = crossing(reports({1: 0.1, 5: 0.01}), "nc1 < 0.1")
    assert (found.epoch, found.epoch_interpolated) == (5, 1.0)
    assert crossing(reports({1: 0.1, 5: 0.01}), "nc1 <= 0.1").epoch == 1


def test_a_condition_that_never_comes_true_is_an_answer():
    found = crossing(reports(DETOUR), "nc1 < 1e-9")
    assert (found.epoch, found.value, found.epoch_before, found.epoch_interpolated) == (None,) * 4
    assert (found.lasting, found.epoch_lasting, found.epoch_last) == (None, None, 200)
    assert found.notes == ()


def test_an_undefined_value_is_not_true_and_is_noted():
    found = crossing(reports({1: 1.0, 2: None, 3: 0.01, 4: None}), "nc1 < 0.1")
    assert (found.epoch, found.epoch_before, found.value_before) == (3, 2, None)
    assert found.epoch_interpolated is None  # nobody knows where between 1 and 3
    assert found.lasting is False
    assert found.notes == ("nc1 is undefined at epoch 2, 4, counted as not true",)
    nowhere = crossing(reports({1: None, 2: None}), "nc1 < 0.1")
    assert nowhere.epoch is None
    assert nowhere.notes == ("nc1 is undefined at every epoch, counted as not true",)


def test_runs_and_splits_are_answered_apart_in_the_order_of_the_inputs():
    results = [
        *reports(DETOUR, run="runs/b"),
        *reports({1: 0.5}, run="runs/a"),
        *reports({1: 0.2}, run="runs/b", split="test"),
    ]
    found = crossings(results, Condition.parse("nc1 < 0.01"))
    assert [(one.path, one.split, one.epoch) for one in found] == [
        ("runs/b", "train", 50),
        ("runs/a", "train", None),
        ("runs/b", "test", None),
    ]


def test_the_order_of_the_epochs_in_the_batch_does_not_matter():
    results = reports(DETOUR)
    random.Random(4).shuffle(results)
    assert crossing(results, "nc1 < 0.01") == crossing(reports(DETOUR), "nc1 < 0.01")


def test_loose_files_of_one_folder_are_runs_by_their_loss_and_seed():
    assert run_folder("runs/a/checkpoints/epoch-00001.h5") == "runs/a"
    assert run_folder("loose/one.h5") == "loose"
    assert run_folder(None) is None
    results = [
        CollapseReport(path=f"loose/{seed}-{epoch}.h5", epoch=epoch, seed=seed, nc1=1 / epoch)
        for seed in (0, 1)
        for epoch in (1, 20 + seed)
    ]
    found = crossings(results, Condition.parse("nc1 < 0.1"))
    assert [(one.path, one.seed, one.epoch) for one in found] == [
        ("loose", 0, 20),
        ("loose", 1, 21),
    ]


def test_checkpoints_without_an_epoch_and_two_of_one_epoch_are_told():
    results = [CollapseReport(path="loose/a.h5", epoch=None, nc1=0.1)]
    found = crossing(results, "nc1 < 1")
    assert (found.epoch, found.epoch_last) == (None, None)
    assert found.notes == ("left out 1 checkpoint without an epoch",)
    twice = crossing([*reports({3: 0.1}), *reports({3: 0.2})], "nc1 < 1")
    assert twice.notes == ("several checkpoints of epoch 3: these may be several runs",)


@pytest.mark.parametrize(
    ("text", "message"),
    [("nc5 < 1", "no field 'nc5'; did you mean"), ("path < 1", "the field 'path' is not a number")],
)
def test_a_field_that_cannot_be_compared_is_a_usage_error(text, message):
    with pytest.raises(UsageError, match=message):
        crossings(reports(DETOUR), Condition.parse(text))


def test_no_results_have_no_crossings():
    assert crossings([], Condition.parse("nc1 < 1")) == []


def test_real_checkpoints_come_out_as_every_format(tmp_path):
    results = []
    for file in sorted(make_runs(tmp_path).glob("*/checkpoints/*.h5")):
        checkpoint = read_checkpoint(file)
        results += [analyze(checkpoint, split=split, path=str(file)) for split in ("train", "test")]
    found = crossings(results, Condition.parse("nc1 < 0.5"))
    assert [(one.loss_name, one.split) for one in found] == [
        (loss, split)
        for loss in ("cross-entropy", "label-smoothing")
        for split in ("train", "test")
    ]
    rows = json.loads(rendered(found, form="json"))
    assert [row["epoch"] for row in rows] == [one.epoch for one in found]
    assert rows[2]["epoch"] == 10
    assert rendered(found, form="csv").startswith("path,split,loss_name,label_smoothing,seed,cond")


def table(found):
    console = Console(width=80, markup=False)
    with console.capture() as captured:
        console.print(crossings_table(found))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_table_has_one_line_a_run_and_split_in_eighty_columns():
    results = [
        *reports(DETOUR, run="runs/digits-mlp-ls0.05-s0"),
        *reports({1: 1.106, 200: 0.2}, run="runs/digits-mlp-ce-s0"),
    ]
    assert table(crossings(results, Condition.parse("nc1 < 0.01"))) == [
        "runs  first epoch with nc1 < 0.01",
        "run                  split epoch  value before  value about for good",
        "digits-mlp-ls0.05-s0 train    50 0.0024     10 0.0284    27 from 200",
        "digits-mlp-ce-s0     train never",
    ]


def test_loose_files_show_their_loss_and_seed_and_names_stay_data():
    results = [
        CollapseReport(path="\x1b[31m/[red]/a.h5", epoch=1, seed=seed, nc1=0.1, split="[b]\n")
        for seed in (0, 1)
    ]
    lines = table(crossings(results, Condition.parse("nc1 < 1")))
    assert lines[0].startswith("\\x1b[31m")
    assert lines[2].startswith("[red] no loss seed 0 [b]\\n")
    assert lines[3].startswith("[red] no loss seed 1 [b]\\n")
