"""ae-deconvolve on simulated runs whose free energy is known, and what it refuses."""

import csv
import json
import math
import os
import signal
import subprocess

import numpy as np
import pytest
from colvar_files import double_well, observed_double_well, truth_of_double_well, write_colvar, write_pairs
from support import one_error, wait_for

BLUR = ["--sigma", "0.2"]
BIASED = ["--cv", "s", "--bias", "bias", "--kt", "1"]
BARRIER, DELTA_F = truth_of_double_well()


def fes(folder):
    with open(folder / "fes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def deconvolve(run, folder, *arguments):
    """(summary, columns of fes.csv)"""
    outcome = run("ae-deconvolve", *arguments, "-o", "out", "--force", "-q")
    assert outcome.code == 0, outcome.stderr
    return json.loads((folder / "out" / "summary.json").read_text()), fes(folder / "out")


def rms(columns, name="F", truth=double_well, below=6.5):
    expected = truth(columns["x"]) - truth(np.linspace(-2, 2, 4001)).min()
    difference = (columns[name] - expected)[(expected < below) & np.isfinite(columns[name])]
    return np.sqrt(np.mean((difference - difference.mean()) ** 2))


def one_error_in_time(bin_folder, folder, code, words, *arguments, seconds=20):
    """As `refused`, and at once: not after years."""
    command = [bin_folder / "ae-deconvolve", *arguments, "-o", "out", "-q"]
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if " error: " in line]
    assert len(errors) == 1 and all(word in errors[0] for word in words), done.stderr


@pytest.fixture(scope="module")
def double_well_run(tmp_path_factory):
    """50,000 rows of a double well, observed with errors of 0.2, flattened by a static bias."""
    folder = tmp_path_factory.mktemp("double-well")
    _, observed, bias = observed_double_well(50_000, 0.2, seed=1)
    return write_colvar(folder / "COLVAR", {"s": observed, "bias": bias})


def small_run(folder, count=2000, sigma=0.2, seed=3, **more):
    _, observed, bias = observed_double_well(count, sigma, seed)
    return write_colvar(folder / "COLVAR", {"s": observed, "bias": bias}, **more)


# --- Truths ---


def test_a_double_well_comes_back_from_its_blur(run, tmp_path, double_well_run):
    told, columns = deconvolve(run, tmp_path, double_well_run, *BIASED, *BLUR, "--bootstrap", "20")
    assert abs(told["barrier"] - BARRIER) < 0.25
    assert abs(told["delta_F"] - DELTA_F) < 4 * told["delta_F_se"] < 0.2
    assert rms(columns) < 0.15 and rms(columns, "F_observed") > 0.5
    as_observed = columns["F_observed"][np.abs(columns["x"]) < 0.2]
    assert BARRIER - np.nanmax(as_observed) > 1  # what reweighting alone makes of it
    assert told["converged"] is True and told["warnings"] == []
    assert 0.5 < told["chi2"] < 1.5
    assert np.nanmin(columns["F"]) == 0 and np.nanmin(columns["F_observed"]) == 0
    known = np.isfinite(columns["se"])
    assert np.all(columns["lo"][known] <= columns["F"][known]) and np.all(columns["F"][known] <= columns["hi"][known])


def test_a_bias_of_the_truth_serves_as_well(run, tmp_path):
    """Rows of one observed value then have weights that differ by much."""
    for seed in (11, 12):
        _, observed, bias = observed_double_well(50_000, 0.2, seed, of_truth=True)
        told, columns = deconvolve(run, tmp_path, write_colvar(tmp_path / "COLVAR", {"s": observed, "bias": bias}), *BIASED,
                                   *BLUR, "--bootstrap", "0")
        assert told["windows"][0]["reweighting"] == "weights of rows"
        assert abs(told["barrier"] - BARRIER) < 0.25 and rms(columns) < 0.2


def test_a_fold_in_another_state_does_not_choose_the_penalty(run, tmp_path):
    """Two blocks that are held out together are of a state that the others hardly see: what is learned from them is the
    worse for these two the better it is for all others."""
    rng = np.random.default_rng(8)
    x = 0.1 * rng.standard_normal((20, 1000)) - 1
    x[:, ::100] += 2
    x[[3, 13]] = 1 + 0.1 * rng.standard_normal((2, 1000))
    write_colvar(tmp_path / "COLVAR", {"s": x.ravel()})
    told, columns = deconvolve(run, tmp_path, "COLVAR", "--cv", "s", "--kt", "1", "--sigma", "0", "--bootstrap", "0")
    assert told["chi2"] < 2
    assert abs(told["delta_F"] - math.log(17_820 / 2180)) < 0.1
    near = np.abs(columns["x"] + 1) < 0.2
    difference = (columns["F"] - ((columns["x"] + 1) / 0.1) ** 2 / 2)[near]
    assert np.std(difference) < 0.1


def test_fewer_rows_still_tell_the_barrier(run, tmp_path):
    path = small_run(tmp_path, 5000)
    told, columns = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0")
    assert rms(columns) < 0.5 and abs(told["barrier"] - BARRIER) < 0.6
    assert told["barrier_se"] is None and np.all(np.isnan(columns["se"]))


