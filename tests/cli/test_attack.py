"""ae-attack: against closed forms of linear classifiers, and a projected gradient ascent of PyTorch's own, on the digits
of scikit-learn."""

import base64
import csv
import json
import re
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import read_png, write_png
from scipy.stats import beta, binom
from scipy.stats import norm as normal
from support import needs_torch, one_error, split_safetensors

pytestmark = needs_torch
torch = pytest.importorskip("torch")


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(16, 32, 3, padding=1),
            torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32 * 16, 10))

    def forward(self, x):
        return self.layers(x)


def save(module, path):
    torch.jit.script(module.eval()).save(str(path))


def trained_classifier(images, labels, seed):
    torch.manual_seed(seed)
    network = Convolutions()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(12):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def digits(tmp_path_factory, bin_folder):
    """A folder with 200 digits to attack, a classifier, another one, and an autoencoder that saw the other digits."""
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("attack")
    data = load_digits()
    images = (data.images / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], data.target[order]
    np.save(folder / "train.npy", images[200:])
    np.save(folder / "test.npy", images[:200])
    (folder / "labels.csv").write_text("label\n" + "".join(f"{label}\n" for label in labels[:200]))
    rest = torch.tensor(images[200:]).unsqueeze(1), torch.tensor(labels[200:])
    network = trained_classifier(*rest, 0)
    save(network, folder / "clf.pt")
    save(trained_classifier(*rest, 1), folder / "other.pt")
    config = {"data": {"type": "images", "path": "train.npy"}, "model": {"type": "conv", "levels": 2, "width": 16, "code": 4},
              "score": {"type": "map", "normalize": "none", "reduction": "mean"},
              "training": {"epochs": 12, "batch_size": 32, "learning_rate": 0.004, "validation_fraction": 0.1,
                           "corruption": [{"type": "gaussian", "sigma": 0.3}]}}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([bin_folder / "ae-train", "config.json", "--out", "model", "-q"], cwd=folder, check=True, timeout=300)
    return folder, network, torch.tensor(images[:200]).unsqueeze(1), torch.tensor(labels[:200])


@pytest.fixture
def attack(run, digits):
    def attack(*arguments, code=0, victim="clf.pt"):
        outcome = run("ae-attack", victim, "test.npy", "--labels", "labels.csv", *arguments, "-o", "out", "--force", "-q",
                      cwd=digits[0])
        assert outcome.code == code, outcome
        return rows_of(digits[0] / "out"), json.loads((digits[0] / "out/report.json").read_text())

    return attack


def rows_of(folder):
    with open(folder / "report.csv", newline="") as file:
        return list(csv.DictReader(file))


def accuracy(rows, threat, name, eps, defence="none"):
    (found,) = [r for r in rows if (r["threat"], r["attack"], float(r["eps"]), r["defence"]) == (threat, name, eps, defence)]
    return float(found["accuracy"])


def right(network, images, labels):
    with torch.no_grad():
        return (network(images).argmax(1) == labels).float().mean().item()


def own_pgd(network, images, labels, eps, steps):
    """Written from Madry et al.'s description alone."""
    torch.manual_seed(5)
    x = (images + (2 * torch.rand_like(images) - 1) * eps).clamp(0, 1)
    for _ in range(steps):
        x.requires_grad_(True)
        gradient, = torch.autograd.grad(torch.nn.functional.cross_entropy(network(x), labels), x)
        x = x.detach() + 2.5 / steps * eps * gradient.sign()
        x = torch.max(torch.min(x, images + eps), images - eps).clamp(0, 1)
    return right(network, x, labels)


def test_pgd_is_as_strong_as_one_of_pytorch_and_size_0_is_clean(attack, digits):
    folder, network, images, labels = digits
    rows, report = attack("--eps", "0,0.05,0.1", "--attack", "noise,fgsm,pgd,apgd", "--steps", "20", "--loss", "ce")
    clean = right(network, images, labels)
    assert clean > 0.95
    for name in ("fgsm", "pgd", "apgd"):
        assert accuracy(rows, "classifier", name, 0) == accuracy(rows, "none", "clean", 0) == pytest.approx(clean)
    for eps in (0.05, 0.1):
        ours = accuracy(rows, "classifier", "pgd", eps)
        assert ours <= own_pgd(network, images, labels, eps, 20) + 0.01
        assert ours >= own_pgd(network, images, labels, eps, 20) - 0.03  # that one looks at its last step alone
        assert accuracy(rows, "classifier", "apgd", eps) <= ours + 0.02
        assert accuracy(rows, "classifier", "fgsm", eps) >= ours
        assert accuracy(rows, "none", "noise", eps) > accuracy(rows, "classifier", "fgsm", eps)
        worst = accuracy(rows, "all", "worst", eps)
        assert worst <= min(accuracy(rows, "classifier", name, eps) for name in ("fgsm", "pgd", "apgd"))
    assert report["flags"] == [] and report["images"] == 200
    assert [found["accuracy"] for found in report["worst"]["none"]] == [accuracy(rows, "all", "worst", e) for e in (0, 0.05, 0.1)]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_images_are_within_reach_and_do_what_the_report_says(attack, digits, norm):
    folder, network, images, labels = digits
    eps = 0.1 if norm == "linf" else 0.7
    names = ["noise", "fgsm", "pgd", "apgd"] + (["square"] if norm == "linf" else [])
    rows, _ = attack("--eps", eps, "--norm", norm, "--attack", ",".join(names), "--steps", "10", "--queries", "60")
    for name in names:
        threat = "none" if name == "noise" else "classifier"
        found = torch.tensor(np.load(folder / f"out/{threat}-{name}-{norm}-{eps}.npy")).unsqueeze(1)
        assert found.shape == images.shape and found.min() >= 0 and found.max() <= 1
        steps = (found - images).flatten(1)
        distance = steps.abs().amax(1) if norm == "linf" else steps.norm(dim=1)
        assert distance.max() <= eps * 1.00001
        assert right(network, found, labels) == pytest.approx(accuracy(rows, threat, name, eps))
    with open(folder / "out/samples.csv", newline="") as file:
        samples = list(csv.DictReader(file))
    predicted = network(images).argmax(1)
    assert [int(s["predicted"]) for s in samples] == predicted.tolist()
    turned = np.mean([s["turned_at"] == "" for s in samples])
    assert turned == pytest.approx(accuracy(rows, "all", "worst", eps))
    assert {s["turned_at"] for s, p, y in zip(samples, predicted, labels) if p != y} <= {"0"}


