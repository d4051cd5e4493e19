#!/usr/bin/env python3
"""What a packed replay buffer does to the agent that learns from it, and what corrected targets give back.

    scripts/benchmark-replay.py [options]

A pendulum is to be swung up and held (the constants of the public Pendulum task: g 10, m 1, l 1, steps of .05 s, torques
-2, 0 and 2, at most 8 rad/s; the reward is the negative of the squared angle, .1 of the squared velocity and .001 of the
squared torque; episodes of 100 steps are cut off, none ends). Random torques fill a buffer, an autoencoder is trained on
its observations (ae-train), and ae-replay pack keeps them at --bits a latent. Fitted Q iteration (Ernst, Geurts and
Wehenkel 2005, with a network of two hidden layers) then learns from the buffer as it was, as packed, and as packed with
the targets of every iteration by ae-replay correct. An iteration in which that refuses takes the targets as they are,
which is counted. Printed are the mean return of the greedy policy over 200 steps from the same 100 starts, for each seed
of the networks, and the memory of the buffer.

  --transitions N  (default: 10000)
  --bits LIST      of each latent (default: 4)
  --iterations N   of fitted Q iteration (default: 40)
  --seeds N        agents of each kind (default: 5)
  --gamma G        (default: 0.97)
  --bin FOLDER     the programs (default: $AETOOLS_BIN, else the PATH)
  --keep FOLDER    where files go, and stay (default: a temporary folder)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TORQUES = np.array([-2.0, 0.0, 2.0])
EPISODE, HIDDEN, BATCH, STEPS, RATE = 100, 64, 256, 400, 1e-3


def step(angle, velocity, action):
    torque = TORQUES[action]
    off = (angle + np.pi) % (2 * np.pi) - np.pi
    reward = -(off**2 + 0.1 * velocity**2 + 0.001 * torque**2)
    velocity = np.clip(velocity + (15 * np.sin(angle) + 3 * torque) * 0.05, -8, 8)
    return angle + velocity * 0.05, velocity, reward


def observed(angle, velocity):
    return np.stack([np.cos(angle), np.sin(angle), velocity], axis=-1).astype(np.float32)


def buffer_of(count, chance):
    episodes = count // EPISODE
    angle, velocity = chance.uniform(-np.pi, np.pi, episodes), chance.uniform(-1, 1, episodes)
    rows = {"observations": [observed(angle, velocity)], "actions": [], "rewards": []}
    for _ in range(EPISODE):
        action = chance.integers(0, 3, episodes)
        angle, velocity, reward = step(angle, velocity, action)
        rows["observations"].append(observed(angle, velocity))
        rows["actions"].append(action)
        rows["rewards"].append(reward.astype(np.float32))
    arrays = {name: np.stack(values, axis=1) for name, values in rows.items()}
    arrays["truncations"] = np.zeros((episodes, EPISODE), bool)
    arrays["truncations"][:, -1] = True
    arrays["terminations"] = np.zeros((episodes, EPISODE), bool)
    return arrays


class Network:
    """Values of three actions by two hidden layers of tanh, fitted by Adam."""

    def __init__(self, seed):
        chance = np.random.default_rng(seed)
        sizes = [3, HIDDEN, HIDDEN, 3]
        self.weights = [chance.normal(0, 1 / np.sqrt(a), (b, a)) for a, b in zip(sizes, sizes[1:])]
        self.biases = [np.zeros(b) for b in sizes[1:]]
        self.chance = chance
        self.moments = [[np.zeros_like(p), np.zeros_like(p)] for p in self.weights + self.biases]
        self.count = 0
        self.scale, self.offset = np.array([1.0, 1.0, 0.25]), 0.0

    def layers(self, observations):
        x = [observations * self.scale]
        for i, (w, b) in enumerate(zip(self.weights, self.biases)):
            y = x[-1] @ w.T + b
            x.append(np.tanh(y) if i < 2 else y)
        return x

    def values(self, observations):
        return self.layers(observations)[-1]

    def fit(self, observations, actions, targets):
        for _ in range(STEPS):
            chosen = self.chance.integers(0, len(targets), BATCH)
            x = self.layers(observations[chosen])
            error = x[-1][np.arange(BATCH), actions[chosen]] - targets[chosen]
            gradient = np.zeros_like(x[-1])
            # Huber's, so that no single target throws the network off.
            gradient[np.arange(BATCH), actions[chosen]] = np.clip(error, -5, 5) / BATCH
            gradients = [None] * 6
            for i in (2, 1, 0):
                if i < 2:
                    gradient = gradient * (1 - x[i + 1] ** 2)
                gradients[i], gradients[3 + i] = gradient.T @ x[i], gradient.sum(0)
                gradient = gradient @ self.weights[i]
            self.count += 1
            for parameter, g, m in zip(self.weights + self.biases, gradients, self.moments):
                m[0] += 0.1 * (g - m[0])
                m[1] += 0.001 * (g * g - m[1])
                first, second = m[0] / (1 - 0.9**self.count), m[1] / (1 - 0.999**self.count)
                parameter -= RATE * first / (np.sqrt(second) + 1e-8)

    def write(self, path):
        first = self.weights[0] * self.scale
        layers = [{"weight": w.tolist(), "bias": b.tolist(), "activation": a}
                  for w, b, a in zip([first, *self.weights[1:]], self.biases, ["tanh", "tanh", "identity"])]  # fmt: skip
        path.write_text(json.dumps({"layers": layers}))


def mean_return(network):
    chance = np.random.default_rng(123)
    angle, velocity, total = chance.uniform(-np.pi, np.pi, 100), chance.uniform(-1, 1, 100), np.zeros(100)
    for _ in range(200):
        angle, velocity, reward = step(angle, velocity, network.values(observed(angle, velocity)).argmax(1))
        total += reward
    return total.mean()


class Runner:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder

    def run(self, program, *arguments, may_refuse=False):
        path = Path(self.options.bin) / program if self.options.bin else program
        # With --force, correct would not refuse.
        force = [] if may_refuse else ["--force"]
        done = subprocess.run([path, *map(str, arguments), *force, "-q"], capture_output=True, text=True)
        if done.returncode != 0 and not (may_refuse and done.returncode == 1):
            sys.exit(done.stderr)
        return done.returncode == 0

    def learned(self, kind, data, seed):
        """The network after all iterations, and how often correct refused."""
        gamma, refused = self.options.gamma, 0
        network = Network(seed)
        q, targets_file = self.folder / "q.json", self.folder / "targets.npz"
        for iteration in range(self.options.iterations):
            targets = data["rewards"].astype(float)
            if iteration > 0:
                targets = targets + gamma * network.values(data["next"]).max(1)
                if kind == "corrected":
                    network.write(q)
                    targets_file.unlink(missing_ok=True)
                    if self.run("ae-replay", "correct", self.folder / "store", "--q", q, "--gamma", gamma, "--seed",
                                iteration, "-o", targets_file, may_refuse=True):  # fmt: skip
                        targets = np.load(targets_file)["targets"]
                    else:
                        refused += 1
            network.fit(data["observations"], data["actions"], targets)
        return network, refused


def flat(arrays):
    observations = arrays["observations"]
    rows = {"observations": observations[:, :-1], "next": observations[:, 1:], "actions": arrays["actions"],
            "rewards": arrays["rewards"]}  # fmt: skip
    return {name: values.reshape(-1, *values.shape[2:]) for name, values in rows.items()}


def measured(options, folder):
    runner = Runner(options, folder)
    arrays = buffer_of(options.transitions, np.random.default_rng(7))
    np.savez(folder / "buffer.npz", **arrays)
    config = {"data": {"type": "arrays", "path": str(folder / "buffer.npz")},
              "model": {"type": "dense", "hidden": [64, 64], "latent": 3, "activation": "tanh"},
              "training": {"epochs": 300, "batch_size": 128, "learning_rate": 0.003, "seed": 0}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    runner.run("ae-train", folder / "config.json", "--out", folder / "model")
    runner.run("ae-replay", "pack", folder / "model", folder / "buffer.npz", "--bits", options.bits, "--keep-pairs", 2000,
               "-o", folder / "store")  # fmt: skip
    runner.run("ae-replay", "unpack", folder / "store", "-o", folder / "unpacked.npz")
    manifest = json.loads((folder / "store" / "manifest.json").read_text())
    raw = flat(arrays)
    unpacked = np.load(folder / "unpacked.npz")
    packed = dict(raw, observations=unpacked["observations"], next=unpacked["next_observations"])
    sizes = manifest["bytes"]
    # What a buffer that holds both observations of each transition takes, as the usual ones do.
    both = 2 * raw["observations"].nbytes
    once, codes = sizes["original_observations"], sizes["codes"]
    print(f"observations: {both / codes:.1f} times less memory than where each is kept twice, {once / codes:.1f} times less "
          f"than once; rms error {manifest['rms_error']:.4f}")  # fmt: skip
    print(f"{'':12}" + "".join(f"{f'seed {seed}':>10}" for seed in range(options.seeds)) + f"{'mean':>10}{'sd':>8}")
    for kind, data in (("raw", raw), ("packed", packed), ("corrected", packed)):
        returns, refusals = [], 0
        for seed in range(options.seeds):
            network, refused = runner.learned(kind, data, seed)
            returns.append(mean_return(network))
            refusals += refused
        print(f"{kind:12}" + "".join(f"{value:10.1f}" for value in returns) +
              f"{np.mean(returns):10.1f}{np.std(returns, ddof=1) if len(returns) > 1 else 0:8.1f}" +
              (f"  {refusals} corrections refused" if refusals else ""), flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("--transitions", type=int, default=10000)
    parser.add_argument("--bits", default="4")
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--gamma", type=float, default=0.97)
    parser.add_argument("--bin", default=os.environ.get("AETOOLS_BIN", ""))
    parser.add_argument("--keep")
    options = parser.parse_args()
    if options.keep:
        Path(options.keep).mkdir(parents=True, exist_ok=True)
        measured(options, Path(options.keep).resolve())  # the config names the buffer, from where it lies
    else:
        with tempfile.TemporaryDirectory() as folder:
            measured(options, Path(folder))


if __name__ == "__main__":
    main()
