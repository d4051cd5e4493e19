"""ae-replay: stores of transitions and what they do to targets, against numpy, dynamic programming and closed forms."""

import base64
import csv
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from support import needs_torch, one_error, wait_for

pytestmark = needs_torch
PARTS = ("gradient", "gradient_covariance", "hessian", "hessian_covariance", "kink", "remainder")


def write_q(path, *layers):
    """Layers of (weight, bias, activation)."""
    path.write_text(json.dumps({"layers": [{"weight": np.asarray(w).tolist(), "bias": np.asarray(b).tolist(), "activation": a}
                                           for w, b, a in layers]}))


def tanh_q(rng, width=3, hidden=8, actions=4, scale=1.0):
    w, b = scale * rng.normal(size=(hidden, width)), rng.normal(size=hidden)
    v, c = rng.normal(size=(actions, hidden)), rng.normal(size=actions)

    def q(s):
        return np.tanh(s @ w.T + b) @ v.T + c

    def gradient(s, a):
        return (v[a] * (1 - np.tanh(s @ w.T + b) ** 2)) @ w

    def hessian(s, a):
        t = np.tanh(s @ w.T + b)
        return np.einsum("h,hi,hj->ij", v[a] * -2 * t * (1 - t**2), w, w)

    return q, gradient, hessian, [(w, b, "tanh"), (v, c, "identity")]


def some_transitions(rng, count=400, width=3, actions=4):
    ends = rng.choice(3, count, p=[0.9, 0.05, 0.05])
    return {"observations": rng.normal(size=(count, width)), "next_observations": rng.normal(size=(count, width)),
            "actions": rng.integers(0, actions, count), "rewards": rng.normal(size=count),
            "terminations": ends == 1, "truncations": ends == 2}


def stored_with(arrays, errors, more=None):
    return {"observations": arrays["observations"] + (errors if more is None else more),
            "next_observations": arrays["next_observations"] + errors}


def audit(run, folder, original, stored, q="q.json", gamma=0.9, *options):
    outcome = run("ae-replay", "audit", original, stored, "--q", q, "--gamma", gamma, "-o", "audit", "--force", "-q", *options)
    assert outcome.code == 0, outcome.stderr
    with open(folder / "audit" / "audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
    return json.loads((folder / "audit" / "summary.json").read_text()), columns


# --- audit ---


def test_every_part_of_an_audit_is_what_numpy_computes(run, tmp_path):
    rng = np.random.default_rng(1)
    q, gradient, hessian, layers = tanh_q(rng)
    write_q(tmp_path / "q.json", *layers)
    arrays = some_transitions(rng)
    errors = 0.2 * rng.normal(size=(400, 3)) * np.abs(arrays["next_observations"]) + 0.05
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **stored_with(arrays, errors, 0.1))
    told, columns = audit(run, tmp_path, "a.npz", "b.npz")

    s, gamma = arrays["next_observations"], 0.9
    on = ~arrays["terminations"]
    best = q(s).argmax(1)
    g = np.array([gradient(x, a) for x, a in zip(s, best)])
    h = np.array([hessian(x, a) for x, a in zip(s, best)])
    mean, second = errors[on].mean(0), errors[on].T @ errors[on] / on.sum()
    measured = gamma * on * (q(s + errors).max(1) - q(s).max(1))
    along = np.einsum("ni,ni->n", g, errors)
    half = np.einsum("ni,nij,nj->n", errors, h, errors) / 2
    models = np.array([[q(x)[a] + gradient(x, a) @ e + e @ hessian(x, a) @ e / 2 for a in range(4)] for x, e in zip(s, errors)])
    kink = models.max(1) - q(s).max(1) - along - half
    usual = np.einsum("nij,ij->n", h, second) / 2
    expected = {"measured": measured, "gradient": gamma * on * (g @ mean), "hessian": gamma * on * usual,
                "kink": gamma * on * kink, "covariance": gamma * on * (along - g @ mean + half - usual),
                "predicted": gamma * on * (models.max(1) - q(s).max(1))}
    for name, values in expected.items():
        assert np.allclose(columns[name], values, atol=1e-9), name
    assert np.allclose(columns["remainder"], expected["measured"] - expected["predicted"], atol=1e-9)
    assert np.array_equal(columns["terminated"] == 1, arrays["terminations"])
    assert np.array_equal(columns["action"][on], best[on])
    assert np.array_equal(columns["action_stored"][on], q(s + errors).argmax(1)[on])

    assert told["mean_bias"] == pytest.approx(measured.mean(), abs=1e-9)
    assert sum(told["parts"][name] for name in PARTS) == pytest.approx(told["mean_bias"], abs=1e-5)
    assert told["parts"]["gradient"] == pytest.approx(gamma * (g[on].mean(0) @ mean) * on.mean(), abs=1e-9)
    covariance = sum(np.cov(g[on][:, i], errors[on][:, i], bias=True)[0, 1] for i in range(3))
    assert told["parts"]["gradient_covariance"] == pytest.approx(gamma * covariance * on.mean(), abs=1e-9)
    assert told["usual_formula"]["value"] == pytest.approx(told["parts"]["gradient"] + told["parts"]["hessian"], abs=1e-9)
    assert told["usual_formula"]["error"] == pytest.approx(told["usual_formula"]["value"] - measured.mean(), abs=1e-9)
    assert told["correlation"] == pytest.approx(np.corrcoef(columns["predicted"][on], measured[on])[0, 1], abs=1e-9)
    assert told["action_changes"] == pytest.approx((q(s + errors).argmax(1) != best)[on].mean())
    assert told["bound"] == pytest.approx(np.abs(measured).max() / 0.1)
    taken = np.arange(400), arrays["actions"]
    inputs = q(arrays["observations"] + 0.1)[taken] - q(arrays["observations"])[taken]
    assert told["input_error"]["rms"] == pytest.approx(np.sqrt((inputs**2).mean()))
    assert told["td_error_rms"] == pytest.approx(np.sqrt(((measured - inputs) ** 2).mean()))
    assert told["valid"] == (np.sqrt((columns["remainder"] ** 2).mean()) <= 0.3 * np.sqrt((measured**2).mean()))


def catch_game():
    """A ball falls through 10 rows onto a paddle; Q* by dynamic programming. States are (row, ball, paddle)."""
    gamma, states = 0.95, [(row, ball, paddle) for row in range(10) for ball in range(10) for paddle in range(10)]
    number = {state: i for i, state in enumerate(states)}
    following = np.array([[number[min(row + 1, 9), ball, min(max(paddle + move, 0), 9)] for move in (-1, 0, 1)]
                          for row, ball, paddle in states])
    ends = np.array([[row == 8] * 3 for row, _, _ in states])  # the next row is the last: caught or not
    reward = np.array([[(1 if abs(ball - min(max(paddle + move, 0), 9)) <= 0 else -1) if row == 8 else 0
                        for move in (-1, 0, 1)] for row, ball, paddle in states])
    q = np.zeros((1000, 3))
    for _ in range(12):  # rows only grow, so that 10 sweeps are exact
        q = reward + gamma * ~ends * q[following].max(2)
    q[900:] = np.random.default_rng(2).normal(size=(100, 3))  # behind the end nobody may ask
    return gamma, states, number, following, ends, reward, q


