"""A network to try it on: a small MLP, trained for a second on the shipped digits.

    nccli hessian --network nccli.network.example:digits --top 9

Yours looks the same: build the model, load its weights, return it with its loss and its data.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from nccli.network.problem import Problem
from nccli.sample import sample_data_path

EPOCHS = 60
LEARNING_RATE = 0.01
COUNT = 1_000


def digits() -> Problem:
    """The first 1,000 digits, 64-32-10 with ReLU, label smoothing 0.05, 60 steps of Adam."""
    with np.load(sample_data_path("digits.npz")) as file:
        images = torch.from_numpy(file["images"][:COUNT].reshape(COUNT, -1)).float()
        labels = torch.from_numpy(file["labels"][:COUNT]).long()
    inputs = (images - images.mean()) / images.std()
    with torch.random.fork_rng(devices=[]):  # the caller's own random numbers go on as before
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss_function(model(inputs), labels).backward()
        optimizer.step()
    batches = list(
        zip(torch.split(inputs, 256), torch.split(labels, 256), strict=True)
    )  # the last one is short
    return Problem(model=model.eval(), loss_function=loss_function, data=batches)