def test_a_gaussian_is_narrower_by_the_variance_of_its_blur(run, tmp_path):
    """The sum of independent normal variables: variances add up."""
    rng = np.random.default_rng(0)
    observed = rng.standard_normal(100_000) + 0.5 * rng.standard_normal(100_000)
    told, columns = deconvolve(run, tmp_path, write_colvar(tmp_path / "g", {"s": observed}), "--cv", "s", "--kt", "1",
                               "--sigma", "0.5", "--bootstrap", "0")
    known = np.isfinite(columns["F"])
    p, x = np.exp(-columns["F"][known]), columns["x"][known]
    mean = (p * x).sum() / p.sum()
    assert abs((p * (x - mean) ** 2).sum() / p.sum() - (observed.var() - 0.25)) < 0.01
    assert told["converged"] is True and told["delta_F"] is None and told["barrier"] is None


def test_a_blur_too_wide_is_warned_of_and_one_too_narrow_cannot_be_seen(run, tmp_path, double_well_run):
    wide, _ = deconvolve(run, tmp_path, double_well_run, *BIASED, "--sigma", "0.25", "--bootstrap", "0")
    assert wide["chi2"] > 2 and any("too large" in warning for warning in wide["warnings"])
    narrow, _ = deconvolve(run, tmp_path, double_well_run, *BIASED, "--sigma", "0.16", "--bootstrap", "0")
    assert narrow["chi2"] < 1.5 and narrow["barrier"] < BARRIER - 0.25
    text = " ".join(run("ae-deconvolve", "--help").stdout.split())
    assert "too narrow CANNOT be seen" in text


def test_a_barrier_that_sigma_decides_is_warned_of(run, tmp_path):
    """Errors of 0.3 leave 3.4 of 6.3 kT: a sigma that is a fifth too large makes 19 of them."""
    _, observed, bias = observed_double_well(50_000, 0.3, 31)
    path = write_colvar(tmp_path / "COLVAR", {"s": observed, "bias": bias})
    wide, _ = deconvolve(run, tmp_path, path, *BIASED, "--sigma", "0.36", "--bootstrap", "0")
    assert wide["chi2"] > 2 and wide["barrier"] > BARRIER + 3
    assert any("the barrier depends strongly on sigma" in warning for warning in wide["warnings"])
    right, _ = deconvolve(run, tmp_path, path, *BIASED, "--sigma", "0.3", "--bootstrap", "0")
    assert abs(right["barrier"] - BARRIER) < 0.6 and right["warnings"] == []


def test_pairs_tell_the_blur(run, tmp_path, double_well_run):
    true, observed, bias = observed_double_well(2000, 0.2, 5, of_truth=True)
    # Another scale, as that of a code, and a bias of the truth, which leaves the errors at a truth as they are.
    write_pairs(tmp_path / "pairs.csv", true, observed, np.exp(bias))
    told, columns = deconvolve(run, tmp_path, double_well_run, *BIASED, "--pairs", "pairs.csv", "--bootstrap", "10")
    assert abs(told["barrier"] - BARRIER) < 0.5 and rms(columns) < 0.4
    assert told["blur"] == "2000 weighted pairs of pairs.csv"


def test_an_observed_variable_of_another_scale_is_read_on_that_of_the_truth(run, tmp_path):
    true, observed, bias = observed_double_well(20_000, 0.2, 6)
    write_colvar(tmp_path / "COLVAR", {"code": 5 - 3 * observed, "bias": bias})
    other, seen, _ = observed_double_well(2000, 0.2, 7, of_truth=True)
    write_pairs(tmp_path / "pairs.csv", other, 5 - 3 * seen)
    told, columns = deconvolve(run, tmp_path, "COLVAR", "--cv", "code", "--bias", "bias", "--kt", "1", "--pairs", "pairs.csv",
                               "--bootstrap", "0")
    assert abs(told["barrier"] - BARRIER) < 0.6
    lowest = columns["x"][np.nanargmin(columns["F_observed"])]
    assert abs(lowest + 1) < 0.15
    assert any("no weight" in warning for warning in told["warnings"])


def test_errors_may_depend_on_the_truth(run, tmp_path, double_well_run):
    (tmp_path / "errors.csv").write_text("x,sigma\n-2,0.2\n2,0.2\n")
    by_table, one = deconvolve(run, tmp_path, double_well_run, *BIASED, "--kernel", "errors.csv", "--bootstrap", "0")
    assert abs(by_table["barrier"] - BARRIER) < 0.3 and rms(one) < 0.2


def test_an_error_model_is_read_as_a_table_of_its_blur_is(run, tmp_path, double_well_run):
    points = [{"x": -2, "mean": -2.1, "sigma": 0.2}, {"x": 0, "mean": 0, "sigma": 0.25}, {"x": 2, "mean": 2, "sigma": 0.2}]
    model = {"format": "aetools error model", "version": 1, "made_by": "hand", "model": "", "rows": 1000, "codes": ["s"],
             "reconstruction": {"columns": ["a"], "code_scale": [1], "residuals": [[1], [-1]],
                                "cells": [{"code": [0], "rows": 1000, "bias": [0], "spread": [1]}]},
             "truth": "x", "blur": {"s": points}}
    (tmp_path / "errors.json").write_text(json.dumps(model))
    (tmp_path / "errors.csv").write_text("x,mean,sigma\n" + "".join("{x},{mean},{sigma}\n".format(**p) for p in points))
    _, by_model = deconvolve(run, tmp_path, double_well_run, *BIASED, "--kernel", "errors.json", "--bootstrap", "0")
    _, by_table = deconvolve(run, tmp_path, double_well_run, *BIASED, "--kernel", "errors.csv", "--bootstrap", "0")
    assert all(np.array_equal(by_model[name], by_table[name], equal_nan=True) for name in by_table)
    (tmp_path / "out").rename(tmp_path / "found")
    for change, words in (({"blur": {"z1": points}}, ["\"s\""]), ({"version": 2}, ["/version"]), ({"truth": None}, ["/truth"]),
                          ({"blur": {"s": points[::-1]}}, ["/blur/s/1/x", "does not rise"]),
                          ({"blur": {"s": [{**points[0], "mean": -1.7e308}, {**points[1], "mean": 1.7e308}]}},
                           ["/blur/s/1/mean", "too far off"]),
                          ({"codes": ["s\ns"], "blur": {"s\ns": [1]}}, ["/blur/s\\ns/0/x", "is missing"]),
                          ({"reconstruction": {**model["reconstruction"], "residuals": [[1e200], [-1]],
                            "cells": [{"code": [0], "rows": 1, "bias": [0], "spread": [1e200]}]}},
                           ["/reconstruction/residuals", '"a"', "too large"]),
                          ({"codes": ["s", "t"]}, ["/reconstruction/code_scale"])):
        (tmp_path / "wrong.json").write_text(json.dumps({**model, **change}))
        refused(run, tmp_path, 4, words, double_well_run, *BIASED, "--kernel", "wrong.json")


