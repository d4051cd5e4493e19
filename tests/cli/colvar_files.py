"""COLVAR files of simulations whose free energy is known in closed form."""

import numpy as np

BARRIER, TILT = 6.0, 0.3


def double_well(x):
    """6 (x^2 - 1)^2 + 0.3 x: the barrier is 6.296 above the minimum, delta F (right less left) 0.6, kT = 1."""
    return BARRIER * (x * x - 1) ** 2 + TILT * x


def truth_of_double_well():
    """(barrier, delta F) by quadrature."""
    x = np.linspace(-3, 3, 60001)
    f = double_well(x)
    top = x[np.argmax(np.where(np.abs(x) < 0.5, f, -np.inf))]
    weight = np.exp(-f)
    return f[np.abs(x) < 0.5].max() - f.min(), -np.log(weight[x > top].sum() / weight[x <= top].sum())


def sample(rng, grid, density, count):
    """Independent draws of a density on a fine grid, evenly within its cells."""
    total = np.cumsum(density)
    step = grid[1] - grid[0]
    return grid[np.searchsorted(total, rng.random(count) * total[-1])] + step * (rng.random(count) - 0.5)


def observed_double_well(count, sigma, seed=0, of_truth=False):
    """(true, observed, bias) of a static bias that flattens the observed variable, or the true one, up to 8 kT."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-2.6, 2.6, 5201)
    density = np.exp(-double_well(grid))
    if of_truth or sigma == 0:
        bias_of = -np.minimum(double_well(grid) - double_well(grid).min(), 8)
        x = sample(rng, grid, density * np.exp(-bias_of), count)
        return x, x + sigma * rng.standard_normal(count), np.interp(x, grid, bias_of)
    half = int(np.ceil(8 * sigma / (grid[1] - grid[0])))
    offsets = (grid[1] - grid[0]) * np.arange(-half, half + 1)
    error = np.exp(-((offsets / sigma) ** 2) / 2)
    wide = np.linspace(grid[0] + offsets[0], grid[-1] + offsets[-1], len(grid) + 2 * half)
    blurred = np.convolve(density, error)
    bias_of = np.maximum(np.log(blurred / blurred.max()), -8)
    observed = sample(rng, wide, blurred * np.exp(-bias_of), count)
    # The truth behind each observed value, by Bayes' rule, for pairs.
    true = np.empty(count)
    for part in np.array_split(np.arange(count), max(1, count // 500)):
        posterior = density * np.exp(-((observed[part, None] - grid) ** 2) / (2 * sigma**2))
        total = np.cumsum(posterior, 1)
        draws = rng.random(len(part)) * total[:, -1]
        true[part] = grid[(total < draws[:, None]).sum(1)]
    return true, observed, np.interp(observed, wide, bias_of)


def write_colvar(path, columns, constants=(), form="%.9g"):
    """`columns`: names and values; `time` is added when it is not among them."""
    columns = dict(columns)
    count = len(next(iter(columns.values())))
    columns = {"time": np.arange(count, dtype=float), **columns} if "time" not in columns else columns
    with open(path, "w") as file:
        file.write("#! FIELDS " + " ".join(columns) + "\n")
        for name, value in constants:
            file.write(f"#! SET {name} {value}\n")
        np.savetxt(file, np.column_stack(list(columns.values())), fmt=" " + form)
    return path


def write_pairs(path, true, observed, weight=None):
    columns = [true, observed] + ([weight] if weight is not None else [])
    header = "true,observed" + (",weight" if weight is not None else "")
    np.savetxt(path, np.column_stack(columns), delimiter=",", header=header, comments="", fmt="%.9g")
    return path