def test_a_linear_classifier_falls_exactly_where_its_margin_is_overcome(run, tmp_path):
    """w.x + b: within eps of linf it changes by eps |w|_1, within eps of l2 by eps |w|_2."""
    rng = np.random.default_rng(1)
    torch.manual_seed(2)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2))
    save(network, tmp_path / "linear.pt")
    images = rng.uniform(0.4, 0.6, (300, 6, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", images)
    with torch.no_grad():
        z = network(torch.tensor(images).unsqueeze(1)).double().numpy()
    labels = z.argmax(1)
    (tmp_path / "y.csv").write_text("id,label\n" + "".join(f"{i},{label}\n" for i, label in reversed(list(enumerate(labels)))))
    w = (network[1].weight[1] - network[1].weight[0]).detach().double().numpy()
    margin = np.abs(z[:, 1] - z[:, 0])
    for norm, length in (("linf", np.abs(w).sum()), ("l2", np.sqrt((w * w).sum()))):
        eps = float(np.quantile(margin, 0.3) / length)
        assert (eps if norm == "linf" else eps * np.abs(w).max() / length) < 0.4
        outcome = run("ae-attack", "linear.pt", "x.npy", "--labels", "y.csv", "--eps", eps, "--norm", norm, "--attack", "fgsm,pgd,apgd",
                      "--steps", "30", "-o", norm, "-q")
        assert outcome.code == 0, outcome
        for name in ("fgsm", "pgd", "apgd"):
            # Steps of l2 turn towards the gradient and do not quite arrive.
            reached = 0.98 if (name, norm) == ("pgd", "l2") else 0.9999
            found = accuracy(rows_of(tmp_path / norm), "classifier", name, eps)
            assert (margin > 1.0001 * eps * length).mean() <= found <= (margin > reached * eps * length).mean()


def test_who_knows_of_the_purifier_does_better_and_controls_stand_beside(attack, run, digits):
    folder, network, images, labels = digits
    rows, report = attack("--eps", "0,0.15", "--attack", "noise,pgd,square", "--steps", "20", "--restarts", "2", "--queries", "80",
                          "--through", "model", "--surrogate", "other.pt")
    bare, grey = accuracy(rows, "classifier", "pgd", 0.15), accuracy(rows, "classifier", "pgd", 0.15, "purifier")
    adaptive = accuracy(rows, "purifier", "pgd", 0.15, "purifier")
    assert bare < grey and adaptive < grey
    # Images that are merely beyond the classifier's border would flatter the purifier: steps go on to the end.
    (found,) = [r for r in rows if (r["threat"], r["attack"], r["eps"], r["defence"]) == ("classifier", "pgd", "0.15", "purifier")]
    assert float(found["mean_distance"]) > 0.9 * 0.15
    assert accuracy(rows, "transfer", "pgd", 0.15) > bare
    assert accuracy(rows, "all", "worst", 0.15, "purifier") <= adaptive
    assert accuracy(rows, "all", "worst", 0, "purifier") == accuracy(rows, "none", "clean", 0, "purifier")
    assert "forward_differs" not in report["flags"] and "zero_gradient" not in report["flags"]
    # What ae-purify makes of the images, PyTorch's classifier gets right as often.
    assert run("ae-purify", "model", "out/purifier-pgd-linf-0.15.npy", "-o", "purified.npy", "--force", "-q", cwd=folder).code == 0
    purified = torch.tensor(np.load(folder / "purified.npy")).unsqueeze(1).clamp(0, 1)
    assert right(network, purified, labels) == pytest.approx(adaptive, abs=0.006)


def test_a_threshold_is_attacked_by_two_surrogates(attack):
    rows, report = attack("--eps", "0.2", "--attack", "pgd", "--through", "model", "--purifier", "threshold:0.5")
    (adaptive,) = [r for r in rows if r["threat"] == "purifier"]
    assert adaptive["backward"] == "identity sigmoid" and adaptive["attack_forward"] == "threshold:0.5 classifier"
    assert "forward_differs" not in report["flags"]
    assert float(adaptive["accuracy"]) <= accuracy(rows, "classifier", "pgd", 0.2, "purifier") + 0.02


@pytest.fixture(scope="module")
def planes(digits, bin_folder):
    """Linear autoencoders of digits, of which each has seen other ones: of each (decoder, its bias, encoder, its bias)."""
    folder, found = digits[0], []
    train = np.load(folder / "train.npy")
    for k in range(3):
        np.save(folder / f"part{k}.npy", train[k::3])
        config = {"data": {"type": "images", "path": f"part{k}.npy"}, "model": {"type": "dense_images", "hidden": [], "latent": 2},
                  "loss": {"terms": [{"type": "mse"}]}, "score": {"type": "map", "normalize": "none", "reduction": "mean", "border": 0},
                  "training": {"epochs": 3, "batch_size": 32, "learning_rate": 0.01, "validation_fraction": 0.1, "seed": k}}
        (folder / "plane.json").write_text(json.dumps(config))
        subprocess.run([bin_folder / "ae-train", "plane.json", "--out", f"plane{k}", "-q"], cwd=folder, check=True, timeout=300)
        header, data = split_safetensors((folder / f"plane{k}/model.safetensors").read_bytes())
        found.append([torch.tensor(np.frombuffer(data[slice(*header[name]["data_offsets"])], "<f4").reshape(header[name]["shape"]).copy())
                      for name in ("model.output.weight", "model.output.bias", "model.bottleneck.weight", "model.bottleneck.bias")])
    return found


def rebuilt(plane, x):
    """As that linear autoencoder does it, which is given pixels from -1 to 1."""
    decoder, origin, encoder, shift = plane
    code = (2 * x.flatten(1) - 1) @ encoder.T + shift
    return (code @ decoder.T + origin).reshape(x.shape)


def projected(plane, x):
    decoder, origin = plane[:2]
    return (origin + (x.flatten(1) - origin) @ (decoder @ torch.linalg.pinv(decoder)).T).reshape(x.shape)


def step_along(images, eps, network, labels, answer, stand_in):
    """One step by the gradient of the loss at `answer`, taken back through `stand_in`."""
    x = images.clone().requires_grad_(True)
    other = stand_in(x)
    pure = other + (answer(x) - other).detach()
    gradient, = torch.autograd.grad(torch.nn.functional.cross_entropy(network(pure.clamp(0, 1)), labels), x)
    return (images + eps * gradient.sign()).clamp(0, 1)


def check_steps(folder, network, images, labels, answer, stand_ins, exact=0.99):
    """Each image is the one that the first stand-in found which turns it, else that of the last one."""
    found = torch.tensor(np.load(folder / "out/purifier-fgsm-linf-0.05.npy")).unsqueeze(1)
    before = network(answer(images).clamp(0, 1)).argmax(1) == labels
    left, expected, used = before, images.clone(), set()
    for number, stand_in in enumerate(stand_ins):
        steps = step_along(images, 0.05, network, labels, answer, stand_in)
        expected[left] = steps[left]
        still = network(answer(steps).clamp(0, 1)).argmax(1) == labels
        used |= {number} if number == len(stand_ins) - 1 or (left & ~still).any() else set()
        left = left & still
    assert before.sum() > 20 and left.any()
    assert len(used) > 1  # not one stand-in alone was looked at
    assert ((found - expected).abs() < 1e-5).float().mean() > exact


def test_a_descent_over_codes_is_attacked_by_three_stand_ins_and_flagged(attack, digits, planes):
    folder, network, images, labels = digits
    plane = planes[0]
    rows, report = attack("--eps", "0,0.05", "--attack", "noise,fgsm", "--loss", "ce", "--through", "plane0", "--purifier", "latent:10")
    adaptive = the_row(rows, "purifier", "fgsm", 0.05, "purifier")
    assert adaptive["backward"] == "identity reconstruction unrolled" and adaptive["attack_forward"] == "latent:10 classifier"
    assert "optimisation_inside" in report["flags"] and "forward_differs" not in report["flags"]
    detail = str(report["flag_details"]["optimisation_inside"])
    assert "upper bound" in detail and "unrolled" in detail
    assert accuracy(rows, "none", "clean", 0, "purifier") == pytest.approx(right(network, projected(plane, images).clamp(0, 1), labels), abs=0.006)
    # In two dimensions ten steps are enough, and the gradient through them is that of the projection.
    check_steps(folder, network, images, labels, lambda x: projected(plane, x).detach(),
                [lambda x: x, lambda x: rebuilt(plane, x), lambda x: projected(plane, x)], 0.97)
    _, report = attack("--eps", "0.05", "--attack", "fgsm", "--through", "plane0", "--purifier", "threshold:0.5", "--purifier", "latent:3:2")
    assert "optimisation_inside" in report["flags"]
    assert report["purifiers"] == ["threshold:0.5", "latent:3:2"]
    _, report = attack("--eps", "0.05", "--attack", "fgsm", "--through", "plane0")
    assert "optimisation_inside" not in report["flags"]


def test_the_choice_among_models_is_attacked_through_the_chosen_one_and_through_all(attack, digits, planes):
    folder, network, images, labels = digits
    others = ["--among", "plane1", "--among", "plane2"]
    rows, report = attack("--eps", "0,0.05", "--attack", "noise,fgsm", "--loss", "ce", "--through", "plane0", "--purifier", "nearest", *others)
    adaptive = the_row(rows, "purifier", "fgsm", 0.05, "purifier")
    assert adaptive["backward"] == "exact soft" and len(report["among"]) == 2
    assert not {"optimisation_inside", "forward_differs"} & set(report["flags"])

    def made(x):
        each = torch.stack([rebuilt(plane, x) for plane in planes])
        return each, (each - x).square().flatten(2).mean(2)

    def nearest(x):
        each, errors = made(x)
        return each[errors.argmin(0), torch.arange(len(x))]

    def soft(x):
        each, errors = made(x)
        weights = (-errors / (0.25 * errors.detach().amin(0))).softmax(0)
        return (each * weights[..., None, None, None]).sum(0)

    assert len(set(made(images)[1].argmin(0).tolist())) == 3
    assert accuracy(rows, "none", "clean", 0, "purifier") == pytest.approx(right(network, nearest(images).clamp(0, 1), labels), abs=0.006)
    check_steps(folder, network, images, labels, lambda x: nearest(x).detach(), [nearest, soft])
    rows, report = attack("--eps", "0.05", "--attack", "fgsm", "--through", "plane0", "--purifier", "threshold:0.5", "--purifier", "nearest", *others)
    assert the_row(rows, "purifier", "fgsm", 0.05, "purifier")["backward"] == "identity+exact sigmoid+soft"
    assert report["flags"] == [] or "forward_differs" not in report["flags"]


class Detached(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).detach()


class Probabilities(Detached):
    def forward(self, x):
        return torch.softmax(self.network(x), 1)


class Noisy(Detached):
    def forward(self, x):
        return self.network(x) + 0.1 * torch.randn(x.shape[0], 10)


@pytest.mark.parametrize("wrapper, flag", [(Detached, "zero_gradient"), (Probabilities, "softmax_outputs"), (Noisy, "random_output")])
def test_what_hides_its_gradient_is_flagged(run, digits, wrapper, flag):
    folder, network, images, labels = digits
    save(wrapper(network), folder / "odd.pt")
    outcome = run("ae-attack", "odd.pt", "test.npy", "--labels", "labels.csv", "--eps", "0.1", "--attack", "pgd,square", "--queries",
                  "100", "-o", flag, "--force", "--no-images", cwd=folder)
    assert outcome.code == 0 and f"flag {flag}" in outcome.stderr
    report = json.loads((folder / flag / "report.json").read_text())
    assert flag in report["flags"] and report["flag_details"][flag]
    if wrapper is Detached:
        assert "gradient_free_beats_white_box" in report["flags"]


def test_probabilities_are_taken_by_their_logarithm(run, digits):
    folder, network, images, labels = digits
    save(Probabilities(network), folder / "odd.pt")
    done = run("ae-attack", "odd.pt", "test.npy", "--labels", "labels.csv", "--eps", "0.1", "--attack", "pgd", "--steps", "20", "--loss",
               "ce", "--outputs", "probabilities", "-o", "logs", "--force", "-q", cwd=folder)
    assert done.code == 0
    assert accuracy(rows_of(folder / "logs"), "classifier", "pgd", 0.1) <= own_pgd(network, images, labels, 0.1, 20) + 0.01
    assert json.loads((folder / "logs/report.json").read_text())["flags"] == []


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(attack, digits):
    def answer(seed):
        attack("--eps", "0.05", "--attack", "noise,pgd", "--seed", seed, "--steps", "5", "--threads", "1")
        return [(digits[0] / "out" / name).read_bytes()
                for name in ("report.csv", "samples.csv", "none-noise-linf-0.05.npy", "classifier-pgd-linf-0.05.npy")]

    first = answer(1)
    assert answer(1) == first
    assert answer(2)[2] != first[2]


def test_a_step_along_the_gradient_takes_means_and_deviations_in(run, digits):
    """(x - mean) / std within the classifier, or outside of it and told."""
    folder, network, images, labels = digits

    class Inner(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x * 0.3 + 0.5)

    save(Inner(network), folder / "normalised.pt")
    for name, more in (("clf.pt", []), ("normalised.pt", ["--mean", "0.5", "--std", "0.3"])):
        done = run("ae-attack", name, "test.npy", "--labels", "labels.csv", "--eps", "0.05", "--attack", "fgsm", "-o", "means-" + name,
                   "--force", "-q", *more, cwd=folder)
        assert done.code == 0
    one, other = (np.load(folder / f"means-{name}" / "classifier-fgsm-linf-0.05.npy") for name in ("clf.pt", "normalised.pt"))
    assert (np.abs(one - other) > 1e-5).mean() < 0.002  # signs of gradients of nearly 0


def probabilities(network, images, temperature):
    with torch.no_grad():
        return torch.softmax(network(images) / temperature, 1).double().numpy()


def jensen_shannon(p, q):
    def entropy(p):
        return -(p * np.log(np.maximum(p, 1e-300))).sum(1)

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def test_a_classifier_and_detectors_judge_what_is_purified(run, digits):
    folder, network, images, labels = digits
    attacked = folder / "attacked" / "classifier-pgd-linf-0.15.npy"
    assert run("ae-attack", "clf.pt", "test.npy", "--labels", "labels.csv", "--eps", "0.15", "--attack", "pgd", "-o", "attacked", "-q",
               "--force", cwd=folder).code == 0
    np.save(folder / "clean.npy", np.load(folder / "test.npy")[100:])
    outcome = run("ae-purify", "model", attacked, "-o", "purified.npy", "--table", "t.csv", "--summary", "s.json", "--classifier", "clf.pt",
                  "--labels", "labels.csv", "--detector", "l1,l2,jsd:5", "--clean", "clean.npy", "--false-positives", "0.09", "--noise",
                  "0.15", "--force", cwd=folder)
    assert outcome.code == 0, outcome.stderr
    with open(folder / "t.csv", newline="") as file:
        table = list(csv.DictReader(file))
    summary = json.loads((folder / "s.json").read_text())

    def pixels(name):
        return torch.tensor(np.load(folder / name)).unsqueeze(1)

    def reconstructed(name):
        assert run("ae-purify", "model", name, "-o", "again.npy", "--force", "-q", cwd=folder).code == 0
        return pixels("again.npy")

    def scores(name):
        x, y = pixels(name), reconstructed(name)
        step = (x - y).double().numpy().reshape(len(x), -1)
        return np.stack([np.abs(step).mean(1), (step**2).mean(1),
                         jensen_shannon(probabilities(network, x, 5), probabilities(network, y.clamp(0, 1), 5))], 1)

    before = probabilities(network, pixels(attacked), 1).argmax(1)
    after = probabilities(network, pixels("purified.npy").clamp(0, 1), 1).argmax(1)
    truth = labels.numpy()
    for column, expected in (("class", truth), ("predicted_before", before), ("predicted_after", after)):
        assert [int(row[column]) for row in table] == list(expected), column
    found = np.array([[float(row[name]) for name in ("score_l1", "score_l2", "score_jsd:5")] for row in table])
    assert np.allclose(found, scores(attacked), rtol=1e-3, atol=2e-6)
    # A share of .09 is .03 for each of three: 3 of 100 clean images lie above.
    clean = np.sort(scores("clean.npy"), 0)
    thresholds = np.array([d["threshold"] for d in summary["detectors"]])
    assert np.allclose(thresholds, clean[-4], rtol=1e-3, atol=2e-6)
    assert [round(d["clean_flagged"]["share"] * 100) for d in summary["detectors"]] == [3, 3, 3]
    flagged = (found > thresholds).any(1)
    assert [row["flagged"] == "1" for row in table] == list(flagged)
    expected = {"none": before == truth, "detector": flagged | (before == truth), "purifier": after == truth,
                "both": flagged | (after == truth)}
    for name, right in expected.items():
        assert summary["right_or_flagged"][name]["share"] == pytest.approx(right.mean())
    assert f"purifier {100 * (after == truth).mean():8.1f}%" in outcome.stdout
    # Noise as large as the attack: harmless, and still strange to whoever looks at pixels alone.
    l1, _, jsd = summary["detectors"]
    assert l1["flagged_with_noise"]["share"] > 2 * jsd["flagged_with_noise"]["share"]


def the_row(rows, threat, attack, eps, defence):
    (found,) = [r for r in rows if (r["threat"], r["attack"], float(r["eps"]), r["defence"]) == (threat, attack, eps, defence)]
    return found


def test_who_knows_of_the_detectors_steps_around_them(attack, run, digits):
    folder, network, images, labels = digits
    np.save(folder / "clean.npy", np.load(folder / "test.npy")[100:])
    rows, report = attack("--eps", "0,0.15", "--attack", "noise,pgd", "--steps", "20", "--through", "model", "--detector", "l1,jsd",
                          "--clean", "clean.npy", "--false-positives", "0.1")
    both = "purifier+detector"

    def pixels(name):
        return torch.tensor(np.load(folder / name)).unsqueeze(1)

    def seen(name):
        """What PyTorch and NumPy make of an array: classified rightly behind the purifier, and the detectors' scores."""
        assert run("ae-purify", "model", name, "-o", "again.npy", "--force", "-q", cwd=folder).code == 0
        x, y = pixels(name), pixels("again.npy")
        right_behind = (network(y.clamp(0, 1)).argmax(1) == labels).numpy() if len(x) == len(labels) else None
        return right_behind, np.stack([(x - y).abs().flatten(1).double().mean(1).numpy(),
                                       jensen_shannon(probabilities(network, x, 10), probabilities(network, y.clamp(0, 1), 10))], 1)

    # A share of .1 is .05 for each of two: 5 of 100 clean images lie above.
    thresholds = np.sort(seen("clean.npy")[1], 0)[-6]
    assert [d["name"] for d in report["detectors"]] == ["l1", "jsd:10"]
    assert np.allclose([d["threshold"] for d in report["detectors"]], thresholds, rtol=1e-3, atol=2e-6)
    shares = {}
    for threat, name in (("none", "noise"), ("classifier", "pgd"), ("purifier", "pgd"), (both, "pgd")):
        right_behind, scores = seen(f"out/{threat}-{name}-linf-0.15.npy")
        flagged = (scores > thresholds).any(1)
        row = the_row(rows, threat, name, 0.15, both)
        assert float(row["flagged"]) == pytest.approx(flagged.mean(), abs=0.011), threat
        assert float(row["accuracy"]) == pytest.approx((flagged | right_behind).mean(), abs=0.011), threat
        assert row["lambdas"] == ("1 0.1 0.01" if threat == both else "")
        shares[threat] = float(row["flagged"])
    # Who does not look at the detectors is caught by them, who does passes.
    blind, aware = (float(the_row(rows, threat, "pgd", 0.15, both)["accuracy"]) for threat in ("purifier", both))
    assert shares[both] < shares["purifier"] - 0.1 and aware < blind - 0.05
    assert int(the_row(rows, both, "pgd", 0.15, both)["restarts"]) == 3
    assert accuracy(rows, "all", "worst", 0.15, both) <= aware
    assert the_row(rows, "all", "worst", 0.15, both)["flagged"] == ""
    assert [found["accuracy"] for found in report["worst"][both]] == [accuracy(rows, "all", "worst", e, both) for e in (0, 0.15)]
    # And what is told of each image is what the rows are made of.
    with open(folder / "out/samples.csv", newline="") as file:
        samples = list(csv.DictReader(file))
    assert np.mean([s["turned_at_undetected"] == "" for s in samples]) == pytest.approx(accuracy(rows, "all", "worst", 0.15, both))
    clean = the_row(rows, "none", "clean", 0, both)
    assert np.mean([s["flagged"] == "1" for s in samples]) == pytest.approx(float(clean["flagged"]))


@pytest.fixture(scope="module")
def linear(digits):
    """(margins over the length of the weights, sum of their sizes over it, labels): a linear classifier of two classes, and images of
    pixels around 1/2, which noise does not lead out of [0, 1]; in the folder linear.pt, middle.npy, middle.csv."""
    folder = digits[0]
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    w = (network[1].weight[1] - network[1].weight[0]).detach().double().numpy()
    images = np.random.default_rng(5).uniform(0.4, 0.6, (400, 8, 8)).astype(np.float32)
    with torch.no_grad():
        z = network(torch.tensor(images).unsqueeze(1)).double().numpy()
        network[1].bias[1] -= float(np.median(z[:, 1] - z[:, 0]))
        z = network(torch.tensor(images).unsqueeze(1)).double().numpy()
    save(network, folder / "linear.pt")
    labels = z.argmax(1)
    np.save(folder / "middle.npy", images)
    (folder / "middle.csv").write_text("label\n" + "".join(f"{label}\n" for label in labels))
    length = np.sqrt((w * w).sum())
    return np.abs(z[:, 1] - z[:, 0]) / length, np.abs(w).sum() / length, labels


def test_votes_under_noise_are_those_of_a_linear_classifier(run, digits, linear):
    """A pixel's noise of sigma is one of sigma along the weights: one draw is right with Phi(margin / sigma), many where the margin
    is above 0, and an attack of linf takes eps |w|_1 from it."""
    folder = digits[0]
    margin, reach, _ = linear
    sigma, eps = 0.08, float(np.median(margin)) / reach
    asked = ["ae-attack", "linear.pt", "middle.npy", "--labels", "middle.csv", "--through", "model"]
    done = run(*asked, "--eps", eps, "--attack", "noise,pgd,fgsm", "--steps", "10", "--purifier", f"noise:{sigma}", "--votes", "61",
               "--eot", "2", "-o", "votes", "--force", cwd=folder)
    assert done.code == 0, done.stderr
    rows, report = rows_of(folder / "votes"), json.loads((folder / "votes/report.json").read_text())

    def one_draw(margin):
        p = normal.cdf(margin / sigma)
        return pytest.approx(p.mean(), abs=4 * np.sqrt((p * (1 - p)).sum()) / len(p))

    def voted(margin):
        p = binom.sf(30, 61, normal.cdf(margin / sigma))
        return pytest.approx(p.mean(), abs=4 * np.sqrt((p * (1 - p)).sum()) / len(p) + 0.005)

    assert accuracy(rows, "none", "clean", 0, "purifier-fixed") == one_draw(margin)
    assert accuracy(rows, "none", "clean", 0, "purifier") == voted(margin)
    attacked = margin - eps * reach
    for name in ("pgd", "fgsm"):
        assert accuracy(rows, "purifier", name, eps, "purifier") == voted(attacked)
        # Pixels stay within [0, 1], also those with noise; who knows the draw knows when it has succeeded.
        assert accuracy(rows, "purifier-fixed", name, eps, "purifier-fixed") == one_draw(attacked)
    known = the_row(rows, "purifier", "pgd", eps, "purifier")
    assert (known["votes"], known["eot"]) == ("61", "2")
    known = the_row(rows, "purifier-fixed", "pgd", eps, "purifier-fixed")
    assert (known["votes"], known["eot"]) == ("1", "1")
    (drawn,) = report["random_draws"]
    worst = [accuracy(rows, "all", "worst", eps, defence) for defence in ("purifier", "purifier-fixed")]
    assert [drawn["voted"], drawn["fixed"]] == worst and drawn["gap"] == pytest.approx(worst[0] - worst[1])
    assert "random_output" in report["flags"] and "forward_differs" not in report["flags"]
    assert "eps_0_differs_from_clean" not in report["flags"]
    # And so says ae-purify.
    done = run("ae-purify", "model", "middle.npy", "-o", "noisy.npy", "--purifier", f"noise:{sigma}", "--classifier", "linear.pt",
               "--labels", "middle.csv", "--votes", "61", "--summary", "votes.json", "--seed", "7", "--force", cwd=folder)
    assert done.code == 0 and "one draw" in done.stdout, done
    summary = json.loads((folder / "votes.json").read_text())
    assert summary["votes"] == 61 and summary["right_or_flagged"]["purifier"]["share"] == voted(margin)
    assert summary["right_or_flagged"]["purifier_one_draw"]["share"] == one_draw(margin)
    refusals = [(["--votes", "5"], "noise:SIGMA"), (["--votes", "0", "--purifier", "noise"], "--votes")]
    for more, words in refusals:
        one_error(run(*asked, "-o", "none", *more, cwd=folder), 2, words)


def test_a_certified_radius_is_that_of_a_linear_classifier_and_no_more(run, digits, linear):
    """Its smoothed classifier is itself, and the true radius the margin; what is certified stays below, and comes near to it, but
    for what so many votes can tell."""
    folder = digits[0]
    margin, _, labels = linear
    sigma, votes, certainty = 0.08, 2000, 0.99
    done = run("ae-attack", "linear.pt", "middle.npy", "--labels", "middle.csv", "--eps", "0", "--attack", "noise", "--certify", sigma,
               "--votes", votes, "--certainty", certainty, "-o", "certified", "--force", cwd=folder)
    assert done.code == 0 and "certified with noise of 0.08" in done.stdout, done
    with open(folder / "certified/certified.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["class"]) for row in rows] == list(labels)
    radius = np.array([float(row["radius"] or 0) for row in rows])
    decided = np.array([row["predicted"] != "" for row in rows])
    assert np.array_equal(decided, radius > 0)
    right = np.array([row["predicted"] == row["class"] for row in rows])
    # With a chance of 1 % each at most, above the margin, or of the other class.
    assert (radius[right] > margin[right]).sum() + (decided & ~right).sum() <= binom.ppf(0.9999, len(rows), 1 - certainty)
    expected = np.array([radius_of(round(votes * p), votes, sigma, certainty) for p in normal.cdf(margin / sigma)])
    assert np.abs(np.median(radius - expected)) < 0.1 * sigma and np.abs(radius - expected).max() < sigma
    assert radius.max() <= radius_of(votes, votes, sigma, certainty) * 1.000001
    report = json.loads((folder / "certified/report.json").read_text())["certified"]
    assert (report["sigma"], report["votes"], report["confidence"], report["undecided"]) == (sigma, votes, certainty, (~decided).sum())
    for row in report["rows"]:
        assert row["accuracy"] == pytest.approx((right & (radius >= row["radius"])).mean())
    assert [row["radius"] for row in report["rows"]] == [0, 0.25, 0.5, 0.75, 1] and 0.5 < report["rows"][0]["accuracy"]


def radius_of(agree, votes, sigma, certainty):
    """Cohen, Rosenfeld and Kolter 2019."""
    low = beta.ppf(1 - certainty, agree, votes - agree + 1) if agree > 0 else 0
    return sigma * normal.ppf(low) if low > 0.5 else 0


def test_a_certificate_is_of_what_stands_before_the_classifier(run, digits):
    """No attack of l2 within the radius turns what was certified behind the purifier: random ones here, by other draws."""
    folder, network, images, labels = digits
    done = run("ae-attack", "clf.pt", "test.npy", "--labels", "labels.csv", "--eps", "0", "--attack", "noise", "--certify", "0.25",
               "--votes", "400", "--through", "model", "--first", "40", "-o", "behind", "--force", "-q", cwd=folder)
    assert done.code == 0, done
    with open(folder / "behind/certified.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40 and np.mean([row["predicted"] == row["class"] for row in rows]) > 0.7
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 1, (40, 8, 8))
    steps *= np.array([float(row["radius"] or 0) for row in rows])[:, None, None] / np.sqrt((steps**2).sum((1, 2), keepdims=True))
    np.save(folder / "near.npy", np.repeat((images[:40, 0].numpy() + steps).clip(0, 1), 60, 0).astype(np.float32))
    assert run("ae-purify", "model", "near.npy", "-o", "near_pure.npy", "--purifier", "noise:0.25", "--purifier", "reconstruction",
               "--force", "-q", cwd=folder).code == 0
    with torch.no_grad():
        classes = network(torch.tensor(np.load(folder / "near_pure.npy")).unsqueeze(1).clamp(0, 1)).argmax(1).numpy().reshape(40, 60)
    for row, votes in zip(rows, classes):
        if row["predicted"]:
            assert np.bincount(votes, minlength=10).argmax() == int(row["predicted"]), row


def test_a_projection_is_attacked_through_its_exact_gradient(attack, run, digits):
    folder, network, images, labels = digits
    rows, report = attack("--eps", "0.15", "--attack", "pgd", "--steps", "10", "--through", "model", "--purifier", "pca:20", "--clean",
                          "train.npy")
    adaptive = the_row(rows, "purifier", "pgd", 0.15, "purifier")
    assert adaptive["backward"] == "exact" and "forward_differs" not in report["flags"]
    assert float(adaptive["accuracy"]) < accuracy(rows, "classifier", "pgd", 0.15, "purifier") - 0.1
    # What NumPy makes of the images found.
    found = np.load(folder / "out/purifier-pgd-linf-0.15.npy").reshape(200, 64).astype(float)
    clean = np.load(folder / "train.npy").reshape(-1, 64).astype(float)
    axes = np.linalg.svd(clean - clean.mean(0), full_matrices=False)[2][:20]
    pure = torch.tensor((clean.mean(0) + (found - clean.mean(0)) @ axes.T @ axes).clip(0, 1).astype(np.float32)).reshape(200, 1, 8, 8)
    assert right(network, pure, labels) == pytest.approx(float(adaptive["accuracy"]), abs=0.006)


def test_a_page_shows_what_is_left_and_some_images(run, digits):
    folder, network, images, labels = digits
    np.save(folder / "clean.npy", np.load(folder / "test.npy")[100:])
    done = run("ae-attack", "clf.pt", "test.npy", "--labels", "labels.csv", "--eps", "0.1,0.2", "--attack", "noise,pgd", "--steps", "5",
               "--through", "model", "--detector", "l1", "--clean", "clean.npy", "--false-positives", "0.05", "--certify", "0.25",
               "--votes", "100", "--first", "60", "--page", "page.html", "-o", "paged", "--force", "-q", cwd=folder)
    assert done.code == 0, done
    page = (folder / "page.html").read_text()
    for row in rows_of(folder / "paged"):
        if row["attack"] == "worst":
            assert f"<td class=\"hostile\">{100 * float(row['accuracy']):.1f}%</td>" in page, row
    assert "no check found" in page or "noise_beats_gradient" in page or "beats_white_box" in page
    pictures = [base64.b64decode(found) for found in re.findall(r"data:image/svg\+xml;base64,([^\"]*)", page)]
    assert len(pictures) == 3  # behind the purifier or flagged, behind it, alone
    for picture, threats in zip(pictures, (5, 5, 3)):  # each with the worst
        root = ElementTree.fromstring(picture)
        curves = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("class", "").startswith("band")]
        assert len(curves) == threats
        marks = [e for e in root.iter("{http://www.w3.org/2000/svg}circle")]
        assert len(marks) == 3 * threats  # at 0, which is without an attack, and at two sizes
    # The accuracy of one row is where its mark is.
    eps_02 = float(the_row(rows_of(folder / "paged"), "classifier", "pgd", 0.2, "none")["accuracy"])
    heights = {float(e.get("cy")) for e in ElementTree.fromstring(pictures[2]).iter("{http://www.w3.org/2000/svg}circle")}
    assert any(abs(height - (44 + 250 * (1 - eps_02))) < 0.011 for height in heights)
    small = [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^\"]*)", page)]
    assert len(small) == 8 * 4 and all(found.startswith(b"\x89PNG") for found in small)
    # The first is an image of the input, and beside it is what the attack made of it.
    (folder / "clean.png").write_bytes(small[0])
    (folder / "attacked.png").write_bytes(small[1])
    clean, attacked = read_png(folder / "clean.png") / 255, read_png(folder / "attacked.png") / 255
    distances = np.abs(images[:60, 0].numpy() - clean).max((1, 2))
    assert distances.min() < 0.003
    made = np.load(folder / "paged/purifier+detector-pgd-linf-0.2.npy")[distances.argmin()]
    assert np.abs(made - attacked).max() < 0.003


def test_a_classifier_that_is_not_named_is_missed(run, digits):
    folder = digits[0]

    def refused(code, *words, more=()):
        one_error(run("ae-purify", "model", "test.npy", "-o", "none.npy", *more, cwd=folder), code, *words)
        assert not (folder / "none.npy").exists()

    refused(2, "--labels", "--classifier", more=["--labels", "labels.csv"])
    refused(2, "--detector", "--clean", more=["--classifier", "clf.pt", "--detector", "l1"])
    refused(2, "--votes", "--classifier", more=["--purifier", "noise", "--votes", "3"])
    refused(2, "--votes", "noise:SIGMA", more=["--classifier", "clf.pt", "--votes", "3"])
    refused(2, "--clean", "--detector", more=["--classifier", "clf.pt", "--clean", "test.npy"])
    refused(2, "--detector", '"l3"', more=["--classifier", "clf.pt", "--detector", "l3", "--clean", "test.npy"])
    refused(2, "--detector", "jsd:T", more=["--classifier", "clf.pt", "--detector", "jsd:0", "--clean", "test.npy"])
    refused(2, "--noise", "--detector", more=["--classifier", "clf.pt", "--noise", "0.2"])
    refused(2, "--detector", '"jsd:10"', "twice", more=["--classifier", "clf.pt", "--detector", "jsd,jsd:10", "--clean", "test.npy"])
    np.save(folder / "some.npy", np.load(folder / "test.npy")[:50])
    refused(4, "--clean", "50 images", more=["--classifier", "clf.pt", "--detector", "l1", "--clean", "some.npy"])


class InPlace(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.sub_(0.1).add_(0.1))


class OneImageNever(InPlace):
    def forward(self, x):
        assert x.shape[0] > 1
        return self.network(x)


class NotANumber(InPlace):
    def forward(self, x):
        bright = (x.flatten(1).mean(1) > 0.35).unsqueeze(1)
        return torch.where(bright, torch.full((x.shape[0], 10), float("nan")), self.network(x))


def test_networks_that_change_or_refuse_what_they_are_given(run, digits):
    folder, network, images, labels = digits
    for name, wrapper in (("inplace.pt", InPlace), ("never.pt", OneImageNever), ("nan.pt", NotANumber)):
        save(wrapper(network), folder / name)

    def ask(victim):
        return run("ae-attack", victim, "test.npy", "--labels", "labels.csv", "--eps", "0.1", "--attack", "fgsm", "-o", "odd", "--force",
                   "-q", cwd=folder)

    assert ask("inplace.pt").code == 0
    assert json.loads((folder / "odd/report.json").read_text())["flags"] == []
    one_error(ask("never.pt"), 4, "never.pt", "number of images")
    one_error(ask("nan.pt"), 4, "nan.pt", "not finite")


def test_labels_of_folders_count_where_they_are_classes(run, digits, tmp_path):
    """And nothing is written over the images, clean ones included."""
    folder, network, images, labels = digits
    for i in range(20):
        path = tmp_path / "x" / ("odd" if labels[i] % 2 else "good") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, np.round(images[i, 0].numpy() * 255).astype(np.uint8))
    ask = ["ae-purify", folder / "model", "x", "-o", "p.npy", "--force", "--classifier", folder / "clf.pt", "--table", "t.csv"]
    done = run(*ask)
    assert done.code == 0 and "--classes" in done.stderr, done.stderr
    assert "class" not in (tmp_path / "t.csv").read_text().splitlines()[0].split(",")
    done = run(*ask, "--classes", ",".join(["good", "odd", *"cdefghij"]))
    assert done.code == 0 and "class" in (tmp_path / "t.csv").read_text().splitlines()[0].split(",")
    (tmp_path / "y.csv").write_text("id,label\nnone.png,1\n")
    done = run(*ask, "--labels", "y.csv")
    assert done.code == 0 and "20 images of 20 have no label" in done.stderr, done.stderr
    one = next((tmp_path / "x/odd").glob("*.png"))
    before = one.read_bytes()
    for more in (["--table", one], ["--summary", one]):
        one_error(run(*[word for word in ask if word not in ("--table", "t.csv")], *more, "-q"), 2, "input file")
    clean = ["--detector", "l1", "--clean", tmp_path / "x", "--false-positives", "0.2"]
    one_error(run("ae-purify", folder / "model", folder / "test.npy", "-o", "q.npy", "--force", "--classifier", folder / "clf.pt", *clean,
                  "--table", one, "-q"), 2, "input file")
    assert one.read_bytes() == before