def test_a_page_shows_what_was_found(run, tmp_path):
    small_run(tmp_path)
    told, _ = deconvolve(run, tmp_path, "COLVAR", *BIASED, *BLUR, "--bootstrap", "0")
    page = (tmp_path / "out" / "page.html").read_text()
    assert f"{told['barrier']:.3f}" in page and "data:image/svg+xml;base64," in page
    assert "--sigma 0.2" in page and all(warning[:30] in page for warning in told["warnings"])


def test_umbrella_windows_are_joined(run, tmp_path):
    """Harmonic windows over the double well, sampled by their exact densities and blurred; the bias is of the observed."""
    rng = np.random.default_rng(4)
    grid = np.linspace(-2.2, 2.2, 4401)
    files = []
    for k, centre in enumerate(np.linspace(-1.4, 1.4, 15)):
        density = np.exp(-double_well(grid) - 40 * (grid - centre) ** 2 / 2)
        total = np.cumsum(density)
        x = grid[np.searchsorted(total, rng.random(1000) * total[-1])] + 0.001 * (rng.random(1000) - 0.5)
        files.append(write_colvar(tmp_path / f"window{k}", {"s": x, "bias": 40 * (x - centre) ** 2 / 2 + k}).name)
    told, columns = deconvolve(run, tmp_path, *files, *BIASED, "--sigma", "0", "--bootstrap", "20")
    assert len(told["windows"]) == 15 and {w["reweighting"] for w in told["windows"]} == {"harmonic bias"}
    assert abs(told["barrier"] - BARRIER) < 0.3 and rms(columns) < 0.2
    assert told["converged"] is True
    apart = [files[0], files[1], files[-1]]
    told, _ = deconvolve(run, tmp_path, *apart, *BIASED, "--sigma", "0", "--bootstrap", "0")
    assert told["converged"] is False and "overlap" in told["not_converged_because"][0]


@pytest.mark.parametrize("bins", [12, 30, 120])
def test_windows_narrower_than_bins_are_joined_as_well(run, tmp_path, bins):
    """Against the probabilities of bins by quadrature: windows of a width of 0.07 in bins of up to 0.37."""
    rng = np.random.default_rng(14)
    grid = np.linspace(-2.2, 2.2, 8801)
    files = []
    for k, centre in enumerate(np.linspace(-1.5, 1.5, 31)):
        total = np.cumsum(np.exp(-double_well(grid) - 200 * (grid - centre) ** 2 / 2))
        x = grid[np.searchsorted(total, rng.random(1000) * total[-1])] + 0.0005 * (rng.random(1000) - 0.5)
        files.append(write_colvar(tmp_path / f"window{k}", {"s": x, "bias": 200 * (x - centre) ** 2 / 2}).name)
    told, columns = deconvolve(run, tmp_path, *files, *BIASED, "--sigma", "0", "--bootstrap", "0", "--bins", bins)
    assert told["grid"][0]["bins"] == bins == len(columns["x"]) and told["inner_grid"][0]["bins"] % bins == 0
    half = (columns["x"][1] - columns["x"][0]) / 2
    fine = np.linspace(-half, half, 201)
    truth = -np.log(np.exp(-double_well(columns["x"][:, None] + fine)).mean(1))
    truth -= truth.min()
    low = truth < 6.5
    for name, most in (("F", 0.35), ("F_observed", 0.35)):
        assert np.max(np.abs(columns[name] - truth)[low]) < most, name
    assert abs(told["barrier"] - BARRIER) < 0.4


def test_a_periodic_variable_is_one_without_ends(run, tmp_path):
    """A von Mises distribution across the period's seam."""
    rng = np.random.default_rng(2)
    phi = rng.vonmises(math.pi, 4, 40_000)
    blurred = (phi + 0.2 * rng.standard_normal(len(phi)) + math.pi) % (2 * math.pi) - math.pi
    write_colvar(tmp_path / "COLVAR", {"phi": blurred}, [("min_phi", "-pi"), ("max_phi", "pi")])
    told, columns = deconvolve(run, tmp_path, "COLVAR", "--cv", "phi", "--kt", "1", "--sigma", "0.2", "--bootstrap", "0")
    assert told["grid"][0]["periodic"] is True and told["grid"][0]["maximum"] == pytest.approx(math.pi)
    truth = 4 * (1 + np.cos(columns["x"]))
    near = truth < 4
    difference = (columns["F"] - truth)[near]
    assert np.std(difference) < 0.1
    assert len(told["states"]) == 1