def test_a_game_that_is_solved_exactly_confirms_an_audit_exactly(run, tmp_path):
    gamma, states, number, following, ends, reward, q = catch_game()
    write_q(tmp_path / "q.json", (q.T, np.zeros(3), "identity"))
    rng = np.random.default_rng(3)
    at = rng.integers(0, 900, 3000)
    at = at[np.array([states[i][0] < 9 for i in at])]
    action = rng.integers(0, 3, len(at))
    after, terminated = following[at, action], ends[at, action]
    truncated = ~terminated & (rng.uniform(size=len(at)) < 0.1)
    # The store blurs where the ball is: one column further in a third of the frames.
    blurred = np.array([number[row, min(ball + (rng.uniform() < 1 / 3), 9), paddle] for row, ball, paddle in
                        (states[i] for i in after)])
    one_hot = np.eye(1000, dtype="u1").reshape(1000, 10, 100)
    np.savez_compressed(tmp_path / "a.npz", obs=one_hot[at], next_obs=one_hot[after], actions=action,
                        rewards=reward[at, action], terminations=terminated, truncations=truncated)
    np.savez_compressed(tmp_path / "b.npz", obs=one_hot[at], next_obs=one_hot[blurred])
    told, columns = audit(run, tmp_path, "a.npz", "b.npz", gamma=gamma)
    value = q.max(1)
    exact = gamma * ~terminated * (value[blurred] - value[after])
    assert terminated.sum() > 100 and truncated.sum() > 100 and np.any(exact[truncated] != 0)
    assert np.any(value[blurred][terminated] != value[after][terminated])
    assert np.all(columns["measured"][terminated] == 0)
    assert np.allclose(columns["measured"], exact, atol=1e-12)
    # Q is linear in such observations, and a maximum of linear ones is all in the kink.
    assert np.allclose(columns["predicted"], exact, atol=1e-12)
    assert told["mean_bias"] == pytest.approx(exact.mean(), abs=1e-12)
    assert told["parts"]["remainder"] == pytest.approx(0, abs=1e-12) and told["parts"]["kink"] > 0
    assert sum(told["parts"].values()) == pytest.approx(exact.mean(), abs=1e-12)
    assert told["action_changes"] == pytest.approx((q[blurred].argmax(1) != q[after].argmax(1))[~terminated].mean())
    assert told["valid"] and told["input_error"]["rms"] == 0


def test_a_constant_bias_moves_the_fixed_point_as_the_bound_says(run, tmp_path):
    """s' = a s + w, r = -s^2: V = -(p s^2 + c). Noise on s' moves c by gamma p sigma^2 / (1 - gamma) and leaves p, as
    the audit predicts and the correction takes back. All laws have two equally likely values, so that means are exact."""
    a, gamma, noise, sigma = 0.9, 0.95, 0.3, 0.2
    p = 1 / (1 - gamma * a * a)
    c = gamma * p * noise**2 / (1 - gamma)
    grid = np.array(np.meshgrid(np.linspace(-2, 2, 1001), [-noise, noise], [-sigma, sigma])).reshape(3, -1)
    s, next_s = grid[0][:, None], (a * grid[0] + grid[1])[:, None]
    np.savez(tmp_path / "a.npz", observations=s, next_observations=next_s, rewards=-(s[:, 0] ** 2),
             terminations=np.zeros(len(s), bool))
    np.savez(tmp_path / "b.npz", observations=s, next_observations=next_s + grid[2][:, None])

    def regressed(p, c, name=None):
        """One step of fitted iteration from V: the p and c of the targets' regression on s^2."""
        write_q(tmp_path / "q.json", ([[1.0]], [0.0], "square"), ([[-p]], [-c], "identity"))
        outcome = run("ae-replay", "correct", "a.npz", "b.npz", "--q", "q.json", "--gamma", gamma, "-o", "t.npz", "--force", "-q")
        assert outcome.code == 0, outcome.stderr
        targets = np.load(tmp_path / "t.npz")[name]
        fit = np.polyfit(s[:, 0] ** 2, targets, 1)
        return np.array([-fit[0], -fit[1]])

    def fixed_point(name):
        """The step is affine in (p, c)."""
        zero = regressed(0, 0, name)
        step = np.stack([regressed(1, 0, name) - zero, regressed(0, 1, name) - zero], 1)
        return np.linalg.solve(np.eye(2) - step, zero)

    write_q(tmp_path / "q.json", ([[1.0]], [0.0], "square"), ([[-p]], [-c], "identity"))
    told, _ = audit(run, tmp_path, "a.npz", "b.npz", gamma=gamma)
    predicted = c - told["predicted_bias"] / (1 - gamma)
    assert told["predicted_bias"] == pytest.approx(-gamma * p * sigma**2, rel=1e-9)
    assert fixed_point("uncorrected") == pytest.approx([p, predicted], rel=0.005)
    assert predicted - c > 0.2 * c
    assert fixed_point("targets") == pytest.approx([p, c], rel=0.005)


def test_large_errors_make_the_expansion_invalid(run, tmp_path):
    rng = np.random.default_rng(4)
    *_, layers = tanh_q(rng, scale=1.5)
    write_q(tmp_path / "q.json", *layers)
    arrays = some_transitions(rng)
    np.savez(tmp_path / "a.npz", **arrays)
    for size, valid in ((0.02, True), (2.0, False)):
        np.savez(tmp_path / "b.npz", **stored_with(arrays, size * rng.normal(size=(400, 3))))
        told, _ = audit(run, tmp_path, "a.npz", "b.npz")
        assert told["valid"] is valid
        assert told["verdict"] == ("expansion valid" if valid else "expansion invalid")


def test_a_lossless_store_has_no_bias(run, tmp_path):
    rng = np.random.default_rng(5)
    *_, layers = tanh_q(rng)
    write_q(tmp_path / "q.json", *layers)
    np.savez(tmp_path / "a.npz", **some_transitions(rng))
    told, _ = audit(run, tmp_path, "a.npz", "a.npz")
    assert (told["mean_bias"], told["rms_bias"], told["action_changes"], told["valid"]) == (0, 0, 0, True)
    assert told["correlation"] is None
    assert told["correction"]["harms"] is False


def test_a_constant_bias_correlates_with_nothing_and_without_discount_has_no_bound(run, tmp_path):
    rng = np.random.default_rng(13)
    write_q(tmp_path / "q.json", ([[1.0, 2.0, 0.5]], [0.3], "identity"))
    arrays = some_transitions(rng)
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **stored_with(arrays, 0.1))
    told, columns = audit(run, tmp_path, "a.npz", "b.npz", gamma=1)
    assert np.allclose(columns["measured"], 0.35 * ~arrays["terminations"], atol=1e-12)
    assert told["correlation"] is None
    assert told["bound"] is None and told["bound_of_mean"] is None


# --- files ---


def by_layouts(folder, rng):
    """The same transitions, three episodes of 30 steps, as four libraries write them; the second one ends by itself."""
    h5py = pytest.importorskip("h5py")
    frames = rng.normal(size=(3, 31, 4)).astype("f4")
    rewards, actions = rng.normal(size=(3, 30)), rng.integers(0, 3, (3, 30))
    terminated, truncated = np.zeros((3, 30), bool), np.zeros((3, 30), bool)
    terminated[1, -1], truncated[0, -1], truncated[2, -1] = True, True, True
    flat = {"observations": frames[:, :-1].reshape(90, 4), "actions": actions.ravel(), "rewards": rewards.ravel(),
            "terminals": terminated.ravel(), "timeouts": truncated.ravel()}
    np.savez(folder / "episodes.npz", obs=frames, action=actions, reward=rewards, terminated=terminated, truncated=truncated)
    with h5py.File(folder / "d4rl.hdf5", "w") as file:
        for name, array in {**flat, "next_observations": frames[:, 1:].reshape(90, 4)}.items():
            file.create_dataset(name, data=array, compression="gzip")
    (folder / "minari" / "data").mkdir(parents=True)
    with h5py.File(folder / "minari" / "data" / "main_data.hdf5", "w") as file:
        for e in range(3):
            group = file.create_group(f"episode_{e}")
            for name, array in (("observations", frames[e]), ("actions", actions[e]), ("rewards", rewards[e]),
                                ("terminations", terminated[e]), ("truncations", truncated[e])):
                group[name] = array
    np.savez_compressed(folder / "flat.npz", **flat)
    return frames