def test_labels_in_order_are_those_of_the_images_that_can_be_read(run, digits, tmp_path):
    folder, network, images, labels = digits
    (tmp_path / "x").mkdir()
    for i in range(6):
        write_png(tmp_path / "x" / f"{i}.png", np.round(images[i, 0].numpy() * 255).astype(np.uint8))
    (tmp_path / "x/2.png").write_bytes(b"no image")
    (tmp_path / "y.csv").write_text("label\n" + "".join(f"{labels[i]}\n" for i in range(6)))
    done = run("ae-attack", folder / "clf.pt", "x", "--labels", "y.csv", "--eps", "0", "--attack", "noise", "--unreadable", "ignore",
               "-o", "out")
    assert done.code == 0, done.stderr
    with open(tmp_path / "out/samples.csv", newline="") as file:
        found = {row["id"]: int(row["label"]) for row in csv.DictReader(file)}
    assert found == {f"{i}.png": int(labels[i]) for i in (0, 1, 3, 4, 5)}


def test_what_does_not_fit_is_one_line(run, digits):
    folder = digits[0]

    def refused(code, *words, victim="clf.pt", images="test.npy", labels="labels.csv", more=()):
        label = ["--labels", labels] if labels else []
        one_error(run("ae-attack", victim, images, *label, *more, "-o", "refused", "--eps", "0.1", cwd=folder), code, *words)
        assert not list(folder.glob("refused/*"))

    refused(2, "--labels", labels=None)
    refused(4, "config.json", "TorchScript", victim="config.json")
    refused(4, "none.pt", victim="none.pt")
    (folder / "few.csv").write_text("label\n1\n2\n")
    refused(4, "few.csv", "2 labels", "200 images", labels="few.csv")
    (folder / "names.csv").write_text("label\n" + "seven\n" * 200)
    refused(4, '"seven"', "--classes", labels="names.csv")
    refused(2, "--attack", '"pdg"', '"pgd"', more=["--attack", "pdg"])
    refused(2, "square", "linf", more=["--attack", "square", "--norm", "l2"])
    refused(2, "--loss", '"hinge"', more=["--loss", "hinge"])
    refused(2, "--purifier", "--through", more=["--purifier", "blur"])
    refused(2, "--among", "nearest", more=["--among", "model"])
    refused(2, "--purifier nearest", "--among PATH", more=["--purifier", "nearest", "--through", "model"])
    refused(2, "latent:STEPS:STARTS", more=["--purifier", "latent:x", "--through", "model"])
    refused(2, "--detector", "--through", more=["--detector", "l1", "--clean", "test.npy"])
    refused(2, "--detector", "--clean", more=["--detector", "l1", "--through", "model"])
    refused(2, "--certainty", "--certify", more=["--certainty", "0.9"])
    refused(2, "--certify", more=["--certify", "0"])
    refused(2, "--lambda", "--detector", more=["--lambda", "1"])
    refused(2, "--lambda", '"-1"', more=["--lambda=-1", "--detector", "l1", "--clean", "test.npy", "--through", "model"])
    refused(2, "--mean", "2 numbers", "1 channel", more=["--mean", "0.5,0.5"])
    refused(2, "--classes", "2 classes", "10", more=["--classes", "a,b"])
    refused(4, "probabilities", more=["--outputs", "probabilities"])
    save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1)), folder / "single.pt")
    refused(4, "single.pt", "1 output", victim="single.pt")
    save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(65, 3)), folder / "wide.pt")
    refused(4, "wide.pt", "[n, 1, 8, 8]", victim="wide.pt")
    np.save(folder / "bright.npy", np.full((3, 8, 8), 3, np.float32))
    (folder / "three.csv").write_text("label\n1\n2\n3\n")
    refused(4, "[0, 1]", images="bright.npy", labels="three.csv")
    assert run("ae-attack", "clf.pt", "test.npy", "--labels", "labels.csv", "-o", "twice", "--eps", "0.1", "--attack", "fgsm", "-q",
               cwd=folder).code == 0
    one_error(run("ae-attack", "clf.pt", "test.npy", "--labels", "labels.csv", "-o", "twice", "--eps", "0.1", cwd=folder), 2, "twice",
              "--force")