def test_two_variables(run, tmp_path):
    """Two wells in a plane, each a normal distribution: variances after the blur are known."""
    rng = np.random.default_rng(9)
    right = rng.random(40_000) < 0.3
    x = np.where(right, 1.5, -1.5) + 0.5 * rng.standard_normal(40_000) + 0.3 * rng.standard_normal(40_000)
    y = np.where(right, -1, 1) + 0.6 * rng.standard_normal(40_000) + 0.2 * rng.standard_normal(40_000)
    write_colvar(tmp_path / "COLVAR", {"x": x, "y": y})
    told, columns = deconvolve(run, tmp_path, "COLVAR", "--cv", "x", "--cv", "y", "--kt", "1", "--sigma", "0.3", "--sigma",
                               "0.2", "--bins", "30", "--bins", "30", "--bootstrap", "4", "--blocks", "10")
    assert set(columns) == {"x", "y", "F_observed", "F", "se", "lo", "hi", "n_eff"}
    assert abs(told["delta_F"] - math.log(0.7 / 0.3)) < 0.05
    p = np.nan_to_num(np.exp(-columns["F"]))
    left = columns["x"] < 0
    for name, centre, deviation in (("x", -1.5, 0.5), ("y", 1, 0.6)):
        mean = (p * columns[name])[left].sum() / p[left].sum()
        variance = (p * (columns[name] - mean) ** 2)[left].sum() / p[left].sum()
        assert abs(mean - centre) < 0.03 and abs(variance - deviation**2) < 0.03


def test_a_second_half_without_a_state_is_not_converged(run, tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.choice([-1, 1], 2000), np.full(2000, -1)]) + 0.2 * rng.standard_normal(4000)
    write_colvar(tmp_path / "COLVAR", {"s": x})
    told, _ = deconvolve(run, tmp_path, "COLVAR", "--cv", "s", "--kt", "1", "--sigma", "0.05")
    assert told["converged"] is False and any("one half" in reason for reason in told["not_converged_because"])
    assert any("not converged" in warning for warning in told["warnings"])


def test_replicas_that_never_cross_have_no_transitions(run, tmp_path):
    rng = np.random.default_rng(0)
    files = []
    for k in range(24):
        x = (-1) ** k + 0.2 * rng.standard_normal(200)
        files.append(write_colvar(tmp_path / f"replica{k}", {"s": x}).name)
    told, _ = deconvolve(run, tmp_path, *files, "--cv", "s", "--kt", "1", "--sigma", "0.05", "--bootstrap", "0")
    assert told["transitions"] == 0 and told["converged"] is False


def test_errors_are_those_of_blocks_of_time(run, tmp_path):
    """A variable that stays in its state for long: rows next to each other tell the same."""
    rng = np.random.default_rng(1)
    state = np.repeat(rng.choice([-1.0, 1.0], 100), 200)
    write_colvar(tmp_path / "COLVAR", {"s": state + 0.2 * rng.standard_normal(len(state))})
    told, _ = deconvolve(run, tmp_path, "COLVAR", "--cv", "s", "--kt", "1", "--sigma", "0.05", "--bootstrap", "100")
    assert told["delta_F_se"] > 3 * told["delta_F_se_rows"]
    expected = 2 / math.sqrt(100)  # of ln(n / (100 - n)) for 100 independent stays
    assert 0.5 * expected < told["delta_F_se"] < 2 * expected


# --- States ---


