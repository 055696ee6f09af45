"""Digits in PyTorch: two layers of LIF neurons, Adam of PyTorch, exact gradients of lifnum.

python docs/examples/torch_digits.py [EPOCHS]
"""

import sys
import time

import numpy as np
import torch

import lifnum
from lifnum.data import datasets
from lifnum.torch import LIFLayer, LIFSequential, Spikes

data = datasets.load("digits")
torch.manual_seed(0)
scheme = lifnum.Scheme("euler", dt=1e-3)
net = LIFSequential(
    LIFLayer(64, 128, lifnum.Neuron(theta=0.05), scheme),
    LIFLayer(128, 10, lifnum.Neuron(theta=0.2), scheme),
)
with torch.no_grad():
    net[1].weight.uniform_(-0.6, 1)
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3, fused=True)
test = Spikes.of(data.test)
labels = torch.from_numpy(data.train_labels)
targets = 3.0 + 12.0 * torch.nn.functional.one_hot(labels, 10)

for epoch in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
    start = time.perf_counter()
    for rows in np.array_split(torch.randperm(len(data.train)).numpy(), len(data.train) // 20):
        counts = net(Spikes.of(data.train.select(rows))).counts()
        loss = torch.nn.functional.mse_loss(counts, targets[rows], reduction="sum")
        loss = 0.5 / len(rows) * loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        correct = net(test).counts().argmax(axis=1).numpy() == data.test_labels
    print(f"epoch {epoch + 1}: test {100 * correct.mean():.2f} % ({seconds:.2f} s)")
