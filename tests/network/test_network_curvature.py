"""The curvature of small networks against dense matrices from torch.func, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from curvlinops import HessianLinearOperator
from small_networks import (
    data,
    dense,
    last_block,
    linear_problem,
    mlp,
    mlp_problem,
    problem,
    seeded,
)
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nccli.errors import ContentError, UsageError
from nccli.network import Problem, analyze, eigenvalues
from nccli.network import block as block_module
from nccli.network.batches import doubt_of
from nccli.network.block import Block
from nccli.network.density import binned, density
from nccli.network.kernels import plain_kernels
from nccli.network.network import prepare

KINDS = ("ggn", "hessian")
ROUTES = (pytest.param(0, id="estimated"), pytest.param(10_000, id="dense"))


def block(problem, kind="ggn", **options):
    network = prepare(problem, double=False)
    return Block(network, network.parameters, kind, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delta", [0.0, 0.1])
def test_the_matrix_of_uneven_batches_is_that_of_all_samples_at_once(kind, delta):
    one = mlp_problem(delta=delta)
    np.testing.assert_allclose(block(one, kind).matrix_MM, dense(one, kind), atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dense_up_to", ROUTES)
def test_eigenvalues_and_last_layer_shares_are_the_dense_ones(kind, dense_up_to):
    one = mlp_problem()
    report = analyze(one, curvature=kind, top=4, dense_up_to=dense_up_to, steps=4)
    values, vectors = np.linalg.eigh(dense(one, kind))
    values, vectors = values[::-1][:4], vectors[:, ::-1][:, :4]
    shares = np.square(vectors[-15:]).sum(axis=0)
    assert report.status == "converged"
    assert [row.value for row in report.spectrum] == pytest.approx(values, rel=1e-9)
    assert [row.last_layer_share for row in report.spectrum] == pytest.approx(shares, abs=1e-7)
    assert all(row.low <= row.value <= row.high for row in report.spectrum)
    assert report.lambda_max == report.spectrum[0].value
    assert report.last_layer_share_top == pytest.approx(values @ shares / values.sum(), abs=1e-7)
    last = np.linalg.eigvalsh(last_block(dense(one, kind), one.model))[-1]
    assert report.lambda_max_last_layer == pytest.approx(last, rel=1e-9)
    assert report.last_layer_lambda_share == pytest.approx(last / values[0], rel=1e-9)
    assert (report.n, report.num_parameters, report.num_last_layer) == (21, 79, 15)


@pytest.mark.parametrize("kind", KINDS)
def test_the_trace_of_a_small_network_is_exact(kind):
    one = mlp_problem()
    report = analyze(one, curvature=kind)
    matrix = dense(one, kind)
    assert report.trace == pytest.approx(np.trace(matrix), rel=1e-12)
    assert report.trace_last_layer == pytest.approx(
        np.trace(last_block(matrix, one.model)), rel=1e-12
    )
    assert (report.trace_error, report.trace_last_layer_error) == (0.0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_estimated_trace_lies_within_its_error_bar(kind):
    one = mlp_problem()
    matrix = dense(one, kind)
    exact = np.trace(matrix), np.trace(last_block(matrix, one.model))
    report = analyze(one, curvature=kind, dense_up_to=0, probes=64, steps=2)
    assert 0 < report.trace_error < 0.2 * exact[0]
    assert abs(report.trace - exact[0]) < 3 * report.trace_error
    assert 0 < report.trace_last_layer_error < 0.2 * exact[1]
    assert abs(report.trace_last_layer - exact[1]) < 3 * report.trace_last_layer_error


@pytest.mark.parametrize("dense_up_to", ROUTES)
def test_a_linear_model_is_all_last_layer(dense_up_to):
    report = analyze(linear_problem(), top=3, dense_up_to=dense_up_to)
    assert report.num_parameters == report.num_last_layer == 18
    assert [row.last_layer_share for row in report.spectrum] == pytest.approx([1.0] * 3)
    assert report.last_layer_share_top == pytest.approx(1.0)
    assert report.lambda_max_last_layer == pytest.approx(report.lambda_max, rel=1e-9)
    assert report.last_layer == ""


def test_the_last_layer_of_a_linear_model_is_the_w_block_in_closed_form():
    """(1/N) sum (diag p - p p^T) x [h; 1][h; 1]^T."""
    one = linear_problem()
    inputs = torch.cat([batch[0] for batch in one.data])
    p_NK = torch.softmax(one.model(inputs), dim=1).detach().numpy()
    h_NX = np.hstack([inputs.numpy(), np.ones((len(inputs), 1))])
    inner_NKK = np.einsum("nk,kl->nkl", p_NK, np.eye(3)) - np.einsum("nk,nl->nkl", p_NK, p_NK)
    matrix = np.einsum("nkl,nx,ny->kxly", inner_NKK, h_NX, h_NX).reshape(18, 18) / len(p_NK)
    report = analyze(one, top=5)
    expected = np.linalg.eigvalsh(matrix)[::-1]
    assert [row.value for row in report.spectrum] == pytest.approx(expected[:5], rel=1e-9)
    assert report.trace == pytest.approx(np.trace(matrix), rel=1e-12)


def test_ggn_and_hessian_agree_where_the_outputs_are_linear_in_the_parameters():
    one = linear_problem()
    ggn, full = (analyze(one, curvature=kind, top=3) for kind in KINDS)
    assert [row.value for row in ggn.spectrum] == pytest.approx(
        [row.value for row in full.spectrum], rel=1e-10
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dense_up_to", ROUTES)
def test_the_density_adds_up_to_one(kind, dense_up_to):
    report = analyze(mlp_problem(), curvature=kind, dense_up_to=dense_up_to, steps=8)
    shares = [row.density * (row.log10_high - row.log10_low) for row in report.density]
    assert sum(shares) + report.near_zero_share == pytest.approx(1.0, abs=1e-12)
    assert {row.sign for row in report.density} == ({1} if kind == "ggn" else {1, -1})
    assert all(row.log10_high > row.log10_low for row in report.density)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_the_density_is_the_trace_a_parameter(kind):
    one = mlp_problem()
    exact = np.trace(dense(one, kind)) / 79
    rng = np.random.default_rng(0)
    estimated = density(block(one, kind, dense_up_to=0), probes=48, steps=6, rng=rng).mean
    assert abs(estimated.value - exact) < 4 * estimated.error < exact
    known = density(block(one, kind), probes=1, steps=2, rng=rng).mean
    assert (known.value, known.error) == (pytest.approx(exact, rel=1e-12), 0.0)


def test_the_density_of_known_eigenvalues_is_their_histogram():
    values = np.array([-2e-3, 0.0, 1e-9, 1.1e-2, 1.2e-2, 3.0])
    found = binned([values], [np.full(6, 1 / 6)], 1e-6, exact=True)
    counts = {
        (row.sign, row.log10_low): round(row.density * 0.2 * 6) for row in found.bins if row.density
    }
    assert counts == {(-1, -2.8): 1, (1, -2.0): 2, (1, 0.4): 1}
    assert found.near_zero.value == pytest.approx(2 / 6)
    assert found.smallest == -2e-3


def test_the_smallest_node_of_a_hessian_reaches_its_smallest_eigenvalue():
    one = mlp_problem()
    report = analyze(one, curvature="hessian", dense_up_to=0, steps=40, probes=2)
    assert report.lambda_min == pytest.approx(np.linalg.eigvalsh(dense(one, "hessian"))[0])
    assert report.lambda_min < 0


def test_the_same_seed_gives_the_same_report_and_another_another_estimate():
    first, again, other = (
        analyze(problem(), dense_up_to=0, seed=seed, steps=4) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.trace != other.trace
    assert first.lambda_max == pytest.approx(other.lambda_max, rel=1e-9)


def test_one_probe_has_no_error_bar():
    report = analyze(problem(), dense_up_to=0, probes=1, steps=4)
    assert report.trace_error is None
    assert report.near_zero_share_error is None
    assert {row.error for row in report.density} == {None}


def test_a_named_last_layer_is_another_block():
    named = Problem(model=mlp(), loss_function=nn.CrossEntropyLoss(), data=data(), last_layer="2")
    report = analyze(named)
    matrix = dense(named, "ggn")
    assert (report.last_layer, report.num_last_layer) == ("2", 28)
    assert report.lambda_max_last_layer == pytest.approx(
        np.linalg.eigvalsh(matrix[36:64, 36:64])[-1]
    )


def test_frozen_parameters_are_left_out_and_told():
    model = mlp()
    model[0].requires_grad_(False)
    one = mlp_problem(model=model)
    report = analyze(one)
    rest = dense(one, "ggn")[36:, 36:]
    assert report.lambda_max == pytest.approx(np.linalg.eigvalsh(rest)[-1], rel=1e-9)
    assert report.num_parameters == 43
    assert "36 of 79 parameters are frozen and left out" in report.notes


def test_a_model_in_training_mode_is_put_in_eval_mode_and_that_is_told():
    def with_dropout():
        return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))

    model = seeded(with_dropout)
    expected = analyze(mlp_problem(model=model))
    model.train()
    report = analyze(mlp_problem(model=model))
    assert report.notes == ("the model was in training mode; it was put in eval mode",)
    assert not model.training
    assert report.lambda_max == expected.lambda_max


def test_double_works_on_a_copy_and_gives_what_float64_gives():
    single = mlp(dtype=torch.float32)
    exact = analyze(mlp_problem(model=mlp(dtype=torch.float32).double()), top=3)
    double = analyze(mlp_problem(model=single, dtype=torch.float32), top=3, double=True)
    assert double.dtype == "float64"
    assert next(single.parameters()).dtype is torch.float32
    assert double.lambda_max == pytest.approx(exact.lambda_max, rel=1e-6)  # the data are rounded


def test_float64_data_and_a_float32_model_go_together():
    report = analyze(mlp_problem(model=mlp(dtype=torch.float32)))
    assert report.dtype == "float32"
    assert report.lambda_max == pytest.approx(analyze(mlp_problem()).lambda_max, rel=1e-5)


def confident(dtype):
    """Right about everything, with 1 - p of about 1e-7."""
    model = seeded(lambda: nn.Linear(3, 3), dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(16.5 * torch.eye(3))
        model.bias.zero_()
    batches = [(torch.eye(3, dtype=dtype).repeat(7, 1), torch.arange(3).repeat(7))]
    return Problem(model=model, loss_function=nn.CrossEntropyLoss(), data=batches)


def test_float32_is_warned_of_where_the_network_is_confident():
    single = analyze(confident(torch.float32))
    assert single.mean_doubt == pytest.approx(2 * np.exp(-16.5), rel=1e-4)
    assert any("--double is right" in note for note in single.notes)
    double = analyze(confident(torch.float32), double=True)
    assert not any("--double" in note for note in double.notes)
    assert double.lambda_max > 0


def test_doubt_is_exact_where_it_is_far_below_the_roundoff_of_one():
    logits = torch.tensor([[50.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert doubt_of(logits).flatten().tolist() == pytest.approx([2 * np.exp(-50.0), 2 / 3])


def test_a_saturated_softmax_has_no_curvature_and_that_is_told():
    model = seeded(lambda: nn.Linear(3, 3))
    with torch.no_grad():
        model.weight.copy_(1e4 * torch.eye(3))
    batches = [(torch.eye(3, dtype=torch.float64), torch.arange(3))]
    one = Problem(model=model, loss_function=nn.CrossEntropyLoss(), data=batches)
    for dense_up_to in (0, 100):
        report = analyze(one, dense_up_to=dense_up_to)
        assert (report.lambda_max, report.trace, report.last_layer_share_top) == (0.0, 0.0, None)
        assert report.near_zero_share == pytest.approx(1.0)
        assert report.spectrum[0].last_layer_share is None
        assert any("no curvature is left" in note for note in report.notes)


def test_equal_eigenvalues_at_the_cut_are_told():
    report = analyze(confident(torch.float64), top=1)
    assert any("eigenvalues 1 and 2 agree within 1 %" in note for note in report.notes)


def test_what_arpack_does_not_reach_is_not_converged(monkeypatch):
    monkeypatch.setattr(eigenvalues, "RESTARTS", 1)
    monkeypatch.setattr(eigenvalues, "ASKED", 1e-15)
    report = analyze(mlp_problem(), curvature="hessian", top=9, dense_up_to=0, steps=2)
    assert report.status == "not converged"
    assert any("not converged" in note for note in report.notes)
    assert len(report.spectrum) <= 9


def test_a_squared_loss_works_and_has_no_doubt():
    batches = [(inputs, nn.functional.one_hot(labels, 3).double()) for inputs, labels in data()]
    one = Problem(model=mlp(), loss_function=nn.MSELoss(), data=batches)
    report = analyze(one, top=2)
    assert report.lambda_max == pytest.approx(np.linalg.eigvalsh(dense(one, "ggn"))[-1], rel=1e-9)
    assert report.mean_doubt is None
    assert any("mean 1 - p is undefined" in note for note in report.notes)


def test_a_generator_of_batches_is_read_as_often_as_needed():
    one = problem()
    generated = Problem(
        model=one.model, loss_function=one.loss_function, data=(batch for batch in one.data)
    )
    assert analyze(generated).lambda_max == analyze(one).lambda_max


def test_a_shuffling_loader_gives_what_the_list_gives():
    inputs = torch.cat([batch[0] for batch in data()])
    labels = torch.cat([batch[1] for batch in data()])
    dataset = torch.utils.data.TensorDataset(inputs, labels)
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True)
    one = problem()
    shuffled = Problem(model=one.model, loss_function=one.loss_function, data=loader)
    assert analyze(shuffled).lambda_max == pytest.approx(analyze(one).lambda_max, rel=1e-9)


def test_a_tied_weight_is_counted_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(5, 5, bias=False)
            self.last = nn.Linear(5, 5, bias=False)
            self.last.weight = self.first.weight

        def forward(self, inputs):
            return self.last(torch.tanh(self.first(inputs)))

    one = mlp_problem(model=seeded(Tied))
    report = analyze(one)
    assert (report.num_parameters, report.num_last_layer) == (25, 25)
    assert report.last_layer_share_top == pytest.approx(1.0)


class Attention(nn.Module):
    """Fused attention, and LayerNorm after parameters: what forward mode has trouble with."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 4)
        self.inner = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, inputs):
        return self.last(self.inner(self.first(inputs[:, :, None])).mean(dim=1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.LSTM(1, 4, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, inputs):
        return self.last(self.inner(inputs[:, :, None])[0][:, -1])


@pytest.mark.parametrize("make", [Attention, Recurrent])
def test_the_ggn_of_fused_layers_is_that_of_reverse_mode(make):
    one = mlp_problem(model=seeded(make))
    with sdpa_kernel(SDPBackend.MATH):
        values = np.linalg.eigvalsh(dense(one, "ggn"))[::-1][:3]
    report = analyze(one, top=3, dense_up_to=0, steps=2)
    assert [row.value for row in report.spectrum] == pytest.approx(values, rel=1e-8)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.enabled


def test_a_hessian_that_torch_gets_wrong_is_refused(monkeypatch):
    """As curvlinops 3.0.1 computes it: the row of LayerNorm's weight is wrong."""
    monkeypatch.setitem(block_module.OPERATORS, "hessian", HessianLinearOperator)
    with pytest.raises(ContentError, match=r"not symmetric \(by .*--curvature ggn"):
        analyze(mlp_problem(model=seeded(Attention)), curvature="hessian")


def by_double_backward(problem):
    """The Hessian from reverse mode twice, a row at a time: no torch.func, no forward mode."""
    parameters = list(problem.model.parameters())
    inputs, targets = (torch.cat(parts) for parts in zip(*problem.data, strict=True))
    loss = problem.loss_function(problem.model(inputs), targets)
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    gradient = torch.cat([part.reshape(-1) for part in gradient])
    rows = []
    for entry in gradient:
        row = torch.autograd.grad(
            entry, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([part.reshape(-1) for part in row]))
    return torch.stack(rows).numpy()


def with_layer(make):
    return seeded(lambda: nn.Sequential(nn.Linear(5, 4), make(), nn.Tanh(), nn.Linear(4, 3)))


@pytest.mark.parametrize(
    "make",
    [
        *(lambda: nn.LayerNorm(4), lambda: nn.GroupNorm(2, 4), lambda: nn.BatchNorm1d(4)),
        *(nn.SiLU, nn.GELU),
    ],
    ids="layer-norm group-norm batch-norm silu gelu".split(),
)
def test_the_hessian_through_a_layer_is_that_of_double_backward(make):
    one = mlp_problem(model=with_layer(make))
    np.testing.assert_allclose(block(one, "hessian").matrix_MM, by_double_backward(one), atol=1e-13)


def test_the_hessian_of_a_transformer_is_that_of_double_backward():
    one = mlp_problem(model=seeded(Attention))
    with plain_kernels(one.model):
        expected = by_double_backward(one)
    np.testing.assert_allclose(block(one, "hessian").matrix_MM, expected, atol=1e-13)


def test_an_unknown_curvature_lists_its_choices():
    with pytest.raises(UsageError, match="unknown curvature 'fisher'; try one of: ggn, hessian"):
        analyze(problem(), curvature="fisher")
