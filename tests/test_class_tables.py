"""Classes and pairs of classes as a person sees them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import network
from golden_files import check_golden
from rich.console import Console

from nccli.charts import Look
from nccli.charts.heatmap import heatmap
from nccli.checkpoint import Checkpoint, Metadata
from nccli.class_tables import class_table, gram_view
from nccli.collapse import classes, gram

PLAIN = Look(colour=False)


def point(num_classes=5, *, names=None, noise=1.5, missing=None):
    h, y, weight, bias = network(
        4, num_classes=num_classes, dim=12, count=40 * num_classes, noise=noise
    )
    kept = y != missing
    metadata = Metadata(loss="cross-entropy", label_smoothing=0.0, epoch=7, class_names=names)
    return Checkpoint.from_arrays(
        {"test": (h[kept], y[kept])}, weight=weight, bias=bias, metadata=metadata
    )


def printed(renderable, width=80):
    console = Console(width=width, color_system=None, force_terminal=False, markup=False)
    with console.capture() as capture:
        console.print(renderable)
    return "".join(line.rstrip() + "\n" for line in capture.get().splitlines())


def test_the_class_table_is_the_golden_one():
    found = classes.analyze(point(missing=2), split="test", path="run/a.h5")
    check_golden("cli/per-class.txt", printed(class_table(found)))


def test_names_of_classes_are_data_and_stay_within_80_columns():
    names = ("cat", "dog\x1b[31m", "a very long name of a class", "[bold]", "e")
    found = classes.analyze(point(names=names), split="test", path="run/a.h5")
    text = printed(class_table(found))
    assert "\x1b" not in text
    assert "[bold]" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "closest means: " in text


def test_every_file_and_split_has_a_table_of_its_own():
    found = [
        *classes.analyze(point(), split="test", path="a.h5"),
        *classes.analyze(point(3), split="test", path="b.h5"),
    ]
    lines = printed(class_table(found)).splitlines()
    assert [line for line in lines if line.endswith(".h5")] == ["a.h5", "b.h5"]


@pytest.mark.parametrize(("width", "beside"), [(80, False), (140, True)])
def test_the_two_grams_stand_side_by_side_where_there_is_room(width, beside):
    found = gram.analyze(point(), split="test", path="run/a.h5")
    lines = printed(gram_view([found], width=width, look=PLAIN), width).splitlines()
    assert max(map(len, lines)) <= width
    titles = [line for line in lines if "class means" in line or "rows of the" in line]
    assert len(titles) == (1 if beside else 2)


def test_the_gram_is_the_golden_one():
    found = gram.analyze(point(missing=2), split="test", path="run/a.h5")
    check_golden("cli/gram.txt", printed(gram_view([found], width=80, look=PLAIN)))


def test_without_a_classifier_only_the_means_are_drawn():
    h, y, _, _ = network(1)
    bare = gram.analyze(Checkpoint.from_arrays({"test": (h, y)}), split="test", path="a.h5")
    text = printed(gram_view([bare], width=80, look=PLAIN))
    assert "class means" in text
    assert "classifier" not in text


# --- the heatmap itself -------------------------------------------------------------------------


def cosines(num_classes, seed=0):
    rows = np.random.default_rng(seed).normal(size=(num_classes, 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("num_classes", [1, 2, 3, 10, 20, 21, 100, 1000])
@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60), (12, 3)])
@pytest.mark.parametrize("look", [Look(), Look(colour=False), Look(ascii=True)])
def test_a_heatmap_never_leaves_its_room(num_classes, size, look):
    chart = heatmap(
        cosines(num_classes), title="Gram", width=size[0], height=size[1], target=-0.1, look=look
    )
    lines = chart.plain().splitlines()
    assert len(lines) <= size[1]
    assert max(map(len, lines), default=0) <= size[0]
    if look.ascii:
        assert chart.plain().isascii()


def test_the_worst_pair_is_read_out_by_its_labels():
    matrix = np.eye(4) * 1.3 - 0.3
    matrix[1, 3] = matrix[3, 1] = 0.41
    text = heatmap(matrix, title="Gram", labels=[2, 5, 7, 9], width=80, height=24).plain()
    assert "worst pair 5-9  cos 0.41" in text


def test_cells_of_few_classes_hold_their_numbers_and_unknown_ones_nothing():
    matrix = [[1.0, -0.25, None], [-0.25, 1.0, 0.5], [float("nan"), 0.5, 1.0]]
    text = heatmap(matrix, title="Gram", width=60, height=20).plain()
    assert text.count("-0.25") == 2
    assert text.count("0.50") == 3  # and once in the read-out
    assert "nan" not in text.lower()


def test_many_classes_are_averaged_without_the_ones_of_the_diagonal():
    matrix = np.full((1000, 1000), -0.5)
    np.fill_diagonal(matrix, 1.0)
    chart = heatmap(matrix, title="Gram", width=80, height=24, look=Look(colour=False))
    assert "a cell: the mean of" in chart.plain()
    assert "+" not in "".join(chart.plain().splitlines()[2:-2])  # nothing is above zero


def test_a_matrix_that_is_no_gram_is_refused():
    with pytest.raises(ValueError, match=r"must be square \(K, K\), got shape \(2, 3\)"):
        heatmap(np.ones((2, 3)), title="Gram", width=80, height=24)


def test_small_changes_are_not_rounded_away():
    change = np.array([[0.0, 0.0014, -0.003], [0.0014, 0.0, 0.002], [-0.003, 0.002, 0.0]])
    text = heatmap(change, title="LS - CE", width=80, height=24, difference=True).plain()
    for number in (".001", "-.003", ".002"):
        assert number in text
    assert "largest change 0-2  -0.003" in text
    coarse = heatmap(100 * change, title="LS - CE", width=80, height=24, difference=True).plain()
    assert "-0.30" in coarse
