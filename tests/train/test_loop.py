"""The loop: the loss, the schedule, the order, and what is captured."""

from __future__ import annotations

import contextlib
import shutil

import numpy as np
import pytest
import torch
import torch._inductor.config
from tiny import tiny
from torch.optim.lr_scheduler import MultiStepLR

from nccli.errors import TrainingError
from train import graphs, loop
from train.config import Settings
from train.digits import load_digits
from train.feed import Plan, shuffled
from train.loop import Classification, learning_rate
from train.objectives import focal_loss


def smoothed_cross_entropy(logits, labels, delta):
    """The loss of THEORY section 1, literally: mean of -sum_k y_k log p_k."""
    losses = []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        log_p = row - row.max() - np.log(np.sum(np.exp(row - row.max())))
        target = np.full(len(row), delta / len(row))
        target[label] += 1 - delta
        losses.append(-np.sum(target * log_p))
    return np.mean(losses)


def one_batch(delta):
    loss = "label-smoothing" if delta else "cross-entropy"
    return tiny(batch_size=1000, loss=loss, label_smoothing=delta)


@pytest.mark.parametrize("delta", [0.0, 0.05, 0.3])
def test_the_logged_loss_is_the_smoothed_cross_entropy(delta):
    trainer = Classification(one_batch(delta))
    images, labels = trainer.feed.parts["train"]
    with torch.no_grad():
        logits = trainer.network.train()(images).numpy()
    line = trainer.run_epoch(1)
    assert line["train_loss"] == pytest.approx(
        smoothed_cross_entropy(logits, labels.numpy(), delta), rel=1e-5
    )
    assert line["train_accuracy"] == np.mean(logits.argmax(1) == labels.numpy())


@pytest.mark.parametrize("delta", [0.0, 0.1])
def test_an_epoch_equals_a_literal_loop_of_sgd_with_momentum_and_decay(delta):
    settings = tiny(loss="label-smoothing" if delta else "cross-entropy", label_smoothing=delta)
    trainer, literal = Classification(settings), Classification(settings)
    momentum = {}
    for epoch in (1, 2):
        line = trainer.run_epoch(epoch)
        losses = []
        images, labels = literal.feed.parts["train"]
        for batch in shuffled(1000, seed=0, epoch=epoch).split(250):
            literal.network.train().zero_grad()
            logits = literal.network(images[batch]).log_softmax(1)
            targets = torch.nn.functional.one_hot(labels[batch], 10) * (1 - delta) + delta / 10
            loss = -(targets * logits).sum(1).mean()
            loss.backward()
            losses.append(loss.item())
            with torch.no_grad():
                for name, weight in literal.network.named_parameters():
                    slope = weight.grad + settings.weight_decay * weight
                    momentum[name] = settings.momentum * momentum.get(name, 0) + slope
                    weight -= line["learning_rate"] * momentum[name]
        assert line["train_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    for name, weight in trainer.network.named_parameters():
        torch.testing.assert_close(weight, literal.network.get_parameter(name))


@pytest.mark.parametrize("milestones", [(0.5, 0.75), (0.3,), ()])
@pytest.mark.parametrize("epochs", [1, 7, 10, 200])
def test_the_schedule_is_torchs_own(milestones, epochs):
    settings = Settings(milestones=milestones, epochs=epochs)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=settings.learning_rate)
    at = [round(part * epochs) for part in milestones]
    schedule = MultiStepLR(optimizer, milestones=at, gamma=settings.gamma)
    for epoch in range(1, epochs + 1):
        if 0 not in at:  # torch lowers the rate only after the first step
            expected = optimizer.param_groups[0]["lr"]
            assert learning_rate(settings, epoch) == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        schedule.step()


def test_the_rate_falls_right_after_half_and_three_quarters():
    settings = Settings(epochs=200)
    rates = [learning_rate(settings, epoch) for epoch in (1, 100, 101, 150, 151, 200)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_the_order_is_a_permutation_that_depends_on_seed_and_epoch_alone():
    order = shuffled(1000, seed=0, epoch=1)
    assert torch.equal(order.sort().values, torch.arange(1000))
    torch.manual_seed(5)
    assert torch.equal(order, shuffled(1000, seed=0, epoch=1))
    for seed, epoch in ((0, 2), (1, 0), (1, 1)):
        assert not torch.equal(order, shuffled(1000, seed=seed, epoch=epoch))


def test_a_last_partial_batch_is_dropped():
    trainer = Classification(tiny(batch_size=300))
    seen = []
    both = trainer.network.both
    trainer.network.both = lambda images: (seen.append(len(images)), both(images))[1]
    trainer.run_epoch(1)
    assert seen == [300, 300, 300]


def test_a_capture_is_what_the_network_computes_in_eval_mode():
    trainer = Classification(tiny())
    trainer.run_epoch(1)
    capture = trainer.capture()
    network = trainer.network.eval()
    for name, count in (("train", 1000), ("test", 797)):
        features, labels, logits = capture.splits[name]
        assert features.shape == (count, 12)
        assert np.array_equal(labels, load_digits()[name].labels)
        with torch.no_grad():
            expected = network(trainer.feed.parts[name][0]).numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            features @ capture.weight.T + capture.bias, logits, rtol=1e-5, atol=1e-5
        )


