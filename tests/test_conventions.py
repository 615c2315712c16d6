"""Tables in the words of other sources: their numbers, met by literal references of each."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from conftest import checkpoint, network, simplex
from rich.console import Console

from nccli import calibration, collapse
from nccli.checkpoint import Checkpoint
from nccli.collapse import intervals
from nccli.collapse.intervals import SampledReport
from nccli.conventions import CONVENTIONS, meanings, named, reading
from nccli.errors import UsageError
from nccli.result import quantities, record
from nccli.tables import results_table

EVERY = sorted(CONVENTIONS)


def measured(seed=2, **options):
    features, labels, weight, bias = network(seed, **options)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, bias=bias)
    return collapse.analyze(point, path="a.h5"), features, labels, weight


def printed(results, name):
    console = Console(width=100, color_system=None, force_terminal=False, markup=False)
    with console.capture() as capture:
        console.print(results_table(results, named(name)))
    return capture.get()


def row(text, heading):
    """The cells of the row of a full table that starts with exactly this heading."""
    lines = [line for line in text.splitlines() if line.startswith(f"{heading}  ")]
    assert len(lines) == 1, lines
    return lines[0].removeprefix(heading).split()


@pytest.mark.parametrize("name", ["paper", "papyan"])
def test_nc1_without_1_over_k_is_the_trace_itself(name):
    report, features, labels, _ = measured()
    means, centred = (
        reference.class_means(features, labels),
        reference.centred_means(features, labels),
    )
    residuals = features - means[labels]
    within = residuals.T @ residuals / len(features)
    between = centred.T @ centred / len(centred)
    trace = np.trace(within @ np.linalg.pinv(between, rcond=1e-10))
    assert reading(report, named(name))["nc1"] == pytest.approx(trace, rel=1e-9)


def test_zhu_keeps_1_over_k():
    report, features, labels, _ = measured()
    expected = reference.nc1(features, labels)
    assert reading(report, named("zhu"))["nc1"] == pytest.approx(expected, rel=1e-9)


def test_nc2_and_nc3_of_zhu_are_of_the_classifier_and_of_its_product_with_the_means():
    report, features, labels, weight = measured()
    text = printed([report], "zhu")
    centred = reference.centred_means(features, labels)
    assert row(text, "NC2")[0] == f"{reference.etf_distance(weight @ weight.T):.4g}"
    assert row(text, "NC3")[0] == f"{reference.etf_distance(weight @ centred.T):.4g}"
    assert row(text, "self-duality")[0] == f"{reference.self_duality(weight, centred):.4g}"


def test_nc2_of_the_paper_is_the_product_of_classifier_and_means():
    report, features, labels, weight = measured()
    text = printed([report], "paper")
    centred = reference.centred_means(features, labels)
    assert row(text, "NC2")[0] == f"{reference.etf_distance(weight @ centred.T):.4g}"
    assert row(text, "NC3")[0] == f"{reference.self_duality(weight, centred):.4g}"


def test_nc2_of_papyan_is_in_norms_and_angles():
    report, features, labels, weight = measured()
    text = printed([report], "papyan")
    centred = reference.centred_means(features, labels)
    assert row(text, "NC2 norms (means)")[0] == f"{reference.equinorm(centred):.4g}"
    assert row(text, "NC2 norms (classifier)")[0] == f"{reference.equinorm(weight):.4g}"
    assert row(text, "NC2 angles (means)")[0] == f"{reference.equiangular(centred):.4g}"
    assert row(text, "NC2 angles (classifier)")[0] == f"{reference.equiangular(weight):.4g}"


@pytest.mark.parametrize("name", EVERY)
def test_a_convention_changes_no_result(name):
    report, *_ = measured()
    before = record(report)
    reading(report, named(name))
    meanings(report, named(name))
    printed([report], name)
    assert record(report) == before


@pytest.mark.parametrize("name", EVERY)
def test_headings_stay_unique_and_terms_are_fields(name):
    convention = CONVENTIONS[name]
    assert set(convention.terms) | set(convention.brief) <= set(quantities(SampledReport))
    labels = [meaning.label for meaning in meanings(SampledReport, convention).values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", EVERY)
def test_everything_that_is_nc1_has_the_scale_of_nc1(name):
    report, *_ = measured(num_classes=7)
    own, read = record(report), reading(report, CONVENTIONS[name])
    factor = 1 if name == "zhu" else 7
    for field in own:
        if field.startswith("nc1") and isinstance(own[field], float):
            assert read[field] == pytest.approx(factor * own[field], rel=1e-12), field
        else:
            assert read[field] == own[field], field


@pytest.mark.parametrize("name", EVERY)
def test_collapse_is_zero_in_every_convention_and_undefined_stays_undefined(name):
    features, labels, weight = simplex()
    collapsed = collapse.analyze(
        Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    )
    bare = collapse.analyze(Checkpoint.from_arrays({"train": (features, labels)}))
    for field in CONVENTIONS[name].terms:
        assert reading(collapsed, CONVENTIONS[name]).get(field, 0) == pytest.approx(0, abs=1e-7)
    assert reading(bare, CONVENTIONS[name])["nc2_duality"] is None


@pytest.mark.parametrize("name", EVERY)
def test_the_full_table_has_every_row_and_says_once_whose_words_it_speaks(name):
    report, *_ = measured()
    ours, theirs = printed([report], None).splitlines(), printed([report], name).splitlines()
    assert len(theirs) == len(ours) + 1
    assert theirs[-1].startswith(f"convention {name}: ")
    assert not any("convention" in line for line in ours)


@pytest.mark.parametrize(
    ("name", "headings"),
    [("paper", "NC1 NC2 NC3 NC4"), ("zhu", "NC1 NC2 NC3 NC4"), (None, "NC1 NC2 means NC3 NC4")],
)
def test_the_brief_table_has_nc1_to_nc4_of_the_convention(name, headings):
    point = checkpoint(3)
    results = [collapse.analyze(point, path=f"run/epoch-{index:05}.h5") for index in range(5)]
    lines = printed(results, name).splitlines()
    header = next(line for line in lines if line.startswith("epoch"))
    assert headings in " ".join(header.split())
    convention = CONVENTIONS.get(name or "")
    cells = next(line for line in lines if line.startswith("    3 ")).split()
    assert f"{reading(results[0], convention)['nc1']:.4g}" == cells[3]
    assert ("convention" in lines[-1]) == (name is not None)


def test_results_of_other_commands_have_tables_as_before():
    point = checkpoint(1, noise=2.0)
    report = calibration.analyze(point, split="test", path="a.h5")
    assert printed([report], None).splitlines()[0] == "a.h5"


def test_an_unknown_convention_lists_the_choices():
    with pytest.raises(
        UsageError, match="unknown convention 'guo'; try one of: paper, papyan, zhu"
    ):
        named("guo")


def test_intervals_and_floors_are_scaled_with_the_number_they_belong_to():
    found = intervals.analyze(checkpoint(1), resamples=5)
    plain, scaled = reading(found, None), reading(found, CONVENTIONS["paper"])
    for name in ("nc1", "nc1_floor", "nc1_shuffled"):
        assert scaled[name] == pytest.approx(5 * plain[name])
    for end in ("low", "high"):
        one, two = plain["intervals"]["nc1"][end], scaled["intervals"]["nc1"][end]
        assert two == pytest.approx(5 * one)
    assert scaled["intervals"]["nc3"] == plain["intervals"]["nc3"]


def test_loose_files_are_named_in_the_brief_table():
    point = checkpoint(3)
    paths = ["some/one.h5", "some/two.h5", "other/one.h5"]
    results = [collapse.analyze(point, path=path) for path in paths]
    text = printed(results, None)
    assert text.count("one.h5") == 2
    assert "two.h5" in text
    assert "other/one.h5" in text  # the only one of its folder: in the heading