def test_what_other_libraries_write_is_read_alike(run, tmp_path):
    rng = np.random.default_rng(6)
    *_, layers = tanh_q(rng, width=4, actions=3)
    write_q(tmp_path / "q.json", *layers)
    frames = by_layouts(tmp_path, rng)
    np.save(tmp_path / "stored.npy", np.round(frames, 1))
    told, columns = audit(run, tmp_path, "episodes.npz", "stored.npy")
    assert (told["transitions"], told["terminated"], told["without_next_observation"]) == (90, 1, 0)
    for name in ("minari", "d4rl.hdf5"):
        other = np.round(frames[:, 1:], 1).reshape(90, 4)
        np.savez(tmp_path / "stored.npz", observations=np.round(frames[:, :-1], 1).reshape(90, 4), next_observations=other)
        again, same = audit(run, tmp_path, name, "stored.npz")
        assert again["mean_bias"] == pytest.approx(told["mean_bias"], abs=1e-12), name
        assert np.allclose(same["measured"], columns["measured"], atol=1e-12)
    # Without the observations behind the last steps, two targets cannot be known, and the ended one needs none.
    np.savez(tmp_path / "stored.npz", observations=np.round(frames[:, :-1], 1).reshape(90, 4))
    flat, rows = audit(run, tmp_path, "flat.npz", "stored.npz")
    assert (flat["transitions"], flat["terminated"], flat["without_next_observation"]) == (88, 1, 2)
    assert rows["transition"].tolist() == [t for t in range(90) if t not in (29, 89)]
    assert np.allclose(rows["measured"], columns["measured"][rows["transition"].astype(int)], atol=1e-12)


def untold_episodes(rng, episodes=10, steps=40):
    frames = 0.1 * np.cumsum(rng.normal(size=(episodes, steps + 1, 3)), 1) + 3 * rng.normal(size=(episodes, 1, 3))
    count = episodes * steps
    return {"observations": frames[:, :-1].reshape(count, 3), "next_observations": frames[:, 1:].reshape(count, 3),
            "rewards": np.zeros(count), "terminals": np.zeros(count, bool)}


def test_a_next_row_is_taken_only_where_it_is_known_to_be_the_next(run, tmp_path):
    rng = np.random.default_rng(14)
    *_, layers = tanh_q(rng)
    write_q(tmp_path / "q.json", *layers)
    arrays = untold_episodes(rng)
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", observations=arrays["observations"])
    told, columns = audit(run, tmp_path, "a.npz", "b.npz")
    assert (told["rms_error"], told["mean_bias"], told["without_next_observation"]) == (0, 0, 10)
    assert set(range(400)) - set(columns["transition"]) == set(range(39, 400, 40))
    assert not [line for line in told["warnings"] if "time limit" in line]
    done = run("ae-replay", "correct", "a.npz", "b.npz", "--q", "q.json", "-o", "t.npz", "-q")
    assert done.code == 0 and "10 targets are NaN" in done.stderr
    targets = np.load(tmp_path / "t.npz")["targets"]
    assert np.flatnonzero(np.isnan(targets)).tolist() == list(range(39, 400, 40))
    # Terminations alone say nothing of a time limit, and their reader is told so.
    del arrays["next_observations"]
    np.savez(tmp_path / "a.npz", **arrays)
    told, _ = audit(run, tmp_path, "a.npz", "b.npz")
    assert [line for line in told["warnings"] if "time limit" in line and "truncations" in line]


def test_steps_of_environments_are_not_taken_for_episodes(run, tmp_path):
    rng = np.random.default_rng(15)
    *_, layers = tanh_q(rng)
    write_q(tmp_path / "q.json", *layers)
    frames, dones = np.cumsum(rng.normal(size=(200, 2, 3)), 0), rng.uniform(size=(200, 2)) < 0.03
    np.savez(tmp_path / "a.npz", obs=frames, rewards=np.zeros((200, 2)), dones=dones)
    np.savez(tmp_path / "b.npz", obs=np.round(frames, 1))
    refused(run, tmp_path, 4, ["a.npz: obs (200, 2, 3)", "dones (200, 2)", "--layout steps"],
            "audit", "a.npz", "b.npz", "--q", "q.json", "-o", "out")
    told, columns = audit(run, tmp_path, "a.npz", "b.npz", "q.json", 0.9, "--layout", "steps")
    assert told["bootstrapping"] == 2 * 199 - dones[:-1].sum()
    q = tanh_q(np.random.default_rng(15))[0]
    change = 0.9 * (q(np.round(frames[1:], 1)).max(2) - q(frames[1:]).max(2)) * ~dones[:-1]
    at = columns["transition"].astype(int)
    known = at < 398
    assert np.allclose(columns["measured"][known], change.ravel()[at[known]], atol=1e-12)


def test_what_does_not_go_together_is_refused_or_told(run, tmp_path):
    rng = np.random.default_rng(16)
    *_, layers = tanh_q(rng, width=12)
    write_q(tmp_path / "q.json", *layers)
    images = rng.normal(size=(400, 3, 2, 2))
    for name, array in (("chw", images), ("hwc", images.transpose(0, 2, 3, 1).copy()), ("shuffled", images[rng.permutation(400)])):
        np.savez(tmp_path / f"{name}.npz", observations=array, next_observations=array, rewards=np.zeros(400))
    refused(run, tmp_path, 4, ["hwc.npz", "shape (2, 2, 3)", "expected (3, 2, 2)"],
            "audit", "chw.npz", "hwc.npz", "--q", "q.json", "-o", "out")
    told, _ = audit(run, tmp_path, "chw.npz", "shuffled.npz")
    assert [line for line in told["warnings"] if "more than observations vary" in line]


def test_resets_of_vector_environments_are_no_transitions(run, tmp_path):
    rng = np.random.default_rng(12)
    *_, layers = tanh_q(rng)
    write_q(tmp_path / "q.json", *layers)
    arrays = some_transitions(rng)
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **stored_with(arrays, 0.1))
    ends = arrays["terminations"] | arrays["truncations"]
    resets = [t for t in range(1, 400) if ends[t - 1] and not ends[t]]
    told, columns = audit(run, tmp_path, "a.npz", "b.npz", "q.json", 0.9, "--skip-resets")
    assert told["resets"] == len(resets) > 10 and told["transitions"] == 400 - len(resets)
    assert set(columns["transition"]) == set(range(400)) - set(resets)
    done = run("ae-replay", "correct", "a.npz", "b.npz", "--q", "q.json", "--skip-resets", "-o", "t.npz", "-q")
    assert done.code == 0 and done.stderr.count("\n") == 1
    assert f"{len(resets)} targets are NaN: resets" in done.stderr
    assert np.flatnonzero(np.isnan(np.load(tmp_path / "t.npz")["targets"])).tolist() == resets


def refused(run, folder, code, words, *arguments):
    outcome = run("ae-replay", *arguments, "-q")
    one_error(outcome, code, *words)
    assert not [path for path in folder.glob("out/*")] and not (folder / "out.npz").exists()


@pytest.mark.parametrize("name, arrays, words", [
    ("observations", {"rewards": np.zeros(3)}, ["a.npz: no observations", "rewards (3,)"]),
    ("ragged", {"observations": np.zeros((3, 2)), "terminals": np.zeros(5)}, ["observations (3, 2)", "5 transitions"]),
    ("ends", {"observations": np.zeros((3, 2)), "rewards": np.zeros(3)}, ["where episodes end", "terminations"]),
    ("text", {"observations": np.array(["a", "b"])}, ["observations", "expected numbers"]),
    ("nan", {"observations": np.zeros((3, 2)), "next_observations": np.array([[0, 0], [1, np.inf], [0, 0]]),
             "terminals": np.zeros(3)}, ["transition 1", "not finite"]),
    ("fortran", {"observations": np.zeros((3, 2), order="F"), "terminals": np.zeros(3)}, ["Fortran"]),
])
def test_a_wrong_file_is_one_line(run, tmp_path, name, arrays, words):
    write_q(tmp_path / "q.json", (np.ones((2, 2)), np.zeros(2), "identity"))
    np.savez(tmp_path / "a.npz", **arrays)
    refused(run, tmp_path, 4, words, "audit", "a.npz", "a.npz", "--q", "q.json", "-o", "out")


