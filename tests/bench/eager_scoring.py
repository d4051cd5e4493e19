"""What ae-score is compared with on tables: pandas' C reader, an eager forward pass, to_csv.

eager_scoring.py CSV OUT THREADS   prints the seconds that this took, imports left out
"""

import sys
import time

import numpy
import pandas
import torch


def main():
    torch.set_num_threads(int(sys.argv[3]))
    widths = [(20, 64), (64, 32), (32, 64), (64, 20)]
    linear = [torch.nn.Linear(*width) for width in widths]
    network = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1], linear[2], torch.nn.ReLU(), linear[3])
    calibration = numpy.sort(numpy.random.default_rng(1).random(2000))
    started = time.perf_counter()
    table = torch.from_numpy(pandas.read_csv(sys.argv[1], engine="c").to_numpy(numpy.float32))
    table = (table - 1) / 0.4
    with torch.no_grad():
        losses = [(network(rows) - rows).square().mean(1) for rows in table.split(4096)]
    scores = torch.cat(losses).numpy().astype(numpy.float64)
    at_least = len(calibration) - numpy.searchsorted(calibration, scores)
    p_values = (1 + at_least) / (len(calibration) + 1)
    pandas.DataFrame({"id": numpy.arange(len(scores)), "score": scores, "p_value": p_values}).to_csv(
        sys.argv[2], index=False)
    print(time.perf_counter() - started)


main()