def test_a_capture_does_not_change_when_training_goes_on():
    trainer = Classification(tiny())
    weight = trainer.capture().weight
    before = weight.copy()
    trainer.run_epoch(1)
    assert np.array_equal(weight, before)


def test_a_capture_does_not_disturb_training():
    plain, watched = Classification(tiny()), Classification(tiny())
    watched.capture()
    assert plain.run_epoch(1) == watched.run_epoch(1)


def test_features_collected_in_blocks_are_the_same(monkeypatch):
    trainer = Classification(tiny(model="resnet"))
    whole = trainer.capture().splits["test"][0]
    monkeypatch.setattr(loop, "_CAPTURE_ROWS", 100)
    np.testing.assert_allclose(trainer.capture().splits["test"][0], whole, rtol=1e-4, atol=1e-5)


def test_logits_can_be_left_out():
    capture = Classification(tiny(save_logits=False)).capture()
    assert [len(part) for part in capture.splits.values()] == [2, 2]


def test_a_restored_state_continues_to_the_same_bits():
    whole, first, second = (Classification(tiny()) for _ in range(3))
    lines = [whole.run_epoch(epoch) for epoch in (1, 2)]
    first.run_epoch(1)
    second.restore(first.state())
    assert second.run_epoch(2) == lines[1]
    assert np.array_equal(second.capture().weight, whole.capture().weight)


def test_without_the_momentum_it_does_not():
    """A control: the test above would notice."""
    whole, first, second = (Classification(tiny()) for _ in range(3))
    for epoch in (1, 2):
        whole.run_epoch(epoch)
    first.run_epoch(1)
    second.network.load_state_dict(first.network.state_dict())
    second.run_epoch(2)
    assert not np.array_equal(second.capture().weight, whole.capture().weight)


def test_the_network_learns_the_training_images():
    trainer = Classification(tiny(width=32, epochs=15, batch_size=125, save_epochs=(15,)))
    accuracies = [trainer.run_epoch(epoch)["train_accuracy"] for epoch in range(1, 16)]
    assert accuracies[0] < 0.7 < 0.95 < accuracies[-1]


# --- the other losses, and the penalties --------------------------------------------------------


def literal_loss(settings, logits, labels):
    """Focal loss and MSE in float64, sample by sample."""
    losses = []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        if settings.loss == "mse":
            losses.append(((row - np.eye(len(row))[label]) ** 2).sum() / 2)
        else:
            p = np.exp(row - row.max())[label] / np.exp(row - row.max()).sum()
            losses.append(-((1 - p) ** settings.focal_gamma) * np.log(p))
    return np.mean(losses)


@pytest.mark.parametrize(
    "changes", [{"loss": "mse"}, {"loss": "focal"}, {"loss": "focal", "focal_gamma": 0.5}]
)
def test_focal_loss_and_mse_are_their_formulas(changes):
    settings = tiny(batch_size=1000, **changes)
    trainer = Classification(settings)
    images, labels = trainer.feed.parts["train"]
    with torch.no_grad():
        logits = trainer.network.train()(images).numpy()
    expected = literal_loss(settings, logits, labels.numpy())
    assert trainer.run_epoch(1)["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_focal_loss_without_focus_is_cross_entropy():
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(9) % 4
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0.0), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_focal_loss_has_a_slope_where_a_sample_is_certain(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0, 0]), gamma=gamma).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().sum() > 0.5  # the one that is certain and wrong


def test_the_decay_of_features_is_the_penalty_of_the_unconstrained_feature_model():
    """One full batch of plain gradient descent, against autograd on the whole objective."""
    decay, rate = 1e-3, 0.1
    settings = tiny(
        batch_size=1000, feature_decay=decay, learning_rate=rate, momentum=0.0, weight_decay=0.0
    )
    trainer, literal = Classification(settings), Classification(settings)
    images, labels = literal.feed.parts["train"]
    features, logits = literal.network.train().both(images)
    whole = torch.nn.functional.cross_entropy(logits, labels) + decay / 2 * features.square().sum()
    whole.backward()
    trainer.run_epoch(1)
    for name, weight in trainer.network.named_parameters():
        start = literal.network.get_parameter(name)
        torch.testing.assert_close(weight, start - rate * start.grad, rtol=1e-4, atol=1e-6)


