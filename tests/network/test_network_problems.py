"""What a user's function can get wrong: one clear line for each, with its remedy."""

from __future__ import annotations

import itertools
import textwrap

import pytest
import torch
from small_networks import data, mlp, mlp_problem, problem
from torch import nn

from nccli.errors import ContentError, FormatError, InputError, NotFoundError, UsageError
from nccli.network import Problem, analyze
from nccli.network.loading import load_problem
from nccli.network.problem import as_problem


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module into the current folder; each has a name of its own."""
    numbers = itertools.count()
    monkeypatch.chdir(tmp_path)

    def writing(text):
        name = f"mine_{tmp_path.name}_{next(numbers)}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    return writing


GOOD = """
    from torch import nn
    import torch

    def parts():
        return nn.Linear(2, 2), nn.CrossEntropyLoss(), [(torch.eye(2), torch.arange(2))]

    def named():
        model, loss, data = parts()
        return {"model": model, "loss_function": loss, "data": data, "last_layer": ""}

    def printing():
        print("loading the weights")
        return parts()

    def wrong():
        return 5

    def failing():
        raise ValueError("weights.pt does not fit\\nsecond line")

    def leaving():
        raise SystemExit("no weights")

    number = 3
"""


@pytest.mark.parametrize("form", ["{}:parts", "{}.py:parts", "./{}.py:named"])
def test_a_module_of_the_current_folder_and_a_file_are_both_found(module, form):
    found = load_problem(form.format(module(GOOD)))
    assert isinstance(found, Problem)
    assert analyze(found).num_parameters == 6


def test_a_file_can_import_its_neighbour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "neighbour_of_it.py").write_text(textwrap.dedent(GOOD))
    (folder / "it.py").write_text("from neighbour_of_it import parts")
    assert load_problem("there/it.py:parts").last_layer is None


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("mine", UsageError, "must be module:function or file.py:function, got 'mine'; for"),
        (":f", UsageError, "must be module:function"),
        ("mine:", UsageError, "must be module:function"),
        ("mine:a b", UsageError, "must be module:function"),
        ("a/b:f", UsageError, "'a/b' is no name of a module; a file's name ends in .py"),
        ("no_such_module_at_all:f", NotFoundError, "no module 'no_such_module_at_all' in the cur"),
        ("nccli.no_such:f", NotFoundError, r"no module 'nccli\.no_such'"),
        ("nothing.py:f", NotFoundError, "nothing.py: no such file"),
    ],
)
def test_a_spec_that_leads_nowhere_says_where(spec, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        load_problem(spec)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("part", NotFoundError, "has no function 'part'; it has: parts, named, printing, wrong"),
        ("number", NotFoundError, "has a int, no function, 'number'"),
        ("wrong", FormatError, r"it returned a int; return \(model, loss_function, data\), a dict"),
        ("failing", InputError, r"failing\(\) raised ValueError: weights.pt does not fit$"),
        ("leaving", InputError, r"leaving\(\) raised SystemExit: no weights"),
    ],
)
def test_a_function_that_is_of_no_use_is_told_in_one_line(module, function, kind, message):
    with pytest.raises(kind, match=message):
        load_problem(f"{module(GOOD)}:{function}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import not_there_at_all", "importing it raised ModuleNotFoundError: No module named"),
        ("1 / 0", "importing it raised ZeroDivisionError: division by zero"),
        ("def f(:", "importing it raised SyntaxError"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".py"])
def test_a_module_that_fails_is_told_in_one_line(module, text, message, suffix):
    with pytest.raises(InputError, match=message) as caught:
        load_problem(f"{module(text)}{suffix}:f")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((1, 2), "it returned a tuple of 2; return"),
        ([1, 2, 3], "it returned a list of 3; return"),
        ({"model": 1}, "the dict it returned has no 'loss_function'"),
        (
            {"model": 1, "loss_function": 2, "data": 3, "layer": 4},
            "the dict it returned has an unknown name 'layer'",
        ),
        (None, "it returned a NoneType"),
    ],
)
def test_a_wrong_return_value_is_refused(answer, message):
    with pytest.raises(FormatError, match=message):
        as_problem(answer)


def changed(**parts):
    one = problem()
    whole = {"model": one.model, "loss_function": one.loss_function, "data": one.data}
    return Problem(**(whole | parts))


def frozen(*layers):
    model = mlp()
    for layer in layers:
        model[layer].requires_grad_(False)
    return model


def mixed():
    model = mlp()
    model[0].float()
    return model


class Old(torch.autograd.Function):
    """A function of the old style, which torch.func cannot differentiate."""

    @staticmethod
    def forward(_, inputs):
        return 2 * inputs

    @staticmethod
    def backward(_, gradient):
        return 2 * gradient


class Unmapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(5, 3).double()

    def forward(self, inputs):
        return Old.apply(self.last(inputs))


class Failing:
    def __iter__(self):
        yield data()[0]
        raise OSError("image 7 is broken")


class PerSample(nn.Module):
    reduction = "mean"

    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, reduction="none")


CE = nn.CrossEntropyLoss


@pytest.mark.parametrize(
    ("parts", "kind", "message"),
    [
        ({"model": 3}, FormatError, "the model must be a torch.nn.Module, got a int"),
        (
            {"loss_function": nn.functional.cross_entropy},
            FormatError,
            "the loss must be a torch.nn.Module, got a function; for instance torch.nn.CrossEnt",
        ),
        (
            {"loss_function": CE(reduction="sum")},
            ContentError,
            "must have reduction='mean', got 'sum'",
        ),
        ({"loss_function": nn.Identity()}, ContentError, "reduction='mean', got None"),
        ({"loss_function": CE(weight=torch.ones(3))}, ContentError, "class weights is no plain"),
        ({"loss_function": CE(ignore_index=1)}, ContentError, r"ignore_index \(1\) make the loss"),
        ({"data": 3}, FormatError, "the data must be an iterable of batches"),
        ({"data": torch.eye(3)}, FormatError, "iterable of batches .* got a Tensor; give a DataL"),
        ({"data": []}, ContentError, "the data are empty"),
        (
            {"data": (torch.ones(3, 5), torch.arange(3))},
            FormatError,
            r"must be a pair .* got a tensor of shape \(3, 5\); one batch alone is \[\(X, y\)\]",
        ),
        ({"data": [(torch.ones(3, 5), 1)]}, FormatError, r"a tuple of tensor \(3, 5\), int"),
        ({"data": [(torch.ones(3, 5), torch.ones(2))]}, FormatError, "with the samples first"),
        ({"data": ["ab"]}, FormatError, "got a str"),
        ({"data": Failing()}, InputError, "the data raised OSError: image 7 is broken"),
        ({"data": iter(Failing())}, InputError, "the data raised OSError: image 7 is broken"),
        (
            {"loss_function": PerSample()},
            ContentError,
            r"must return a single number, got a tensor of shape \(3,\)",
        ),
        (
            {"model": nn.Sequential(nn.LazyLinear(4), nn.LazyLinear(3))},
            ContentError,
            "the lazy parameters .* have no size yet; call the model once",
        ),
        (
            {"data": [(torch.ones(3, 4), torch.arange(3))]},
            InputError,
            "the model raised RuntimeErr",
        ),
        (
            {"data": [(torch.ones(3, 5), torch.arange(3) + 7)]},
            InputError,
            "the loss raised IndexError",
        ),
        (
            {"data": [(torch.full((3, 5), torch.nan), torch.arange(3))]},
            ContentError,
            "the loss over the data is nan",
        ),
        ({"last_layer": "head"}, NotFoundError, "no module 'head'; its Linear layers: 0, 2, 4"),
        ({"last_layer": "1"}, ContentError, "the last layer '1' has no parameters"),
        ({"last_layer": 4}, FormatError, "last_layer must be the name of a module, got a int"),
        ({"model": nn.Conv1d(5, 3, 1)}, NotFoundError, "no nn.Linear layer; name its last layer"),
        ({"model": frozen(0, 2, 4)}, ContentError, "no parameter of the model has a gradient"),
        ({"model": frozen(4)}, ContentError, "the last layer '4' is frozen"),
        (
            {"model": mlp().half()},
            ContentError,
            "must be all float32 or all float64, they are float16; --double",
        ),
        ({"model": mixed()}, ContentError, "they are float32, float64; --double"),
        ({"model": Unmapped()}, InputError, "the curvature product raised RuntimeError"),
    ],
)
def test_a_problem_that_cannot_be_used_is_told_with_cause_and_remedy(parts, kind, message):
    with pytest.raises(kind, match=message) as caught:
        analyze(changed(**parts))
    assert "\n" not in str(caught.value)


def test_data_that_change_from_pass_to_pass_are_refused():
    class Augmented:
        def __iter__(self):
            self.passes = getattr(self, "passes", 0) + 1
            return ((inputs + self.passes, labels) for inputs, labels in data())

    with pytest.raises(ContentError, match=r"change from pass to pass: loss .* over 21 samples"):
        analyze(changed(data=Augmented()))


def test_parameters_on_two_devices_are_refused():
    model = mlp()
    model[0].to("meta")
    with pytest.raises(ContentError, match="the parameters lie on several devices: cpu, meta"):
        analyze(changed(model=model))


def test_double_mends_half_precision():
    report = analyze(mlp_problem(model=mlp().half()), double=True)
    assert report.dtype == "float64"
    assert report.lambda_max == pytest.approx(analyze(problem()).lambda_max, rel=1e-2)