def adversarial(folder, **more):
    """The autoencoder's config, but trained under attack, and its name."""
    config = json.loads((folder / "config.json").read_text())
    config["model"] = {"type": "dense_images", "hidden": [64], "latent": 24, "norm": "batch"}
    config["training"] |= {"epochs": 10, "corruption": []}
    config["objective"] = {"type": "adversarial_reconstruction", "classifier": "clf.pt", "eps": 0.25, "steps": 4} | more
    (folder / "adversarial.json").write_text(json.dumps(config))
    return "adversarial.json"


def test_a_purifier_trained_under_attack_withstands_more_of_it(run, attack, digits):
    folder = digits[0]
    figures = {}
    for name, more in (("under", {}), ("plain", {"type": "reconstruction"})):
        if name == "plain":
            config = json.loads((folder / adversarial(folder)).read_text())
            config["objective"] = more
            (folder / "adversarial.json").write_text(json.dumps(config))
        else:
            adversarial(folder)
        trained = run("ae-train", "adversarial.json", "--out", name, "--force", "-q", cwd=folder)
        assert (trained.code, trained.stderr) == (0, "")
        rows, _ = attack("--eps", "0,0.2", "--attack", "pgd", "--steps", "20", "--through", name)
        figures[name] = accuracy(rows, "purifier", "pgd", 0.2, "purifier")
    assert figures["under"] > figures["plain"] + 0.15
    with open(folder / "under/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = [name for name in rows[0] if "cross_entropy" in name]
    assert len(parts) == 2 and all(float(rows[-1][name]) < float(rows[0][name]) for name in parts)
    for row in rows:  # the total is the loss and the weighted part
        assert float(row["train_loss"]) == pytest.approx(float(row["train_mse"]) + 0.05 * float(row["train_cross_entropy"]), rel=1e-5)


@pytest.mark.parametrize("both", [False, True])
def test_training_under_attack_is_repeated_and_continued_to_the_same_bytes(run, digits, both):
    folder = digits[0]
    few = ["--set", "/training/epochs=4", "--set", "/training/checkpoint/epochs=1", "-q"]
    adversarial(folder, train_classifier=both)
    for name in ("first", "second"):
        assert run("ae-train", "adversarial.json", "--out", name, "--force", *few, cwd=folder).code == 0
    assert run("ae-train", "adversarial.json", "--out", "part", "--force", *few, "--set", "/training/epochs=2", cwd=folder).code == 0
    assert run("ae-train", "adversarial.json", "--out", "part", "--resume", *few, cwd=folder).code == 0
    bytes_of = {name: (folder / name / "model.safetensors").read_bytes() for name in ("first", "second", "part")}
    assert bytes_of["first"] == bytes_of["second"] == bytes_of["part"]
    classifiers = [folder / name / "classifier.pt" for name in ("first", "second", "part")]
    assert [file.exists() for file in classifiers] == [both] * 3
    if both:
        numbers = [dict(torch.jit.load(str(file)).named_parameters()) for file in (*classifiers, folder / "clf.pt")]
        assert numbers[0] and all(n.keys() == numbers[0].keys() for n in numbers)
        for name, first in numbers[0].items():
            assert torch.equal(first, numbers[1][name]) and torch.equal(first, numbers[2][name])
            assert not torch.equal(first, numbers[3][name])


def test_a_classifier_trained_with_its_purifier_lowers_the_loss_of_both(run, attack, digits):
    folder = digits[0]
    losses = {}
    for both in (False, True):
        adversarial(folder, train_classifier=both, weight=1)
        trained = run("ae-train", "adversarial.json", "--out", f"pair-{both}", "--force", cwd=folder)
        assert trained.code == 0 and ("classifier.pt: the classifier that was trained with it" in trained.stderr) == both
        with open(folder / f"pair-{both}/metrics.csv", newline="") as file:
            losses[both] = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[True][-1] < 0.95 * losses[False][-1]
    # What is written is what is attacked.
    rows, _ = attack("--eps", "0", "--attack", "pgd", "--through", "pair-True", victim="pair-True")
    network = torch.jit.load(str(folder / "pair-True/classifier.pt"))
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert accuracy(rows, "none", "clean", 0) == pytest.approx(right(network, *digits[2:]), abs=1e-6)


def test_what_cannot_be_trained_under_attack_is_told(run, digits):
    folder = digits[0]
    np.save(folder / "table.npy", np.random.default_rng(0).random((40, 6)))

    def refused(code, *words, change=(), **more):
        adversarial(folder, **more)
        one_error(run("ae-train", "adversarial.json", "--out", "no", "--force", "-q", *change, cwd=folder), code, *words)

    refused(2, "/objective/classifier: not set", classifier="")
    refused(4, "none.pt", classifier="none.pt")
    refused(2, "/objective/mean", "2 numbers, but images have 1 channel", mean=[0.1, 0.2])
    refused(2, '/objective/std: found "0", expected a positive number', std=[0])
    refused(2, "/model/members: this objective trains one network", change=[
        "--set", '/model={"type": "conv", "levels": 1, "width": 4, "members": 2}'])
    refused(2, "/model/type", change=["--set", '/model={"type": "none"}'])
    torch.jit.freeze(torch.jit.load(str(folder / "clf.pt")).eval()).save(str(folder / "frozen.pt"))
    refused(2, "/objective/train_classifier", "has no parameters", classifier="frozen.pt", train_classifier=True)
    refused(2, "adversarial_reconstruction attacks images", change=[
        "--set", '/data={"type": "table", "path": "table.npy"}', "--set", '/model={"type": "dense"}', "--set", '/score={"type": "loss"}'])