def test_damaged_and_foreign_files_are_one_line(run, tmp_path):
    write_q(tmp_path / "q.json", (np.ones((2, 2)), np.zeros(2), "identity"))
    np.savez_compressed(tmp_path / "a.npz", **some_transitions(np.random.default_rng(7), 100, 2, 2))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-100])
    (tmp_path / "png.npz").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, words in (("cut.npz", ["damaged ZIP"]), ("png.npz", ["PNG"]), ("empty.npz", ["empty"]), ("nowhere.npz", ["nowhere"]),
                        ("folder", ["main_data.hdf5"])):
        refused(run, tmp_path, 4, words, "audit", "a.npz", name, "--q", "q.json", "-o", "out")
    (tmp_path / "bad.json").write_text("{}")
    refused(run, tmp_path, 4, ["bad.json", "/layers"], "audit", "a.npz", "a.npz", "--q", "bad.json", "-o", "out")
    (tmp_path / "nan.json").write_text('{"layers": [{"weight": [[NaN, 1]], "bias": [0]}]}')
    refused(run, tmp_path, 4, ["nan.json", "NaN"], "audit", "a.npz", "a.npz", "--q", "nan.json", "-o", "out")
    np.savez(tmp_path / "wide.npz", **some_transitions(np.random.default_rng(7), 100, 3, 2))
    refused(run, tmp_path, 4, ["wide.npz", "3 elements", "expected 2"], "audit", "a.npz", "wide.npz", "--q", "q.json", "-o", "out")
    refused(run, tmp_path, 4, ["/layers/0/weight", "takes 2"], "audit", "wide.npz", "wide.npz", "--q", "q.json", "-o", "out")


@pytest.mark.parametrize("arguments, words", [
    (["audit", "a.npz", "-o", "out"], ["1 file", "expected two"]),
    (["audit", "a.npz", "a.npz", "-o", "out"], ["--q"]),
    (["audit", "a.npz", "a.npz", "--q", "q.json", "--gamma", "1.5", "-o", "out"], ["--gamma"]),
    (["audit", "a.npz", "a.npz", "--q", "q.json", "--bits", "4", "-o", "out"], ["--bits is not for audit"]),
    (["audit", "a.npz", "a.npz", "--q", "q.json", "--array", "obs=s", "-o", "out"], ["--array", "observations"]),
    (["unpack", "a.npz", "--seed", "3", "-o", "out.npz"], ["--seed is not for unpack"]),
    (["correct", "a.npz", "--q", "q.json", "-o", "out.npz"], ["no store"]),
])
def test_a_wrong_command_line_is_one_line(run, tmp_path, arguments, words):
    write_q(tmp_path / "q.json", (np.ones((2, 2)), np.zeros(2), "identity"))
    np.savez(tmp_path / "a.npz", **some_transitions(np.random.default_rng(7), 100, 2, 2))
    refused(run, tmp_path, 2, words, *arguments)


# --- stores ---


@pytest.fixture(scope="module")
def swinging(bin_folder, tmp_path_factory):
    """Transitions of a pendulum, and a model of its observations."""
    folder = tmp_path_factory.mktemp("swinging")
    rng = np.random.default_rng(8)
    count, steps = 4000, 50
    arrays = {"observations": [], "next_observations": [], "actions": [], "rewards": [], "terminations": [], "truncations": []}
    for start in range(0, count, steps):
        angle, speed = rng.uniform(-3, 3), rng.uniform(-2, 2)
        for t in range(steps):
            action = int(rng.integers(3))
            arrays["observations"].append([np.cos(angle), np.sin(angle), speed])
            speed = float(np.clip(speed + 0.05 * (15 * np.sin(angle) + 6 * (action - 1)), -8, 8))
            angle += 0.05 * speed
            arrays["next_observations"].append([np.cos(angle), np.sin(angle), speed])
            arrays["actions"].append(action)
            arrays["rewards"].append(-(angle**2) - 0.1 * speed**2)
            arrays["terminations"].append(t == steps - 1 and start % 100 == 0)
            arrays["truncations"].append(t == steps - 1 and start % 100 != 0)
    arrays = {name: np.array(values, "f4" if "obs" in name or name == "rewards" else None) for name, values in arrays.items()}
    np.savez(folder / "a.npz", **arrays)
    config = {"data": {"path": "a.npz", "array": "observations"}, "model": {"type": "dense", "hidden": [32], "latent": 3},
              "training": {"epochs": 60, "batch_size": 128, "learning_rate": 0.003}}
    (folder / "config.json").write_text(json.dumps(config))
    for name, options in (("model", []), ("narrow", ["--set", "/model/latent=2", "--set", "/training/epochs=20"])):
        subprocess.run([bin_folder / "ae-train", folder / "config.json", "--out", folder / name, "-q", *options], check=True, timeout=120)
    write_q(folder / "q.json", *tanh_q(np.random.default_rng(9), actions=3, scale=0.4)[-1])
    return folder, arrays


def test_a_store_gives_back_what_was_packed(run, tmp_path, swinging):
    folder, arrays = swinging
    packed = run("ae-replay", "pack", folder / "model", folder / "a.npz", "--bits", "6,7,5", "--keep-pairs", "200", "-o", "store", "-q")
    assert packed.code == 0, packed.stderr
    assert run("ae-replay", "unpack", "store", "-o", "back.npz", "-q").code == 0
    back = np.load(tmp_path / "back.npz")
    for name in ("actions", "rewards", "terminations", "truncations"):
        assert np.array_equal(back[name], arrays[name]), name
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    # Where an episode goes on, a next observation is the one of the next transition, which is stored once.
    assert np.array_equal(back["next_observations"][:49], back["observations"][1:50])
    assert manifest["parts"][0]["observations"] == 4000 + 80
    assert manifest["bits_per_observation"] == 18
    assert manifest["bytes"]["codes"] == (4080 * 18 + 7) // 8
    assert manifest["ratio"] == pytest.approx(2 * 4000 * 12 / manifest["bytes"]["codes"])
    assert manifest["ratio_once"] == pytest.approx(4080 * 12 / manifest["bytes"]["codes"])
    ends = arrays["terminations"] | arrays["truncations"]
    errors = np.concatenate([back["observations"] - arrays["observations"], (back["next_observations"] - arrays["next_observations"])[ends]])
    told = manifest["parts"][0]["error"]
    assert told["rms"] == pytest.approx(np.sqrt((errors.astype(float) ** 2).mean()), rel=1e-5)
    assert told["mean"] == pytest.approx(errors.mean(0), abs=1e-5)
    assert np.allclose(told["covariance"], np.cov(errors.T, bias=True), rtol=1e-4, atol=1e-7)
    each = np.sqrt((errors.astype(float) ** 2).mean(1))
    assert told["quantiles"]["0.5"] == pytest.approx(np.quantile(each, 0.5), rel=0.01)
    assert told["quantiles"]["1"] == pytest.approx(each.max(), rel=1e-4)
    assert told["rms"] < 0.1
    part = np.load(tmp_path / "store" / "part-000000.npz")
    assert part["actions"].dtype == np.uint8 and part["rewards"].dtype == np.float32
    kept = part["pairs"]
    assert len(set(kept)) == 200 and not arrays["terminations"][kept].any()
    assert np.array_equal(part["originals"], arrays["next_observations"][kept])


def test_more_bits_are_fewer_errors_and_more_bytes(run, tmp_path, swinging):
    folder, _ = swinging
    errors, sizes = [], []
    for bits in (3, 5, 8, 16):
        assert run("ae-replay", "pack", folder / "model", folder / "a.npz", "--bits", bits, "-o", "store", "--force", "-q").code == 0
        manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
        errors.append(manifest["rms_error"])
        sizes.append(manifest["bytes"]["codes"])
        assert len(list((tmp_path / "store").glob("part-*"))) == 1
    assert errors == sorted(errors, reverse=True) and sizes == sorted(sizes)
    assert errors[0] > 3 * errors[1]


