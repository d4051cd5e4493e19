"""What conv models are compared with: the same network eager in PyTorch, as its documentation writes it.

eager_conv.py train IMAGES.npy EPOCHS THREADS   prints seconds per epoch, validation included, a line per epoch
eager_conv.py score IMAGES.npy OUT THREADS      prints the seconds of reading, reconstructing and scoring
"""

import sys
import time

import numpy
import torch
from torch import nn

LEVELS, WIDTH, CODE = 3, 16, 8


def network():
    layers, channels = [], 1

    def hidden(convolution):
        layers.extend([convolution, nn.ReLU()])

    widths = [WIDTH << level for level in range(LEVELS)]
    for width in widths:
        hidden(nn.Conv2d(channels, width, 4, stride=2, padding=1))
        channels = width
    layers.append(nn.Conv2d(channels, CODE, 1))
    hidden(nn.Conv2d(CODE, channels, 3, padding=1))
    for width in widths[-2::-1]:
        layers.append(nn.Upsample(scale_factor=2))
        hidden(nn.Conv2d(channels, width, 3, padding=1))
        channels = width
    layers.extend([nn.Upsample(scale_factor=2), nn.Conv2d(channels, 1, 3, padding=1)])
    return nn.Sequential(*layers)


def images(path):
    return torch.from_numpy(numpy.load(path)).unsqueeze(1)


def train(model, pixels, epochs):
    held_out = pixels[: len(pixels) // 10].float() / 255
    data = torch.utils.data.TensorDataset(pixels[len(pixels) // 10 :])
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        started = time.perf_counter()
        model.train()
        for (batch,) in loader:
            batch = batch.float() / 255
            loss = nn.functional.mse_loss(model(batch * 2 - 1), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for batch in held_out.split(64):
                nn.functional.mse_loss(model(batch * 2 - 1), batch).item()
        print(time.perf_counter() - started, flush=True)


def score(model, path, out):
    started = time.perf_counter()
    model.eval()
    scores = []
    with torch.no_grad():
        for batch in images(path).split(32):
            batch = batch.float() / 255
            errors = (model(batch * 2 - 1) - batch).square()
            scores.append(errors.mean((1, 2, 3)))
    numpy.savetxt(out, torch.cat(scores).numpy())
    print(time.perf_counter() - started)


def main():
    torch.set_num_threads(int(sys.argv[4]))
    torch.manual_seed(1)
    if sys.argv[1] == "train":
        train(network(), images(sys.argv[2]), int(sys.argv[3]))
    else:
        score(network(), sys.argv[2], sys.argv[3])


main()
