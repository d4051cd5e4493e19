"""What ae-train is compared with: an eager PyTorch loop with a DataLoader, on one thread.

eager_training.py fit ROWS COLUMNS EPOCHS REPEATS HIDDEN [norm]   prints seconds per epoch, a line per repeat
eager_training.py process CSV EPOCHS OUT                          reads a table, trains, writes the weights
"""

import sys
import time

import numpy
import torch


def layers(widths, norm):
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        yield torch.nn.Linear(inputs, outputs)
        if i + 2 < len(widths):
            if norm:
                yield torch.nn.BatchNorm1d(outputs)
            yield torch.nn.ReLU()
            if norm:
                yield torch.nn.Dropout(0.1)


def network(columns, hidden, norm):
    encoder = [columns, *hidden, 4]
    return torch.nn.Sequential(*layers(encoder, norm), *layers(encoder[::-1], norm))


def train(model, values, held_out, epochs):
    """Seconds of each epoch, its validation included."""
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(values), batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.train()
        for (batch,) in loader:
            loss = torch.nn.functional.mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            torch.nn.functional.mse_loss(model(held_out), held_out).item()
        seconds.append(time.perf_counter() - started)
    return seconds


def main():
    torch.set_num_threads(1)
    if sys.argv[1] == "fit":
        rows, columns, epochs, repeats = map(int, sys.argv[2:6])
        hidden, norm = [int(width) for width in sys.argv[6].split("-")], "norm" in sys.argv[7:]
        values, held_out = torch.randn(rows, columns), torch.randn(rows // 4, columns)
        for _ in range(repeats):
            print(sum(train(network(columns, hidden, norm), values, held_out, epochs)) / epochs, flush=True)
    else:
        table = numpy.loadtxt(sys.argv[2], delimiter=",", skiprows=1, dtype=numpy.float32)
        table = torch.from_numpy((table - table.mean(0)) / table.std(0))
        held_out = len(table) // 5
        model = network(table.shape[1], [64], False)
        train(model, table[held_out:], table[:held_out], int(sys.argv[3]))
        torch.save(model.state_dict(), sys.argv[4])


main()