def states_and_run(folder, apart, share=0.02, biased_share=0.4, count=20_000, seed=5):
    """Two states whose observed values are normal, `apart` standard deviations; a run biased towards the second one."""
    rng = np.random.default_rng(seed)
    files = [write_colvar(folder / name, {"loss": rng.normal(at, 1, count // 2)}) for name, at in (("a", 0), ("b", apart))]
    second = rng.random(count) < biased_share
    bias = np.where(second, math.log(share / biased_share), math.log((1 - share) / (1 - biased_share)))
    biased = write_colvar(folder / "biased", {"loss": rng.normal(apart * second, 1), "bias": bias})
    return biased, ["--state", f"A={files[0]}", "--state", f"B={files[1]}"]


def shares(run, folder, *arguments):
    outcome = run("ae-deconvolve", *arguments, "--cv", "loss", "--bias", "bias", "--kt", "2", "-o", "out", "--force")
    assert outcome.code == 0, outcome.stderr
    with open(folder / "out" / "states.csv", newline="") as file:
        return json.loads((folder / "out" / "summary.json").read_text()), list(csv.DictReader(file)), outcome


def test_shares_of_states_come_back_where_states_overlap(run, tmp_path):
    biased, states = states_and_run(tmp_path, apart=2.2)
    # Weights are e^(V/kT): with kT = 2 biases are twice as large.
    text = biased.read_text().splitlines()
    biased.write_text("\n".join([text[0], *(f"{t} {s} {2 * float(v)!r}" for t, s, v in map(str.split, text[1:]))]) + "\n")
    told, rows, outcome = shares(run, tmp_path, biased, *states)
    truth = -2 * math.log(0.02 / 0.98)
    assert abs(told["delta_F"] - truth) < 3 * told["delta_F_se"] < 1, told
    low, high = told["delta_F_interval"]
    assert low < truth < high
    assert truth - told["delta_F_assigned"] > 2  # the states' tails hide the rare one
    assert abs(told["overlap"] - math.erfc(1.1 / math.sqrt(2))) < 0.02
    assert told["converged"] and told["chi2"] < 2 and not told["assigned_within_error"] and "not needed" not in outcome.stdout
    assert [row["state"] for row in rows] == ["A", "B"] and float(rows[0]["F"]) == 0
    assert abs(sum(float(row["share"]) for row in rows) - 1) < 1e-12
    with open(tmp_path / "out" / "bins.csv", newline="") as file:
        bins = list(csv.DictReader(file))
    for column in ("A", "B", "observed", "fitted"):
        assert abs(sum(float(row[column]) for row in bins) - 1) < 1e-9
    assert bins[0]["lo"] == "-inf" and bins[-1]["hi"] == "inf"
    assert "<svg" in (tmp_path / "out" / "states.svg").read_text()


def test_states_that_hardly_overlap_need_no_deconvolution(run, tmp_path):
    biased, states = states_and_run(tmp_path, apart=8)
    told, _, outcome = shares(run, tmp_path, biased, *states)
    assert abs(told["delta_F"] - told["delta_F_assigned"]) <= told["delta_F_se"] + 1e-9
    assert told["assigned_within_error"] and "not needed" in outcome.stdout


def test_states_that_look_alike_are_not_resolvable(run, tmp_path):
    biased, states = states_and_run(tmp_path, apart=1)
    told, _, outcome = shares(run, tmp_path, biased, *states)
    assert told["overlap"] > 0.4 and not told["converged"]
    assert any("not resolvable" in reason for reason in told["not_converged_because"])
    assert "not resolvable" in outcome.stderr


def test_a_state_without_a_run_of_its_own_is_warned_of(run, tmp_path):
    biased, states = states_and_run(tmp_path, apart=3)
    rng = np.random.default_rng(1)
    write_colvar(biased, {"loss": rng.permutation(np.r_[rng.normal(0, 1, 5000), rng.normal(3, 1, 5000), rng.normal(1.5, 0.1, 3000)]),
                          "bias": np.zeros(13_000)})
    told, _, _ = shares(run, tmp_path, biased, *states)
    assert told["chi2"] > 2 and any("another state" in warning for warning in told["warnings"])


def test_short_runs_of_states_do_not_make_another_state(run, tmp_path):
    """What is expected is known by so many rows, which chi^2 counts."""
    biased, states = states_and_run(tmp_path, apart=4, share=0.3, biased_share=0.3)
    rng = np.random.default_rng(8)
    for name, at in (("a", 0), ("b", 4)):
        write_colvar(tmp_path / name, {"loss": rng.normal(at, 1, 300)})
    told, _, _ = shares(run, tmp_path, biased, *states)
    assert told["chi2"] < 2 and told["converged"] and told["unexplained"] < 0.01


def test_a_share_below_what_a_tail_can_tell_is_not_converged(run, tmp_path):
    biased, states = states_and_run(tmp_path, apart=4, share=0.001, biased_share=0.001)
    write_colvar(tmp_path / "a", {"loss": np.random.default_rng(8).normal(0, 1, 1000)})
    told, _, _ = shares(run, tmp_path, biased, *states)
    assert not told["converged"] and any("tail" in reason for reason in told["not_converged_because"])


def test_rows_where_no_state_was_are_counted(run, tmp_path):
    biased, states = states_and_run(tmp_path, apart=3, count=4000)
    loss = np.r_[np.random.default_rng(1).normal(0, 1, 970), np.full(30, 100.0)]
    write_colvar(biased, {"loss": loss, "bias": np.zeros(1000)})
    told, _, outcome = shares(run, tmp_path, biased, *states)
    assert abs(told["unexplained"] - 0.03) < 0.003 and "no state's run has been" in outcome.stderr


def test_a_table_of_codes_and_losses_serves_as_a_run(run, tmp_path):
    """Comma-separated, as ae-embed --loss writes it."""
    biased, states = states_and_run(tmp_path, apart=2.2, count=4000)
    expected, _, _ = shares(run, tmp_path, biased, *states)
    lines = [line.split() for line in biased.read_text().splitlines()]
    (tmp_path / "run.csv").write_text("\n".join(",".join(line) for line in [lines[0][2:], *lines[1:]]) + "\n")
    told, _, _ = shares(run, tmp_path, tmp_path / "run.csv", *states)
    assert told["delta_F"] == expected["delta_F"] and told["delta_F_se"] == expected["delta_F_se"]


@pytest.mark.parametrize("arguments, words", [
    (["--state", "A=a"], ["--state is given once"]),
    (["--state", "A=a", "--state", "b"], ["--state", '"b"', "NAME=FILE"]),
    (["--state", "A=a", "--state", "A=b"], ["--state", '"A" is there twice']),
    (["--state", "A=a", "--state", "B=b", "--sigma", "1"], ["--sigma is not for --state"]),
    (["--state", "A=a", "--state", "observed=b"], ["--state", '"observed"', "bins.csv"]),
])
def test_wrong_states_are_one_line(run, tmp_path, arguments, words):
    states_and_run(tmp_path, apart=3, count=100)
    one_error(run("ae-deconvolve", "biased", "--cv", "loss", "--kt", "1", *arguments, "-o", "out", "-q"), 2, *words)


def test_umbrella_windows_are_no_run_of_states(run, tmp_path):
    """Their rows would be taken for those of one run, and shares be wrong."""
    rng = np.random.default_rng(7)
    files = []
    for k, centre in enumerate((-1.0, 0.0, 1.0)):
        x = centre + 0.3 * rng.standard_normal(500)
        files.append(write_colvar(tmp_path / f"window{k}", {"s": x, "bias": 5 * (x - centre) ** 2}).name)
    write_colvar(tmp_path / "a", {"s": rng.standard_normal(500) - 1})
    write_colvar(tmp_path / "b", {"s": rng.standard_normal(500) + 1})
    states = ["--state", "A=a", "--state", "B=b", "--bootstrap", "0"]
    one_error(run("ae-deconvolve", *files, *BIASED, *states, "-o", "out", "-q"), 4, "window0", "umbrella windows", "--state")
    assert run("ae-deconvolve", files[0], *BIASED, *states, "-o", "out", "-q").code == 0


# --- Files ---


def test_a_number_that_is_cut_is_not_read(run, tmp_path):
    """The last row's bias of 12 may have become 1: nothing tells but the missing end of the line."""
    path = small_run(tmp_path, 500)
    path.write_text(path.read_text() + " 500 0.1 1")
    told, _ = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0")
    assert told["rows"]["incomplete"] == 1 and told["rows"]["used"] == 500
    assert any("last line has no end" in warning for warning in told["warnings"])


def test_a_name_that_is_there_twice_is_no_matter_where_it_is_not_used(run, tmp_path):
    """As of components that are printed by two names of one action."""
    path = small_run(tmp_path, 500)
    _, expected = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0")
    lines = path.read_text().splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("#! FIELDS"))
    for names, is_used in ((" d d", False), (" s d", True)):
        rows = [line if line.startswith("#") else line + " 7 8" for line in lines]
        rows[header] += names
        path.write_text("\n".join(rows) + "\n")
        if is_used:
            one_error(run("ae-deconvolve", path, *BIASED, *BLUR, "-o", "other", "-q"), 4, f"COLVAR:{header + 1}", '"s" is there twice')
        else:
            _, columns = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0")
            assert all(np.array_equal(columns[name], expected[name], equal_nan=True) for name in expected)


def test_periodic_overrides_what_files_say(run, tmp_path):
    rng = np.random.default_rng(2)
    for name, constants in (("a", [("min_s", "-4"), ("max_s", "4")]), ("b", [("min_s", "-3"), ("max_s", "zero")])):
        write_colvar(tmp_path / name, {"s": np.clip(rng.standard_normal(1000), -2.9, 2.9)}, constants)
    arguments = ["a", "b", "--cv", "s", "--kt", "1", "--sigma", "0.1", "--bootstrap", "0"]
    for choice, periodic in (("-4:4", True), ("none", False)):
        told, _ = deconvolve(run, tmp_path, *arguments, "--periodic", choice)
        assert told["grid"][0]["periodic"] is periodic
    one_error(run("ae-deconvolve", *arguments, "-o", "other", "-q"), 4, "max_s", "zero")


def test_a_few_values_far_off_are_warned_of(run, tmp_path):
    path = small_run(tmp_path, 2000)
    path.write_text(path.read_text() + " 2000 1000 0\n")
    told, _ = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0", "--bins", "120")
    assert any("--minimum and --maximum" in warning for warning in told["warnings"])


def test_numbers_beyond_what_a_picture_can_tell_end(run, tmp_path):
    rng = np.random.default_rng(0)
    write_colvar(tmp_path / "large", {"s": 1e16 + 1e5 * rng.standard_normal(500)}, form="%.17g")
    deconvolve(run, tmp_path, "large", "--cv", "s", "--kt", "1", "--sigma", "0", "--bootstrap", "0")
    write_colvar(tmp_path / "rounding", {"s": 1 + 2.3e-16 * rng.integers(0, 3, 500)}, form="%.17g")
    outcome = run("ae-deconvolve", "rounding", "--cv", "s", "--kt", "1", "--sigma", "0", "-o", "other", "-q")
    one_error(outcome, 4, "rounding tells apart")


def test_the_summary_tells_what_was_done(run, tmp_path):
    path = small_run(tmp_path, 30)
    told, _ = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0", "--method", "richardson-lucy", "--blocks",
                         "50", "--plumed")
    assert told["penalty"] is None and told["penalty_chosen"] is None
    assert told["blocks"] == told["windows"][0]["blocks"] == 30
    assert "#! SET blocks_num 30\n" in (tmp_path / "out" / "fes.dat").read_text()




def test_rows_that_cannot_be_used_are_counted(run, tmp_path):
    path = small_run(tmp_path, 500)
    lines = path.read_text().splitlines()
    header, rows = lines[0], lines[1:]
    rows[10] = rows[10].split()[0] + " nan 0"
    rows[11] = rows[11].split()[0] + " 0.5 inf"
    restart = rows[200:250]
    path.write_text("\n".join([header, rows[0], *rows[:250], header, *restart, *rows[250:], " 500 0.1"]))
    told, _ = deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--bootstrap", "0", "--minimum", "-1.2", "--maximum", "1.2")
    counts = told["rows"]
    assert (counts["not_finite"], counts["repeated"], counts["incomplete"], counts["restarts"]) == (2, 51, 1, 1)
    assert counts["read"] == 551 and counts["used"] == 498
    inside = sum(-1.2 <= float(row.split()[1]) <= 1.2 for i, row in enumerate(rows) if i not in (10, 11))
    assert counts["outside"] == 498 - inside
    assert any("outside" in warning for warning in told["warnings"])


def test_empty_bins_are_nan_and_there(run, tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 1, 500), rng.uniform(3, 4, 500)])
    write_colvar(tmp_path / "COLVAR", {"s": rng.permutation(x)})
    _, columns = deconvolve(run, tmp_path, "COLVAR", "--cv", "s", "--kt", "1", "--sigma", "0", "--bins", "40", "--minimum",
                            "0", "--maximum", "4", "--bootstrap", "5")
    assert len(columns["x"]) == 40
    empty = (columns["x"] > 1) & (columns["x"] < 3)
    for name in ("F_observed", "F", "se", "lo", "hi"):
        assert np.all(np.isnan(columns[name][empty])) and not np.any(np.isnan(columns[name][~empty])), name
    assert np.all(columns["n_eff"][empty] == 0)


