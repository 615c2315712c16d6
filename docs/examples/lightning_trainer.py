"""Label smoothing against cross-entropy on handwritten digits with Lightning, recorded for nccli.

Run it with `python docs/examples/lightning_trainer.py`, then `nccli compare my-runs` or
`nccli view my-runs`.
"""

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nccli.callbacks.lightning import Recorder
from nccli.sample import sample_data_path

FILE = np.load(sample_data_path("digits.npz"))
IMAGES = torch.from_numpy(FILE["images"]).float() / 16
LABELS = torch.from_numpy(FILE["labels"]).long()
TRAIN = TensorDataset(IMAGES[:1000], LABELS[:1000])
TEST = TensorDataset(IMAGES[1000:], LABELS[1000:])


class Classifier(LightningModule):
    def __init__(self, label_smoothing: float) -> None:
        super().__init__()
        body = [nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()]
        self.network = nn.Sequential(*body, nn.Linear(64, 10))
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        images, labels = batch
        return self.criterion(self(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


def train(run: str, *, label_smoothing: float) -> None:
    seed_everything(0, verbose=False)
    recorder = Recorder(
        run, train=TRAIN, test=TEST, every=5, label_smoothing=label_smoothing, dataset="digits"
    )
    trainer = Trainer(
        max_epochs=12, callbacks=[recorder], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Classifier(label_smoothing), DataLoader(TRAIN, batch_size=64, shuffle=True))


if __name__ == "__main__":
    train("my-runs/ce", label_smoothing=0.0)
    train("my-runs/ls", label_smoothing=0.1)
