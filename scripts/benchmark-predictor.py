#!/usr/bin/env python3
"""Whether the predictor of ae-purify --audit-manifold tells how purifiers withstand somebody who knows of them.

    scripts/benchmark-predictor.py CLASSIFIER --mnist FOLDER --out FOLDER [options]

The hypothesis, which was written down here before the first run: over the ten purifiers below, none of which it was
found with, the ranks of the predictor agree with those of the accuracy under attacks through the purifier, with a rank
correlation (Spearman) of at least 0.8, for at most a tenth of the processor time of these attacks. Below 0.8 it is
refuted. The predictor is the mean tangent gain less the mean gain of the part orthogonal to the tangent space of what
`pgd` of size 0.2 does (40 steps, one start, the first 100 test digits) that sees the classifier only. The accuracy is
what `pgd` of size 0.1 leaves right, through the purifier and not, whichever turned an image.

The purifiers differ in their network, their code, and the noise that they were trained with. Printed are the two numbers
of each, the processor seconds of both, and the rank correlation with the share of the permutations that reach it.
FOLDER keeps the models and reports: what is there is not trained or attacked again, and counts with its time of then.
A folder with those of other settings is refused.

  --mnist FOLDER   where scripts/fetch-mnist.sh put the digits
  --out FOLDER     models, reports and predictor.json
  --images N       attacked (default: 500)
  --steps N        (default: 100)
  --restarts N     (default: 10)
  --epochs N       of each training (default: 4)
  --only NAME      this one of the purifiers, repeat for at least two (default: all of them)
  --threads N      of each program (default: all)
  --bin FOLDER     the programs (default: $AETOOLS_BIN, else the PATH)
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np


def signs(size, smooth):
    return {"type": "signs", "size": size, "smooth": smooth}


def gaussian(sigma):
    return {"type": "gaussian", "sigma": sigma}


def network(kind, levels, width, code):
    return {"type": kind, "levels": levels, "width": width, "code": code}


# Sizes of the attacks: those that purifiers are to withstand, and the one that the predictor looks at.
WITHSTOOD, LOOKED_AT = 0.1, 0.2

# What each has other than the recipe mnist-purifier.
PURIFIERS = {
    "no noise": {"/training/corruption": []},
    "gaussian 0.1": {"/training/corruption": [gaussian(0.1)]},
    "gaussian 0.6": {"/training/corruption": [gaussian(0.6)]},
    "signs 0.2, each alone": {"/training/corruption": [signs(0.2, 0)], "/model/latent": 24},
    "signs 0.3, code of 8": {"/training/corruption": [signs(0.3, 0.8)], "/model/latent": 8},
    "signs 0.15, wide": {"/training/corruption": [signs(0.15, 0.8)], "/model/latent": 256, "/model/hidden": [800]},
    "gaussian 0.3, shallow": {"/training/corruption": [gaussian(0.3)], "/model/latent": 48, "/model/hidden": []},
    "conv, gaussian 0.3": {"/training/corruption": [gaussian(0.3)], "/model": network("conv", 2, 8, 4)},
    "conv, signs 0.3": {"/training/corruption": [signs(0.3, 0.8)], "/model": network("conv", 2, 8, 2)},
    "unet, signs 0.3": {"/training/corruption": [signs(0.3, 0.8)], "/model": network("unet", 1, 8, 16)},
}


def seconds(options, file, program, *arguments):
    """The processor seconds of a program, which is run unless the file holds them from an earlier run."""
    if file.exists():
        return json.loads(file.read_text())
    path = Path(options.bin) / program if options.bin else program
    command = [str(path), *map(str, arguments), "--force", "-q"]
    if options.threads:
        command += ["--threads", str(options.threads)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    file.write_text(json.dumps(took))
    return took


def insist_on_same_settings(options):
    """Ends the script where the folder keeps what other settings gave: it would pass for what these give."""
    settings = {name: getattr(options, name) for name in ("images", "steps", "restarts", "epochs")}
    asked = json.dumps({"classifier": str(options.classifier), "mnist": str(options.mnist), **settings}, indent=2) + "\n"
    file = options.out / "settings.json"
    if not file.exists():
        file.write_text(asked)
    elif file.read_text() != asked:
        sys.exit(f"{file}: {options.out} holds results of other settings; take a new folder, or these settings")


def ranks(values):
    """From 1, the mean of their places for equal ones."""
    values = np.asarray(values)
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def rank_correlation(a, b, tries=100000):
    """Spearman's, and the share of random orders that reach it."""
    x, y = (ranks(values) - ranks(values).mean() for values in (a, b))
    scale, chance = np.sqrt((x @ x) * (y @ y)), np.random.default_rng(0)
    observed = x @ y / scale
    reached = sum(x @ chance.permutation(y) / scale >= observed - 1e-12 for _ in range(tries))
    return float(observed), float(reached + 1) / (tries + 1)


