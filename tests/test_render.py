"""Machine formats round-trip; conditions; text from files is inert."""

from __future__ import annotations

import csv
import io
import json

import pytest
from conftest import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from nccli import calibration, collapse, render, result
from nccli.condition import Condition
from nccli.errors import ContentError, UsageError
from nccli.text import visible


def reports():
    point = checkpoint(1)
    return [collapse.analyze(point, split=split, path="a|b.h5") for split in ("train", "test")]


def test_json_and_jsonl_hold_the_same_objects():
    array = json.loads(render.rendered(reports(), form="json"))
    lines = render.rendered(reports(), form="jsonl").splitlines()
    assert array == [json.loads(line) for line in lines]
    assert array[1]["split"] == "test"
    assert array[0]["nc1"] == reports()[0].nc1


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("plain", "\t")])
def test_columns_round_trip_every_number(form, delimiter):
    text = render.rendered(reports(), form=form)
    rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    assert float(rows[1]["nc1"]) == reports()[1].nc1
    assert rows[0]["path"] == "a|b.h5"


def test_markdown_escapes_its_own_bars():
    lines = render.rendered(reports(), form="md").splitlines()
    assert lines[1].startswith("| --- |")
    assert "a\\|b.h5" in lines[2]


def test_nested_scores_get_a_prefix_and_lists_of_records_are_left_out():
    point = checkpoint(1, noise=2.0)
    row = result.flat(calibration.analyze(point, split="train"))
    assert "calibrated_ece" in row
    assert "bins" not in row


def test_nothing_renders_as_nothing():
    assert render.rendered([], form="json") == "[]\n"
    assert render.rendered([], form="csv") == ""


def test_what_is_not_finite_is_null_in_json():
    assert result.plain([float("nan"), float("inf"), 1.5]) == [None, None, 1.5]


def test_an_unknown_format_lists_the_choices():
    with pytest.raises(UsageError, match="unknown format 'xml'; try one of: auto, table, json"):
        render.resolve_format("xml", terminal=False)


@pytest.mark.parametrize(
    ("text", "truth"),
    [("nc1 > 0.1", True), ("nc1<=0.1", False), ("nc1 == 0.5", True), ("nc3 > 1", None)],
)
def test_conditions_decide_or_say_that_they_cannot(text, truth):
    assert Condition.parse(text).holds({"nc1": 0.5, "nc3": None}) is truth


def test_a_condition_with_a_mistyped_field_names_the_nearest():
    with pytest.raises(UsageError, match="no field 'nc2_feature'; did you mean nc2_features"):
        Condition.parse("nc2_feature > 1").holds(result.flat(reports()[0]))


@pytest.mark.parametrize("text", ["nc1", "nc1 > x", "> 3", "nc1 => 3", "", "__import__('os') > 1"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(UsageError, match="cannot read the condition"):
        Condition.parse(text)


@given(st.text())
def test_visible_text_is_one_harmless_line(text):
    shown = visible(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_an_error_survives_the_way_between_processes():
    import pickle

    error = ContentError("what\x1b", source="run.h5", remedy="mend")
    assert str(pickle.loads(pickle.dumps(error))) == "run.h5: what\\x1b; mend"


def test_every_quantity_of_every_report_has_a_label():
    for kind in (collapse.CollapseReport, calibration.CalibrationReport):
        assert all(meaning.label for meaning in result.quantities(kind).values())