def test_several_parts_of_a_run_are_one_run(run, tmp_path):
    path = small_run(tmp_path, 2000)
    lines = path.read_text().splitlines()
    for name, part in (("a", lines[1:1001]), ("b", lines[1001:])):
        (tmp_path / name).write_text("\n".join([lines[0], *part]) + "\n")
    one, _ = deconvolve(run, tmp_path, path, *BIASED, *BLUR)
    two, _ = deconvolve(run, tmp_path, "a", "b", *BIASED, *BLUR)
    for name in ("delta_F", "delta_F_se", "barrier", "penalty", "n_eff", "chi2"):
        assert one[name] == two[name], name


def test_standard_input_compression_and_threads_change_nothing(run, tmp_path):
    path = small_run(tmp_path)
    subprocess.run(["gzip", "-k", path], check=True)
    outputs = []
    for source, stdin, threads in ((path, None, 1), ("-", path.read_bytes(), 2), ("COLVAR.gz", None, 2)):
        outcome = run("ae-deconvolve", source, *BIASED, *BLUR, "-o", "out", "--force", "--threads", threads, stdin=stdin)
        assert outcome.code == 0, outcome.stderr
        outputs.append((tmp_path / "out" / "fes.csv").read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]


def test_kt_follows_from_the_temperature(run, tmp_path):
    path = small_run(tmp_path)
    for units, kt in (("kj", 2.494338785), ("kcal", 0.596161276), ("ev", 0.0258519999)):
        told, _ = deconvolve(run, tmp_path, path, "--cv", "s", "--bias", "bias", "--temp", "300", "--units", units, *BLUR,
                             "--bootstrap", "0")
        assert told["kt"] == pytest.approx(kt, rel=1e-6)