def test_a_store_grows_and_is_read_anywhere(run, tmp_path, swinging):
    folder, arrays = swinging
    halves = {"one": slice(0, 1990), "other": slice(1990, 4000)}  # the first file ends within an episode
    for name, half in halves.items():
        np.savez(tmp_path / f"{name}.npz", **{key: array[half] for key, array in arrays.items()})
    assert run("ae-replay", "pack", folder / "model", "one.npz", "-o", "store", "-q").code == 0
    again = run("ae-replay", "pack", folder / "model", "other.npz", "-o", "store", "-q")
    one_error(again, 2, "--append", "--force")
    assert run("ae-replay", "pack", folder / "model", "other.npz", "-o", "store", "--append", "-q").code == 0
    assert run("ae-replay", "unpack", "store", "-o", "all.npz", "-q").code == 0
    whole = np.load(tmp_path / "all.npz")
    for name in ("rewards", "terminations", "truncations"):
        assert np.array_equal(whole[name], arrays[name]), name
    for first, end in ((0, 1), (1990, 2010), (3999, 4000), (49, 51), (100, 200), (500, 1700)):
        assert run("ae-replay", "unpack", "store", "--range", f"{first}:{end}", "-o", "some.npz", "--force", "-q").code == 0
        some = np.load(tmp_path / "some.npz")
        for name in whole.files:
            assert np.array_equal(some[name], whole[name][first:end], equal_nan=True), (name, first)
    one_error(run("ae-replay", "unpack", "store", "--range", "10:5000", "-o", "some.npz", "--force"), 2, "--range", "4000 transitions")
    np.savez(tmp_path / "flat.npz", **{name: array[:, None] if "obs" in name else array for name, array in arrays.items()})
    one_error(run("ae-replay", "pack", folder / "model", "flat.npz", "-o", "store", "--append", "-q"), 4, "flat.npz", "another shape")
    # While another process writes, nothing is lost.
    lock = os.open(tmp_path / "store", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    one_error(run("ae-replay", "pack", folder / "model", "other.npz", "-o", "store", "--append", "-q"), 2, "another ae-replay")
    os.close(lock)


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_packing_changes_no_files_but_a_store_s_own(run, tmp_path, swinging):
    folder, arrays = swinging
    few = {name: array[:500] for name, array in arrays.items()}
    (tmp_path / "shards").mkdir()
    (tmp_path / "site").mkdir()
    for path in ("shards/part-1.npz", "shards/part-000000.npz", "site/part-000000.npz"):
        np.savez(tmp_path / path, **few)
    (tmp_path / "site" / "manifest.json").write_text('{"name": "a web application", "icons": []}')
    shutil.copytree(folder / "model", tmp_path / "trained")
    before = files_of(tmp_path)
    for place, words in (("shards", "no store"), ("trained", "no store"), ("site", "not that of a store")):
        one_error(run("ae-replay", "pack", folder / "model", "shards/part-1.npz", "-o", place, "--force", "-q"), 2, place, words)
    one_error(run("ae-replay", "pack", folder / "model", "shards/part-1.npz", "-o", "shards", "-q"), 2, "no store")
    assert files_of(tmp_path) == before

    assert run("ae-replay", "pack", folder / "model", "shards/part-1.npz", "-o", "store", "-q").code == 0
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert set(files_of(tmp_path / "store")) == {"manifest.json", "part-000000.npz", manifest["model"]}
    one_error(run("ae-replay", "pack", folder / "model", "store", "-o", "store", "--force", "-q"), 2, "choose another folder")
    # Another model is a file of another name; what nobody packed stays.
    np.savez(tmp_path / "store" / "part-000001.npz", **few)
    assert run("ae-replay", "pack", folder / "narrow", "shards/part-1.npz", "-o", "store", "--force", "-q").code == 0
    other = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert other["model"] != manifest["model"]
    assert set(files_of(tmp_path / "store")) == {"manifest.json", other["parts"][0]["file"], "part-000001.npz", other["model"]}
    assert files_of(tmp_path / "store")["part-000001.npz"] == before["shards/part-1.npz"]
    assert run("ae-replay", "unpack", "store", "-o", "back.npz", "-q").code == 0
    # A wrong model leaves no folder behind.
    np.savez(tmp_path / "wide.npz", **some_transitions(np.random.default_rng(1), 100, 4))
    one_error(run("ae-replay", "pack", folder / "model", "wide.npz", "-o", "new", "-q"), 2, "4 numbers")
    assert not (tmp_path / "new").exists()


def test_what_is_read_is_not_written_over(run, tmp_path, swinging):
    folder, arrays = swinging
    np.savez(tmp_path / "few.npz", **{name: array[:500] for name, array in arrays.items()})
    assert run("ae-replay", "pack", folder / "model", "few.npz", "-o", "store", "-q").code == 0
    shutil.copy(folder / "q.json", tmp_path)
    (tmp_path / "minari" / "data").mkdir(parents=True)
    (tmp_path / "minari" / "data" / "main_data.hdf5").write_bytes(b"")
    before = files_of(tmp_path)
    q = ["--q", "q.json", "--gamma", "0.9"]
    for name in files_of(tmp_path / "store"):
        place = f"store/{name}"
        one_error(run("ae-replay", "unpack", "store", "-o", place, "--force", "-q"), 2, place, "is an input file")
        one_error(run("ae-replay", "correct", "store", *q, "-o", place, "--force", "-q"), 2, place, "is an input file")
        one_error(run("ae-replay", "correct", "few.npz", "store", *q, "-o", place, "--force", "-q"), 2, place, "is an input file")
    for inputs, place in ((["few.npz", "store"], "few.npz"), (["few.npz", "store"], "q.json"),
                          (["minari", "few.npz"], "minari/data/main_data.hdf5")):
        one_error(run("ae-replay", "correct", *inputs, *q, "-o", place, "--force", "-q"), 2, place, "is an input file")
    assert files_of(tmp_path) == before
    assert run("ae-replay", "unpack", "store", "-o", "store/unpacked.npz", "-q").code == 0


def test_flipped_bits_are_noticed_wherever_they_are_read(run, tmp_path, swinging):
    folder, _ = swinging
    assert run("ae-replay", "pack", folder / "model", folder / "a.npz", "-o", "store", "-q").code == 0
    part = tmp_path / "store" / "part-000000.npz"
    whole = part.read_bytes()
    with zipfile.ZipFile(part) as archive:
        members = {member.filename[:-4]: member for member in archive.infolist()}

    def spoil(name, share):
        member = members[name]
        at = member.header_offset + 30 + len(member.filename) + 20 + int(share * member.file_size) - 50
        part.write_bytes(whole[:at] + bytes(255 - byte for byte in whole[at : at + 100]) + whole[at + 100 :])

    for name in ("codes", "flags", "rewards"):
        spoil(name, 0.5)
        refused(run, tmp_path, 4, ["part-000000.npz", "wrong checksum"], "unpack", "store", "-o", "out.npz")
    spoil("originals", 0.5)
    refused(run, tmp_path, 4, ["part-000000.npz", "wrong checksum"], "correct", "store", "--q", folder / "q.json", "-o", "out.npz")
    spoil("codes", 0.9)
    assert run("ae-replay", "unpack", "store", "--range", "0:100", "-o", "some.npz", "-q").code == 0
    # An array of more elements than there are is refused before there is memory for it.
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(part, "w") as changed:
        for member in archive.infolist():
            data = archive.read(member)
            if member.filename == "pairs.npy":
                data = data.replace(b"(1000,), }" + 19 * b" ", b"(%d,), }    " % 2**61)
                assert len(data) == member.file_size and b"2305843009213693952" in data
            changed.writestr(member, data)
    refused(run, tmp_path, 4, ["part-000000.npz", "pairs"], "unpack", "store", "-o", "out.npz")


def test_names_that_a_user_gave_and_resets_do_not_hinder_a_store(run, tmp_path, swinging):
    folder, arrays = swinging
    named = {{"observations": "vec", "next_observations": "vec2"}.get(name, name): array for name, array in arrays.items()}
    np.savez(tmp_path / "named.npz", **named)
    names = ["--array", "observations=vec", "--array", "next-observations=vec2"]
    packed = run("ae-replay", "pack", folder / "model", "named.npz", *names, "--skip-resets", "-o", "store", "-q")
    assert packed.code == 0, packed.stderr
    ends = arrays["terminations"] | arrays["truncations"]
    kept = np.load(tmp_path / "store" / "part-000000.npz")["pairs"]
    assert not ends[kept[kept > 0] - 1].any()
    told, _ = audit(run, tmp_path, "named.npz", "store", folder / "q.json", 0.9, *names)
    assert told["transitions"] == 4000
    done = run("ae-replay", "correct", "named.npz", "store", "--q", folder / "q.json", *names, "-o", "t.npz", "-q")
    assert done.code == 0, done.stderr


def test_fine_codes_are_predicted_and_too_few_latents_called_invalid(run, tmp_path, swinging):
    folder, _ = swinging
    for model, bits, valid in (("model", 5, True), ("narrow", 8, False)):
        assert run("ae-replay", "pack", folder / model, folder / "a.npz", "--bits", bits, "-o", "store", "--force", "-q").code == 0
        told, _ = audit(run, tmp_path, folder / "a.npz", "store", folder / "q.json")
        assert told["valid"] is valid, told
        assert (told["correlation"] >= 0.97) is valid, told


def test_an_unknown_next_observation_stays_unknown(run, tmp_path, swinging):
    folder, arrays = swinging
    ends = arrays["terminations"] | arrays["truncations"]
    np.savez(tmp_path / "implied.npz", **{name: array for name, array in arrays.items() if name != "next_observations"})
    assert run("ae-replay", "pack", folder / "model", "implied.npz", "-o", "store", "-q").code == 0
    assert run("ae-replay", "unpack", "store", "-o", "back.npz", "-q").code == 0
    back = np.load(tmp_path / "back.npz")
    assert np.array_equal(np.isnan(back["next_observations"]).all(1), ends)
    assert json.loads((tmp_path / "store" / "manifest.json").read_text())["parts"][0]["observations"] == 4000
    told, _ = audit(run, tmp_path, "implied.npz", "store", folder / "q.json")
    assert told["without_next_observation"] == arrays["truncations"].sum()


def test_a_damaged_store_is_one_line(run, tmp_path, swinging):
    folder, _ = swinging

    def packed():
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        assert run("ae-replay", "pack", folder / "model", folder / "a.npz", "-o", "store", "-q").code == 0
        return tmp_path / "store"

    def spoil(name, change, words):
        (path,) = packed().glob(name)
        path.write_bytes(change(path.read_bytes()))
        refused(run, tmp_path, 4, words, "unpack", "store", "-o", "out.npz")

    spoil("manifest.json", lambda old: old[:50], ["manifest.json", "JSON"])
    spoil("manifest.json", lambda old: old.replace(b'"bits": 8', b'"bits": 80', 1), ["/latents/0/bits"])
    spoil("manifest.json", lambda old: old.replace(b"part-000000.npz", b"../part-0000.npz"), ["/parts/0/file"])
    spoil("manifest.json", lambda old: old.replace(b'"transitions": 4000', b'"transitions": 3000'), ["flags", "(4000,)"])
    spoil("part-000000.npz", lambda old: old[:5000], ["part-000000.npz"])
    spoil("model-*.safetensors", lambda old: old[:-1] + bytes([old[-1] ^ 1]), ["model-", "damaged"])
    assert run("ae-replay", "pack", folder / "model", folder / "a.npz", "-o", "store", "--force", "-q").code == 0
    assert run("ae-replay", "unpack", "store", "-o", "whole.npz", "-q").code == 0
    refused(run, tmp_path, 4, ["no store"], "unpack", folder / "model", "-o", "out.npz")
    np.savez(tmp_path / "wide.npz", **some_transitions(np.random.default_rng(1), 100, 4))
    refused(run, tmp_path, 2, ["3 columns", "4 numbers"], "pack", folder / "model", "wide.npz", "-o", "out")


# --- corrections ---


def test_corrected_targets_are_those_of_numpy_less_a_bias_that_does_no_harm(run, tmp_path, swinging):
    folder, arrays = swinging
    q = tanh_q(np.random.default_rng(9), actions=3, scale=0.4)[0]
    assert run("ae-replay", "pack", folder / "model", folder / "a.npz", "--bits", "4", "-o", "store", "-q").code == 0
    done = run("ae-replay", "correct", "store", "--q", folder / "q.json", "--gamma", "0.9", "-o", "t.npz")
    assert done.code == 0, done.stderr
    assert run("ae-replay", "unpack", "store", "-o", "back.npz", "-q").code == 0
    found, back = np.load(tmp_path / "t.npz"), np.load(tmp_path / "back.npz")
    on = 0.9 * ~arrays["terminations"]
    true = arrays["rewards"] + on * q(arrays["next_observations"]).max(1)
    assert np.allclose(found["uncorrected"], arrays["rewards"] + on * q(back["next_observations"].astype(float)).max(1), atol=1e-5)
    assert np.allclose(found["uncorrected"] - found["targets"], found["bias"], atol=1e-12)
    assert np.all(found["bias"][arrays["terminations"]] == 0)
    assert np.mean(found["bias"][~arrays["terminations"]] != 0) > 0.99
    before, after = found["uncorrected"] - true, found["targets"] - true
    assert np.sqrt((after**2).mean()) <= 1.01 * np.sqrt((before**2).mean())
    assert abs(after.mean()) < abs(before.mean()) + 3 * after.std() / np.sqrt(1000)  # as well as 1000 pairs can tell
    # The same from files: observations alone take rewards and ends from the original.
    np.savez(tmp_path / "b.npz", observations=back["observations"], next_observations=back["next_observations"])
    done = run("ae-replay", "correct", folder / "a.npz", "b.npz", "--q", folder / "q.json", "--gamma", "0.9", "-o", "u.npz", "-q")
    assert done.code == 0, done.stderr
    assert np.allclose(np.load(tmp_path / "u.npz")["uncorrected"], found["uncorrected"], atol=1e-5)


def test_an_error_model_corrects_a_store_that_keeps_no_pairs(run, tmp_path, swinging):
    folder, arrays = swinging
    # A valley, which the means that two latents leave of three numbers lie too deep in.
    write_q(tmp_path / "valley.json", (np.eye(3), np.zeros(3), "square"), (np.array([[1, 1, 0.2], [1, 1, 0.25]]), np.zeros(2), "identity"))
    q = lambda x: np.asarray(x, float) ** 2 @ np.array([[1, 1, 0.2], [1, 1, 0.25]]).T
    np.save(tmp_path / "a.npy", arrays["observations"])
    assert run("ae-embed", folder / "narrow", "a.npy", "-o", "codes.npy", "--error-model", "errors.json", "-q").code == 0
    assert run("ae-replay", "pack", folder / "narrow", folder / "a.npz", "--bits", "5", "--keep-pairs", "0", "-o", "store", "-q").code == 0
    command = ["correct", "store", "--q", "valley.json", "--gamma", "0.9", "--force"]
    assert run("ae-replay", *command, "--error-model", "errors.json", "-o", "t.npz", "-q").code == 0
    found = np.load(tmp_path / "t.npz")
    true = arrays["rewards"] + 0.9 * ~arrays["terminations"] * q(arrays["next_observations"]).max(1)
    before, after = found["uncorrected"] - true, found["targets"] - true
    assert abs(before.mean()) > 5 * before.std() / np.sqrt(len(before))
    assert abs(after.mean()) < 0.4 * abs(before.mean())
    assert np.sqrt((after**2).mean()) <= 1.01 * np.sqrt((before**2).mean())
    refused(run, tmp_path, 4, ["no pairs"], "correct", "store", "--q", "valley.json", "-o", "u.npz")
    assert run("ae-replay", "pack", folder / "model", folder / "a.npz", "-o", "other", "-q").code == 0
    refused(run, tmp_path, 4, ["another model"], "correct", "other", "--q", "valley.json", "--error-model", "errors.json", "-o", "u.npz")
    refused(run, tmp_path, 2, ["for a store alone"], "correct", folder / "a.npz", "store", "--q", "valley.json",
            "--error-model", "errors.json", "-o", "u.npz")


def test_a_correction_that_would_harm_is_refused_without_force(run, tmp_path):
    rng = np.random.default_rng(10)
    *_, layers = tanh_q(rng, scale=1.5)
    write_q(tmp_path / "q.json", *layers)
    arrays = some_transitions(rng, 1000)
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **stored_with(arrays, 2 * rng.normal(size=(1000, 3))))
    command = ["correct", "a.npz", "b.npz", "--q", "q.json", "-o", "out.npz"]
    refused(run, tmp_path, 1, ["--force"], *command)
    forced = run("ae-replay", *command, "--force", "-q")
    assert forced.code == 0 and "corrected all the same, as --force asks" in forced.stderr
    np.savez(tmp_path / "few.npz", **{name: array[:60] for name, array in arrays.items()})
    refused_few = run("ae-replay", "correct", "few.npz", "few.npz", "--q", "q.json", "-o", "few-out.npz")
    one_error(refused_few, 1, "fewer than 100 pairs")