def measured(options, name, attacked):
    folder = options.out / name.replace(" ", "-").replace(",", "")
    folder.mkdir(exist_ok=True)
    model = folder / "model"
    changes = [part for key, value in PURIFIERS[name].items() for part in ("--set", f"{key}={json.dumps(value)}")]
    seconds(options, folder / "trained.json", "ae-train", "--recipe", "mnist-purifier", "--data", options.train, "--out", model,
            "--set", f"/training/epochs={options.epochs}", *changes)  # fmt: skip
    audit_seconds = seconds(options, folder / "audit.json", "ae-purify", model, options.test, "--audit-manifold",
                            folder / "audit", "--clean", options.train, "--attacked", attacked, "--first", 100)  # fmt: skip
    attack_seconds = seconds(options, folder / "attack.json", "ae-attack", options.classifier, options.test, "--first",
                             options.images, "--eps", WITHSTOOD, "--attack", "pgd", "--steps", options.steps, "--restarts",
                             options.restarts, "--through", model, "--no-images", "-o", folder / "attack")  # fmt: skip
    audit = json.loads((folder / "audit" / "manifold.json").read_text())
    worst = json.loads((folder / "attack" / "report.json").read_text())["worst"]["purifier"]
    return {
        "name": name,
        "predictor": audit["predictor"]["mean"],
        "withstood": next(row["accuracy"] for row in worst if row["eps"] == WITHSTOOD),
        "audit_seconds": audit_seconds,
        "attack_seconds": attack_seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classifier", type=Path)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--only", action="append", choices=list(PURIFIERS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--bin", default=os.environ.get("AETOOLS_BIN", ""))
    options = parser.parse_args()

    if options.only and len(set(options.only)) < 2:
        parser.error("--only: name at least two purifiers; one has no rank")
    options.train, options.test = (options.mnist / f"{part}-images-idx3-ubyte" for part in ("train", "t10k"))

    options.out.mkdir(parents=True, exist_ok=True)
    insist_on_same_settings(options)
    grey = options.out / "grey"
    grey_seconds = seconds(options, options.out / "grey.json", "ae-attack", options.classifier, options.test, "--first", 100,
                           "--eps", LOOKED_AT, "--attack", "pgd", "-o", grey)  # fmt: skip
    rows = []
    print(f"{'purifier':24}  predictor  withstood  audit s  attack s")
    for name in options.only or PURIFIERS:
        row = measured(options, name, grey / f"classifier-pgd-linf-{LOOKED_AT}.npy")
        rows.append(row)
        print(f"{name:24}  {row['predictor']:9.3f}  {row['withstood']:9.3f}"
              f"  {row['audit_seconds']:7.1f}  {row['attack_seconds']:8.1f}", flush=True)  # fmt: skip
    predictor, withstood = ([row[key] for row in rows] for key in ("predictor", "withstood"))
    rho, share = rank_correlation(predictor, withstood)
    cost = (grey_seconds + sum(row["audit_seconds"] for row in rows)) / sum(row["attack_seconds"] for row in rows)
    (options.out / "predictor.json").write_text(
        json.dumps({"purifiers": rows, "rank_correlation": rho, "p_value": share, "cost": cost}, indent=2) + "\n"
    )
    print(f"rank correlation {rho:.3f} (p {share:.2g}), for {cost:.3f} of the attacks' time:"
          f" {'holds' if rho >= 0.8 and cost <= 0.1 else 'refuted'}")  # fmt: skip


if __name__ == "__main__":
    main()
