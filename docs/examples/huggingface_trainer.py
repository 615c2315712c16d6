"""Label smoothing against cross-entropy on handwritten digits with Hugging Face's Trainer.

Run it with `python docs/examples/huggingface_trainer.py`, then `nccli compare my-runs` or
`nccli view my-runs`.
"""

import numpy as np
import torch
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from nccli.callbacks.huggingface import Recorder
from nccli.sample import sample_data_path

FILE = np.load(sample_data_path("digits.npz"))
IMAGES = torch.from_numpy(FILE["images"]).float()[:, None] / 16
LABELS = FILE["labels"].tolist()
SAMPLES = [{"pixel_values": x, "labels": y} for x, y in zip(IMAGES, LABELS, strict=True)]
TRAIN, TEST = SAMPLES[:1000], SAMPLES[1000:]
NETWORK = ResNetConfig(
    num_channels=1, embedding_size=32, hidden_sizes=[32, 64], depths=[1, 1], layer_type="basic",
    num_labels=10,
)  # fmt: skip


def train(run: str, *, label_smoothing: float) -> None:
    set_seed(0)
    arguments = TrainingArguments(
        "my-trainer", num_train_epochs=12, per_device_train_batch_size=64, learning_rate=0.1,
        optim="sgd", optim_args="momentum=0.9", weight_decay=5e-4, seed=0,
        label_smoothing_factor=label_smoothing, save_strategy="no", report_to="none",
        use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    model = ResNetForImageClassification(NETWORK)
    recorder = Recorder(run, train=TRAIN, test=TEST, every=5, dataset="digits")
    Trainer(model, arguments, train_dataset=TRAIN, callbacks=[recorder]).train()


if __name__ == "__main__":
    train("my-runs/ce", label_smoothing=0.0)
    train("my-runs/ls", label_smoothing=0.1)