def test_a_mean_that_cannot_be_told_from_zero_is_told(run, tmp_path):
    rng = np.random.default_rng(12)
    arrays = some_transitions(rng, 4000)
    write_q(tmp_path / "q.json", (np.array([[1.0, -0.5, 0.3]]), np.zeros(1), "identity"))
    np.savez(tmp_path / "a.npz", **arrays)
    for shift, told in ((0, True), (0.2, False)):
        np.savez(tmp_path / "b.npz", **stored_with(arrays, 0.1 * rng.normal(size=(4000, 3)) + shift))
        done = run("ae-replay", "correct", "a.npz", "b.npz", "--q", "q.json", "-o", "out.npz", "--force", "-q")
        assert done.code == 0, done.stderr
        assert ("cannot be told from 0" in done.stderr) == told, done.stderr


# --- signals ---


def test_sigterm_leaves_nothing_behind(bin_folder, tmp_path):
    rng = np.random.default_rng(11)
    *_, layers = tanh_q(rng, width=200, hidden=400)
    write_q(tmp_path / "q.json", *layers)
    np.savez(tmp_path / "a.npz", **some_transitions(rng, 40_000, 200))
    command = [bin_folder / "ae-replay", "audit", tmp_path / "a.npz", tmp_path / "a.npz", "--q", tmp_path / "q.json", "-o", tmp_path / "out"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
    wait_for(lambda: os.path.exists(tmp_path / "out"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()


# --- choice of a store ---


def chosen(run, folder, code, *arguments):
    outcome = run("ae-replay", "choose", *arguments, "--gamma", "0.9", "-o", "choice", "--force", "-q")
    assert outcome.code == code, outcome.stderr
    with open(folder / "choice" / "candidates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return json.loads((folder / "choice" / "summary.json").read_text()), rows


def test_the_cheapest_store_within_the_budget_is_what_an_audit_finds_it_to_be(run, tmp_path, swinging):
    folder, arrays = swinging
    q, data = folder / "q.json", folder / "a.npz"
    told, rows = chosen(run, tmp_path, 0, folder / "narrow", folder / "model", data, "--q", q, "--maximum-bias", "0.01",
                        "--maximum-changes", "0.03")  # fmt: skip
    best = told["chosen"]
    assert best["model"] == str(folder / "model")  # two latents do not meet it
    assert best["bytes"] == sum(best["bits"]) / 8
    assert [float(row["bytes"]) for row in rows if row["chosen"] == "1"] == [best["bytes"]]
    meeting = [row for row in rows if row["meets"] == "1"]
    assert min(float(row["bytes"]) for row in meeting) == best["bytes"]
    assert told["original_bytes"] == 12

    # The store itself, audited on all transitions, a quarter of which have no bias to speak of: they are terminated.
    bits = ",".join(map(str, best["bits"]))
    assert run("ae-replay", "pack", folder / "model", data, "--bits", bits, "-o", "store", "-q").code == 0
    found, _ = audit(run, tmp_path, data, "store", q)
    assert abs(found["mean_bias"]) <= 0.01 and found["action_changes"] <= 0.03
    assert found["mean_bias"] == pytest.approx(best["mean_bias"], abs=0.002)
    assert found["rms_bias"] == pytest.approx(best["rms_bias"], rel=0.05)
    assert found["td_error_rms"] == pytest.approx(best["td_error_rms"], rel=0.05)
    assert found["action_changes"] == pytest.approx(best["action_changes"], abs=0.002)

    # Nothing cheaper among codes of as many bits for all latents does.
    fewer = max(min(best["bits"]) - 1, 1)
    assert run("ae-replay", "pack", folder / "model", data, "--bits", fewer, "-o", "store", "--force", "-q").code == 0
    found, _ = audit(run, tmp_path, data, "store", q)
    assert abs(found["mean_bias"]) > 0.008 or found["action_changes"] > 0.024


def test_a_store_is_judged_by_the_grid_that_it_will_have(run, tmp_path):
    """Heavy tails, of which most lie outside of what is tried: packing stretches its grid over all of them."""
    rng = np.random.default_rng(35)
    count = 30_000
    arrays = {"observations": rng.standard_t(3, (count, 2)), "next_observations": rng.standard_t(3, (count, 2)),
              "terminations": np.zeros(count, bool), "rewards": np.zeros(count)}  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays)
    write_q(tmp_path / "q.json", ([[2, 1], [1, -2]], [0, 0], "identity"))
    config = {"data": {"type": "arrays", "path": "a.npz"}, "model": {"type": "linear", "latent": 2},
              "objective": {"type": "principal_components"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run("ae-train", "config.json", "--out", "model", "-q").code == 0
    told, _ = chosen(run, tmp_path, 0, "model", "a.npz", "--q", "q.json", "--maximum-bias", "1", "--maximum-td-error", "0.3")
    best = told["chosen"]
    bits = ",".join(map(str, best["bits"]))
    assert run("ae-replay", "pack", "model", "a.npz", "--bits", bits, "-o", "store", "-q").code == 0
    found, _ = audit(run, tmp_path, "a.npz", "store")
    assert found["td_error_rms"] <= 0.3
    assert found["td_error_rms"] == pytest.approx(best["td_error_rms"], rel=0.03)


def test_a_budget_that_nothing_meets_is_told(run, tmp_path, swinging):
    folder, _ = swinging
    outcome = run("ae-replay", "choose", folder / "narrow", folder / "a.npz", "--q", folder / "q.json", "--gamma", "0.9", "--maximum-bias",
                  "1e-6", "-o", "choice")  # fmt: skip
    assert outcome.code == 1
    assert "no store that was tried meets the budget" in outcome.stderr
    told = json.loads((tmp_path / "choice" / "summary.json").read_text())
    assert told["chosen"] is None and not any(candidate["meets"] for candidate in told["candidates"])
    refused(run, tmp_path, 2, ["--maximum-bias"], "choose", folder / "a.npz", "--q", folder / "q.json", "-o", "out")
    refused(run, tmp_path, 2, ["no model", "frames"], "choose", folder / "a.npz", "--q", folder / "q.json", "--maximum-bias", "1", "-o", "out")
    refused(run, tmp_path, 2, ["--maximum-bias is not for audit"], "audit", "a.npz", "a.npz", "--q", "q.json", "--maximum-bias", "1", "-o", "out")


def test_bits_go_to_the_latents_on_which_values_depend(run, tmp_path):
    """A linear code of three independent numbers, of which Q reads one, weakly another, and one not at all."""
    rng = np.random.default_rng(31)
    arrays = {"observations": rng.uniform(-1, 1, (2000, 3)), "next_observations": rng.uniform(-1, 1, (2000, 3)),
              "terminations": np.zeros(2000, bool), "rewards": np.zeros(2000)}  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays)
    write_q(tmp_path / "q.json", ([[4, 0.25, 0], [-4, 0.25, 0]], [0, 0], "identity"))
    config = {"data": {"type": "arrays", "path": "a.npz"}, "model": {"type": "linear", "latent": 3},
              "objective": {"type": "principal_components"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run("ae-train", "config.json", "--out", "model", "-q").code == 0
    told, _ = chosen(run, tmp_path, 0, "model", "a.npz", "--q", "q.json", "--maximum-bias", "0.05", "--maximum-td-error", "0.05")
    even = min(c["bytes"] for c in told["candidates"] if c["meets"] and len(set(c["bits"])) == 1)
    assert told["chosen"]["bytes"] < even


def test_frames_are_tried_as_jpeg(run, tmp_path):
    rng = np.random.default_rng(32)
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    centres = rng.uniform(3, 13, (301, 2))
    frames = np.stack([255 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in centres]).astype(np.uint8)
    np.savez(tmp_path / "a.npz", observations=frames[:-1], next_observations=frames[1:], terminations=np.zeros(300, bool))
    write_q(tmp_path / "q.json", (rng.normal(size=(2, 256)) / 2000, [0, 0], "identity"))
    told, rows = chosen(run, tmp_path, 0, "a.npz", "--q", "q.json", "--maximum-bias", "0.02")
    assert told["chosen"]["store"] == "jpeg" and all(row["quality"] for row in rows)
    by_quality = sorted(told["candidates"], key=lambda c: c["quality"])
    sizes, errors = [c["bytes"] for c in by_quality], [c["rms_error"] for c in by_quality]
    assert sizes == sorted(sizes) and errors[0] > 3 * errors[-1] and errors[-1] < 1
    cheaper = [c for c in by_quality if c["quality"] < told["chosen"]["quality"]]
    assert all(c["bytes"] < told["chosen"]["bytes"] and not c["meets"] for c in cheaper)


def test_a_loss_in_units_of_value_keeps_what_values_depend_on(run, tmp_path):
    """Eight numbers and two latents: by mean squared error the two that vary most are kept, by value the one Q reads."""
    rng = np.random.default_rng(33)
    observations = rng.normal(size=(3000, 8)) * [3, 3, 1, 1, 1, 1, 1, 1]
    np.savez(tmp_path / "a.npz", observations=observations, next_observations=rng.permuted(observations, axis=0),
             terminations=np.zeros(3000, bool))  # fmt: skip
    q = np.zeros((2, 8))
    q[:, 5] = 2, -2
    write_q(tmp_path / "q.json", (q, [0, 0], "identity"))
    errors = {}
    for name, terms in (("plain", [{"type": "mse"}]), ("aware", [{"type": "mse"}, {"type": "value", "path": "q.json", "weight": 5}])):
        config = {"data": {"type": "arrays", "path": "a.npz", "scaling": "none"}, "model": {"type": "linear", "latent": 2},
                  "loss": {"terms": terms}, "training": {"epochs": 40, "learning_rate": 0.01, "batch_size": 128}}  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(config))
        outcome = run("ae-train", "config.json", "--out", name, "-q")
        assert outcome.code == 0, outcome.stderr
        assert run("ae-replay", "pack", name, "a.npz", "--bits", "12", "-o", "store", "--force", "-q").code == 0
        told, _ = audit(run, tmp_path, "a.npz", "store")
        errors[name] = told["td_error_rms"]
    # The model is applied without the network, wherever that is; one that was replaced is not trained on with.
    (tmp_path / "q.json").rename(tmp_path / "away.json")
    assert run("ae-score", "aware", "a.npz", "-q").code == 0
    write_q(tmp_path / "q.json", (3 * q, [0, 0], "identity"))
    outcome = run("ae-train", "config.json", "--out", "aware", "--resume", "-q")
    one_error(outcome, 2, "aware: holds the finished model of another config or other data")
    # Without it the value is lost whole; with it only the small share that mean squared error keeps elsewhere.
    assert errors["plain"] > 1.5
    assert errors["aware"] < errors["plain"] / 5
    (tmp_path / "config.json").write_text(json.dumps({**config, "loss": {"terms": [{"type": "mse"}, {"type": "value", "path": "none.json"}]}}))
    outcome = run("ae-train", "config.json", "--out", "other", "-q")
    one_error(outcome, 4, "none.json", "No such file")


# --- the kind of data ---


def test_a_wide_observation_has_a_name_for_each_of_its_numbers(run, tmp_path):
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).normal(size=(60, 3, 15)))
    config = {"data": {"type": "arrays", "path": "wide.npy"}, "model": {"hidden": [], "latent": 2}, "training": {"epochs": 1}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run("ae-train", "config.json", "--out", "model", "-q").code == 0
    assert run("ae-purify", "model", "wide.npy", "-o", "purified.csv", "-q").code == 0
    header, first = (tmp_path / "purified.csv").read_text().splitlines()[:2]
    assert header.split(",") == [f"f{i}" for i in range(45)] + ["loss_before", "loss_after"]
    assert first.count(",") == header.count(",")


def test_arrays_are_learned_as_the_table_of_their_observations(run, tmp_path, swinging):
    """Whatever they lie in: the same model, and the same scores, as of the flat table."""
    h5py = pytest.importorskip("h5py")
    _, arrays = swinging
    np.save(tmp_path / "table.npy", arrays["observations"])
    np.savez(tmp_path / "a.npz", **arrays)
    episodes = {name: values.reshape(80, 50, *values.shape[1:]) for name, values in arrays.items()}
    np.savez(tmp_path / "episodes.npz", **{name: episodes[name] for name in ("observations", "rewards")})
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    with h5py.File(tmp_path / "renamed.h5", "w") as file:
        file["seen"] = arrays["observations"]
    scores = {}
    for name, data in (("table.npy", {"columns": {"*": "numeric"}}), ("a.npz", {}), ("episodes.npz", {}), ("a.hdf5", {}),
                       ("renamed.h5", {"arrays": {"seen": "observations"}})):  # fmt: skip
        kind = "table" if name == "table.npy" else "arrays"
        config = {"data": {"type": kind, "path": name, **data}, "model": {"type": "dense", "hidden": [8], "latent": 2},
                  "training": {"epochs": 3}}  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(config))
        outcome = run("ae-train", "config.json", "--out", "model", "--force", "-q")
        assert outcome.code == 0, outcome.stderr
        outcome = run("ae-score", "model", name, "-q")
        assert outcome.code == 0, outcome.stderr
        lines = outcome.stdout.splitlines()
        assert len(lines) == 4001
        scores[name] = tuple(line.rpartition(",")[0] for line in lines)  # without the model's digest
    assert len(set(scores.values())) == 1
    outcome = run("ae-embed", "model", "renamed.h5", "-o", "z.csv", "-q")
    assert outcome.code == 0, outcome.stderr
    # What is observed stays as it is, in the first row too.
    with h5py.File(tmp_path / "holes.h5", "w") as file:
        file["seen"] = np.where(np.eye(3, dtype=bool), np.nan, arrays["observations"][:3])
    assert run("ae-impute", "model", "holes.h5", "-o", "filled.csv", "-q").code == 0
    filled = np.array([[float(cell) for cell in line.split(",")] for line in (tmp_path / "filled.csv").read_text().splitlines()[1:]])
    assert np.allclose(filled[~np.eye(3, dtype=bool)], arrays["observations"][:3][~np.eye(3, dtype=bool)], rtol=1e-6)
    assert np.isfinite(filled).all()
    np.savez(tmp_path / "wide.npz", observations=np.zeros((10, 4)))
    outcome = run("ae-score", "model", "wide.npz", "-q")
    assert outcome.code == 4, outcome.stderr


def test_the_parts_of_a_bias_are_drawn(run, tmp_path):
    rng = np.random.default_rng(34)
    write_q(tmp_path / "q.json", *tanh_q(rng)[-1])
    arrays = some_transitions(rng)
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **stored_with(arrays, 0.1 * rng.normal(size=(400, 3)) + 0.05))
    told, _ = audit(run, tmp_path, "a.npz", "b.npz")
    picture = (tmp_path / "audit" / "bias.svg").read_text()
    root = ElementTree.fromstring(picture)
    bars = [element for element in root.iter() if element.tag.endswith("rect") and "bar" in element.get("class", "")]
    shown = [float(text.text) for text in root.iter() if text.tag.endswith("text") and text.get("x") == "624" and text.get("class") == ""]
    expected = [*(told["parts"][name] for name in PARTS), told["mean_bias"], told["predicted_bias"], told["usual_formula"]["value"]]
    assert len(bars) == 9
    page = (tmp_path / "audit" / "page.html").read_text()
    assert f"{told['mean_bias']:.4f}" in page and base64.b64encode(picture.encode()).decode() in page
    assert shown == pytest.approx(expected, rel=0.006)
    widths = [float(bar.get("width")) for bar in bars]
    scale = max(widths) / max(map(abs, expected))
    assert widths == pytest.approx([max(abs(value) * scale, 0.5) for value in expected], abs=0.6)
