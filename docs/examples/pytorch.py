"""Label smoothing against cross-entropy in a plain PyTorch loop, recorded for nccli.

Run it with `python docs/examples/pytorch.py`; then `nccli compare my-runs`.
"""

import torch
from torch import nn

import nccli

torch.manual_seed(0)
CENTRES = torch.randn(4, 20)
LABELS = torch.arange(400) % 4
IMAGES = CENTRES[LABELS] + 0.8 * torch.randn(400, 20)
TEST_LABELS = torch.arange(200) % 4
TEST_IMAGES = CENTRES[TEST_LABELS] + 0.8 * torch.randn(200, 20)


def train(run: str, *, label_smoothing: float, epochs: int = 30) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
    layer = nn.Linear(16, 4)
    criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    parameters = [*body.parameters(), *layer.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.2, momentum=0.9, weight_decay=5e-4)
    loss = "label-smoothing" if label_smoothing else "cross-entropy"
    said = {"loss": loss, "label_smoothing": label_smoothing, "seed": 0, "weight_decay": 5e-4}
    with nccli.recorder(run, **said) as record:
        for epoch in range(1, epochs + 1):
            criterion(layer(body(IMAGES)), LABELS).backward()
            optimizer.step()
            optimizer.zero_grad()
            if epoch % 10 == 0:
                record(
                    epoch,
                    train=(body(IMAGES), LABELS),
                    test=(body(TEST_IMAGES), TEST_LABELS),
                    weight=layer.weight,
                    bias=layer.bias,
                )


if __name__ == "__main__":
    train("my-runs/ce", label_smoothing=0.0)
    train("my-runs/ls", label_smoothing=0.1)