def test_energies_are_in_the_unit_of_kt(run, tmp_path):
    _, observed, bias = observed_double_well(2000, 0.2, 3)
    write_colvar(tmp_path / "one", {"s": observed, "bias": bias})
    write_colvar(tmp_path / "other", {"s": observed, "bias": 2.5 * bias}, form="%.17g")
    _, one = deconvolve(run, tmp_path, "one", *BIASED, *BLUR, "--bootstrap", "0", "--penalty", "1e-4")
    _, other = deconvolve(run, tmp_path, "other", "--cv", "s", "--bias", "bias", "--kt", "2.5", *BLUR, "--bootstrap", "0",
                          "--penalty", "1e-4")
    known = np.isfinite(one["F"])
    assert np.allclose(other["F"][known], 2.5 * one["F"][known], atol=0.02)


def test_plumed_reads_the_free_energy(run, tmp_path):
    path = small_run(tmp_path)
    deconvolve(run, tmp_path, path, *BIASED, *BLUR, "--plumed", "--bootstrap", "4")
    lines = (tmp_path / "out" / "fes.dat").read_text().splitlines()
    assert lines[0] == "#! FIELDS s file.free uncertainty"
    assert any(line.startswith("#! SET DeltaF ") for line in lines)
    rows = np.loadtxt(tmp_path / "out" / "fes.dat")
    assert np.array_equal(np.round(rows[:, 1], 9), np.round(fes(tmp_path / "out")["F"], 9), equal_nan=True)
    assert (tmp_path / "out" / "fes.svg").read_text().startswith("<?xml")


# --- What is refused ---


def refused(run, folder, code, words, *arguments, stdin=None):
    outcome = run("ae-deconvolve", *arguments, "-o", "out", "-q", stdin=stdin)
    one_error(outcome, code, *words)
    assert not list((folder / "out").glob("*")) if (folder / "out").exists() else True


@pytest.mark.parametrize("arguments, words", [
    (["--sigma", "0.2"], ["temperature is missing", "--kt"]),
    (["--kt", "1", "--temp", "300", "--sigma", "0.2"], ["give one of them"]),
    (["--kt", "1"], ["the blur is missing", "--pairs"]),
    (["--kt", "1", "--sigma", "0.2", "--pairs", "p.csv"], ["more than once"]),
    (["--kt", "1", "--sigma", "-1"], ["--sigma", "-1"]),
    (["--kt", "0", "--sigma", "0.2"], ["--kt"]),
    (["--kt", "1", "--sigma", "50"], ["more than half of the range"]),
    (["--kt", "1", "--sigma", "0.2", "--minimum", "3", "--maximum", "1"], ["--minimum 3"]),
    (["--kt", "1", "--sigma", "0.2", "--sigma", "0.2"], ["2 times", "expected 1"]),
    (["--kt", "1", "--sigma", "0.2", "--split", "20"], ["--split 20", "not inside of the grid"]),
    (["--kt", "1", "--sigma", "0.2", "--penalty", "0"], ["--penalty"]),
    (["--kt", "1", "--sigma", "0.2", "--blocks", "100000", "--bins", "1000"], ["--blocks 100000", "expected at most"]),
])
def test_a_wrong_command_line_is_one_line(run, tmp_path, arguments, words):
    small_run(tmp_path, 200)
    refused(run, tmp_path, 2, words, "COLVAR", "--cv", "s", "--bias", "bias", *arguments)


