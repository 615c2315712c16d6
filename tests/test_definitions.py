"""Every field is documented, and what the documentation says of a number is true of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from conftest import checkpoint, simplex
from rich.console import Console

from nccli import collapse, render
from nccli.calibration import CalibrationReport
from nccli.checkpoint import Checkpoint
from nccli.collapse_report import CollapseReport
from nccli.definitions import Definition, definitions, definitions_text
from nccli.result import columns, quantities, record

# What is measured has a source; what only says which file, run or split it was measured on, not.
PLUMBING = {
    "path", "split", "epoch", "loss_name", "label_smoothing", "seed", "n", "num_classes", "dim",
    "notes",
}  # fmt: skip


def by_name(result_type=CollapseReport):
    return {one.name: one for one in definitions(result_type)}


def printed(width, found=None):
    console = Console(width=width, color_system=None, force_terminal=False, markup=False)
    with console.capture() as capture:
        console.print(definitions_text(definitions() if found is None else found))
    return capture.get()


def test_every_field_of_the_contract_has_a_definition_under_its_json_name():
    assert list(by_name()) == list(record(CollapseReport()))
    assert [one.name for one in definitions() if not one.definition] == []


def test_every_metric_says_where_it_comes_from():
    missing = [one.name for one in definitions() if one.name not in PLUMBING and not one.source]
    assert missing == []


def test_what_has_a_value_at_collapse_says_which_way_is_better():
    assert [
        one.name for one in definitions() if one.at_collapse is not None and not one.better
    ] == []


def test_no_two_fields_share_a_label_or_a_definition():
    for words in ("label", "definition"):
        counts = Counter(getattr(one, words) for one in definitions())
        assert [text for text, count in counts.items() if count > 1] == []


def test_at_exact_collapse_every_metric_has_the_value_it_promises():
    features, labels, weight = simplex()
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    report = collapse.analyze(point)
    promised = [one for one in definitions() if one.at_collapse is not None]
    assert len(promised) >= 12
    for one in promised:
        assert getattr(report, one.name) == pytest.approx(one.at_collapse, abs=1e-7), one.name


def test_what_is_said_to_be_the_same_number_on_every_split_is_and_nothing_else():
    point = checkpoint(4, noise=2.0)
    train, test = (collapse.analyze(point, split=split) for split in ("train", "test"))
    same = {one.name for one in definitions() if one.on_test.startswith("the same number")}
    metrics = [one.name for one in definitions() if one.better or one.name == "weight_norm"]
    assert {name for name in metrics if getattr(train, name) == getattr(test, name)} == same


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("nc1", "leave out 1/K: multiply by K"),
        ("nc1", "a class without samples a zero mean"),
        ("nc2_features", "mu_G as the average of the samples"),
        ("nc2_duality", "called NC3 by Zhu et al."),
        ("nc3", "square"),
        ("nc4", "leaves out the bias"),
    ],
)
def test_the_known_differences_to_other_codes_are_told(field, words):
    assert words in by_name()[field].elsewhere


def test_definitions_are_data_for_every_machine_format():
    objects = json.loads(render.rendered(definitions(), form="json"))
    assert objects[0].keys() == quantities(Definition).keys()
    nc1 = next(one for one in objects if one["name"] == "nc1")
    assert (nc1["at_collapse"], nc1["better"]) == (0.0, "lower")
    table = render.rendered(definitions(), form="csv").splitlines()
    assert len(table) == 1 + len(quantities(CollapseReport))


@pytest.mark.parametrize("width", [80, 60, 40])
def test_the_blocks_wrap_and_lose_no_word(width):
    text = printed(width)
    assert max(len(line) for line in text.splitlines()) <= width
    words = set(text.split())
    for one in definitions():
        assert one.name in words
        for told in (one.definition, one.source, one.elsewhere, one.on_test):
            assert {word.rstrip(";") for word in told.split()} <= {w.rstrip(";") for w in words}


def test_brackets_in_a_definition_are_no_markup():
    assert "[k = y]" in printed(80, definitions(CalibrationReport))


def test_a_nested_result_is_documented_under_the_names_of_its_columns():
    assert set(columns(CalibrationReport)) <= set(by_name(CalibrationReport))
    assert by_name(CalibrationReport)["calibrated_ece"].definition