def test_bfloat16_gives_the_same_losses_within_its_noise():
    lines = [
        Classification(tiny(precision=precision)).run_epoch(1)
        for precision in ("float32", "bfloat16")
    ]
    assert lines[0]["train_loss"] == pytest.approx(lines[1]["train_loss"], rel=2e-2)
    assert lines[0]["train_loss"] != lines[1]["train_loss"]


def test_dropout_depends_on_seed_and_epoch_alone_and_is_off_in_a_capture():
    first, again = (Classification(tiny(dropout=0.5)) for _ in range(2))
    again.network.chance.start(7)
    again.network(again.feed.parts["train"][0][:8])  # what was drawn before plays no part
    again.network.load_state_dict(first.network.state_dict())
    torch.manual_seed(3)
    assert first.run_epoch(1) == again.run_epoch(1)
    assert first.run_epoch(1) != Classification(tiny()).run_epoch(1)
    capture = first.capture()
    features, _, logits = capture.splits["train"]
    np.testing.assert_allclose(
        features @ capture.weight.T + capture.bias, logits, rtol=1e-5, atol=1e-5
    )


# --- fused by torch.compile ---------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, at a break
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_compiled_step_learns_the_same(dropout):
    trainers = [
        Classification(tiny(depth=1, dropout=dropout, feature_decay=1e-3), compiled=compiled)
        for compiled in (False, True)
    ]
    plain, compiled = (trainer.run_epoch(1) for trainer in trainers)
    assert plain["train_loss"] == pytest.approx(compiled["train_loss"], rel=1e-4)
    for one, other in zip(*(trainer.network.parameters() for trainer in trainers), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_where_nothing_can_be_compiled_one_line_says_so(monkeypatch):
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "/nowhere/c++"))
    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    trainer = Classification(tiny(depth=1, width=11), compiled=True)
    with pytest.raises(TrainingError, match=r"torch\.compile cannot .*; leave out --compile"):
        trainer.run_epoch(1)


# --- on a GPU -----------------------------------------------------------------------------------

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@on_gpu
@pytest.mark.parametrize("changes", [{}, {"dropout": 0.3}, {"augment": "flip-crop"}])
def test_a_cuda_graph_takes_the_same_steps(changes):
    settings = tiny(model="resnet", batch_size=100, milestones=(0.5,), **changes)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        ways = [Classification(settings, device="cuda", graphs=graphs) for graphs in (False, True)]
        for epoch in (1, 2, 3, 4):  # with a milestone in the middle
            plain, recorded = (trainer.run_epoch(epoch) for trainer in ways)
            assert plain["train_loss"] == pytest.approx(recorded["train_loss"], rel=1e-3)
    for one, other in zip(*(trainer.network.parameters() for trainer in ways), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


@on_gpu
def test_compiled_steps_in_a_cuda_graph_learn_the_same():
    settings = tiny(model="resnet", batch_size=100, precision="bfloat16")
    ways = [{}, {"graphs": True, "compiled": True}]
    lines = [Classification(settings, device="cuda", **way).run_epoch(1) for way in ways]
    assert lines[0]["train_loss"] == pytest.approx(lines[1]["train_loss"], rel=2e-2)


@on_gpu
def test_a_gpu_gives_the_losses_of_the_cpu():
    lines = [Classification(tiny(), device=device).run_epoch(1) for device in ("cpu", "cuda")]
    assert lines[0]["train_loss"] == pytest.approx(lines[1]["train_loss"], rel=1e-3)


@on_gpu
def test_a_gpu_captures_what_the_cpu_does():
    trainers = [Classification(tiny(model="resnet"), device=device) for device in ("cpu", "cuda")]
    for trainer in trainers:
        trainer.network.load_state_dict(trainers[0].network.state_dict())
    first, second = (trainer.capture().splits["test"][0] for trainer in trainers)
    np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("cause", "told", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "out of memory"),
        (RuntimeError("operation not permitted"), TrainingError, r"\(operation not permitted\)"),
    ],
    ids=["memory", "other"],
)
def test_what_spoils_a_recording_is_told_and_not_what_follows(monkeypatch, cause, told, words):
    """Ending a spoilt recording raises an error of its own, which says nothing."""

    @contextlib.contextmanager
    def recording(*_, **__):
        try:
            yield
        finally:
            raise RuntimeError("capture was invalidated")

    def step(*_):
        raise cause

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "Stream", object)
    steps = graphs.GraphSteps(step, list)
    plan = Plan(rows=torch.zeros((4, 2), dtype=torch.int64), cuts=None)
    totals = steps._start(plan)
    with pytest.raises(told, match=words):
        steps._recorded(totals)