@pytest.mark.parametrize("content, words", [
    (b"", ["is empty"]),
    (b"\x89PNG\r\n\x1a\n" + bytes(40), ["PNG"]),
    (b"#! FIELDS time s bias\n 0 0.1 \x00 0\n", ["binary"]),
    (b"0 0.1 0\n", ['COLVAR: no column "s"', '"0 0.1 0"', "expected a COLVAR file"]),
    (b"#! FIELDS time s bias\n", ["no row can be used"]),
    (b"#! FIELDS time s bias\n 0 0.1 0\n 1 0.2\n 2 0.3 0\n", ["COLVAR:3", "2 cells", "expected 3"]),
    (b"#! FIELDS time s bias\n 0 0.1 0\n 1 x7 0\n", ["COLVAR:3:4", "x7", "expected a number"]),
    (b"#! FIELDS time s bais\n 0 0.1 0\n", ["COLVAR: no column", '"bias"', 'did you mean "bais"?']),
    (b"#! FIELDS time s bias\n#! SET min_s 3\n#! SET max_s zero\n 0 0.1 0\n 1 0.2 0\n", ["COLVAR:3", "zero"]),
    (b"#! FIELDS time s bias\n 0 0.1 0\n 1 0.1 0\n", ["all values"]),
])
def test_a_wrong_file_is_one_line(run, tmp_path, content, words):
    (tmp_path / "COLVAR").write_bytes(content)
    refused(run, tmp_path, 4, words, "COLVAR", *BIASED, *BLUR)


def test_errors_without_an_end_are_refused_at_once(bin_folder, tmp_path):
    path = small_run(tmp_path, 500)
    rng = np.random.default_rng(0)
    (tmp_path / "wide.csv").write_text("x,sigma\n-3,1e12\n3,1e12\n")
    (tmp_path / "flat.csv").write_text("x,mean,sigma\n-3,0.5,0.1\n3,0.5,0.1\n")
    write_pairs(tmp_path / "constant.csv", rng.uniform(-2, 2, 500), np.full(500, 0.1))
    far = rng.uniform(-2, 2, 500)
    write_pairs(tmp_path / "far.csv", far, far + np.where(np.arange(500) % 7 == 0, 1e12, 0))
    for option, file, words in (("--kernel", "wide.csv", ["wide.csv: sigma is up to 1", "half of the range"]),
                                ("--kernel", "flat.csv", ["flat.csv: the observed values do not depend"]),
                                ("--pairs", "constant.csv", ["constant.csv: the observed values do not depend"])):
        one_error_in_time(bin_folder, tmp_path, 4, words, path, *BIASED, option, file)
    command = [bin_folder / "ae-deconvolve", path, *BIASED, "--pairs", "far.csv", "-o", "out", "-q", "--bootstrap", "0"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30).returncode in (0, 4)


def test_wrong_pairs_are_one_line(run, tmp_path):
    small_run(tmp_path, 500)
    for text, words in (("true,seen\n1,2\n", ['"observed"', "--observed"]), ("true,observed\n1,2\n", ["p.csv: found 1 pair,"]),
                        ("true,observed\n1,2\n1,x\n", ["p.csv:3:3", "x"]),
                        ("true,observed,weight\n1,2,-1\n", ["below 0"])):
        (tmp_path / "p.csv").write_text(text)
        refused(run, tmp_path, 4, words, "COLVAR", *BIASED, "--pairs", "p.csv")


def test_a_missing_file_and_an_existing_output(run, tmp_path):
    refused(run, tmp_path, 4, ["nowhere"], "nowhere", *BIASED, *BLUR)
    path = small_run(tmp_path, 500)
    assert run("ae-deconvolve", path, *BIASED, *BLUR, "-o", "out", "--bootstrap", "2").code == 0
    again = run("ae-deconvolve", path, *BIASED, *BLUR, "-o", "out")
    one_error(again, 2, "fes.csv", "--force")
    (tmp_path / "file").touch()
    one_error(run("ae-deconvolve", path, *BIASED, *BLUR, "-o", "file"), 2, '-o "file"', "no folder")


def test_a_run_that_fails_leaves_no_folder_of_its_own(run, tmp_path):
    path = small_run(tmp_path, 500)
    (tmp_path / "kept").mkdir()
    for folder in "new/folder", "kept/folder", "kept":
        failed = run("ae-deconvolve", path, "--cv", "s", "--bias", "another", "--kt", "1", *BLUR, "-o", folder)
        one_error(failed, 4, '"another"')
    assert not (tmp_path / "new").exists() and list((tmp_path / "kept").iterdir()) == []


def test_sigterm_stops_it_at_once(bin_folder, tmp_path):
    path = small_run(tmp_path, 20_000)
    command = [bin_folder / "ae-deconvolve", path, *BIASED, *BLUR, "--bootstrap", "100000", "-o", tmp_path / "out", "-v"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
    wait_for(lambda: os.path.exists(tmp_path / "out"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(2) == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()
