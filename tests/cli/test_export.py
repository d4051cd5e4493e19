"""ae-export: the module against ae-embed, ae-score and ae-purify, read by PyTorch; input for PLUMED, read by NumPy."""

import csv
import io
import json
import re

import numpy as np
import pytest
from count_matrices import simulated, write_h5ad
from pictures import write_png
from support import CONFIGS, SOURCE, needs_torch, one_error, read_safetensors, rows_of, write_config

torch = pytest.importorskip("torch")

pytestmark = needs_torch

COLORS = ["red", "green", "blue"]


def table(path, rows=160, seed=1, *, categories=False, holes=0.0, constant=True, unit=False):
    """Writes numbers that float32 holds exactly, one column far from 0 and one skewed, and returns them as the module
    takes them: NaN where nothing is known, categories as the place of their level."""
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(rows, 2))
    values = hidden @ generator.normal(size=(2, 6)) + 0.3 * generator.normal(size=(rows, 6))
    values[:, 1] = 5000 + 0.5 * values[:, 1]
    values[:, 2] = np.exp(values[:, 2])
    if unit:
        values = 1 / (1 + np.exp(-values + values.mean(0)))
    if constant:
        values[:, 4] = 0.1
    values = values.astype(np.float32).astype(np.float64)
    names = [f"a{j}" for j in range(6)]
    texts = [[repr(float(cell)) for cell in row] for row in values]
    if categories:
        codes = np.argmax(hidden @ generator.normal(size=(2, 3)), 1)
        codes[:3] = 0, 1, 2
        names.insert(2, "color")
        values = np.insert(values, 2, codes, 1)
        for row, code in zip(texts, codes):
            row.insert(2, COLORS[code])
    gone = generator.random(values.shape) < holes
    gone[:4] = False
    for row, at in zip(texts, gone):
        row[:] = ["" if hole else cell for cell, hole in zip(row, at)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *texts])
    if categories:  # levels are sorted
        values[:, 2] = np.array([2, 1, 0])[values[:, 2].astype(int)]
    return np.where(gone, np.nan, values)


def train(run, folder, model, *, data=(), loss=None, score="loss", epochs=8, path="t.csv"):
    config = {
        "data": {"path": path, **dict(data)},
        "model": model,
        "training": {"epochs": epochs, "learning_rate": 0.01},
        "score": {"type": score},
    }
    if loss is not None:
        config["loss"] = {"terms": loss}
    done = run("ae-train", write_config(folder / "c.json", config), "--out", "m", "--force", "-q")
    assert done.code == 0, done.stderr


def export(run, folder, *more):
    done = run("ae-export", "m", "--torchscript", "m.pt", "--force", *more)
    assert (done.code, done.stdout, done.stderr) == (0, "", ""), done
    return torch.jit.load(str(folder / "m.pt"))


def said_by_programs(run, folder, path="t.csv"):
    assert run("ae-embed", "m", path, "-o", "z.npy", "-q", "--force").code == 0
    scored = run("ae-score", "m", path, "-q")
    assert scored.code == 0, scored.stderr
    return np.load(folder / "z.npy"), np.array([float(row["score"]) for row in rows_of(scored.stdout)])


def close(found, truth):
    """Both are rounded to float32 on their way."""
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-5 * np.sqrt(np.mean(np.square(truth))))


def check(run, folder, values, module=None):
    """The module says what the programs say, for any number of rows, and knows its own derivatives."""
    module = module or export(run, folder)
    x = torch.tensor(values, dtype=torch.float32)
    codes, scores = said_by_programs(run, folder)
    both = module(x)
    assert both.dtype == torch.float32 and both.shape == (len(values), codes.shape[1] + 1)
    close(both[:, :-1].numpy(), codes)
    np.testing.assert_allclose(both[:, -1].numpy(), scores, rtol=1e-5)
    assert scores.std() > 1e-3 * scores.mean() and codes.std(0).min() > 1e-4
    close(module.encode(x).numpy(), codes)
    close(module.score(x).numpy(), scores)
    exact = torch.tensor(values)
    torch.testing.assert_close(module.decode(module.encode(exact)), module.reconstruct(exact), equal_nan=False)
    one = module(x[:1])
    assert one.shape == (1, codes.shape[1] + 1) and one.is_contiguous()
    close(one.numpy(), both[:1].numpy())
    gradients(module, exact[:6])
    return module


def gradients(module, x):
    """Of codes and score, where everything is known, against differences: beside the values of training, where scaling
    by quantiles has its kinks, and not of a constant column, where any step is an alarm."""
    x = x[~torch.isnan(x).any(1)].double()
    x = x + 0.03 * x.std(0) * torch.linspace(-1, 1, x.numel()).reshape(x.shape)
    varying = torch.nonzero(x.std(0) > 0).flatten()
    assert len(x) > 1 and len(varying) > 3

    def answers(some):
        return module(x.index_copy(1, varying, some))

    some = x[:, varying].requires_grad_(True)
    assert torch.autograd.gradcheck(answers, (some,), eps=1e-6, atol=1e-5, rtol=1e-3)
    (slope,) = torch.autograd.grad(answers(some)[:, -1].sum(), some)
    assert slope.abs().sum() > 0


# --- What is covered ---

DENSE = {"type": "dense", "hidden": [9], "latent": 3, "activation": "tanh"}
ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
NORMS = ["none", "batch", "layer"]
SCALINGS = ["standard", "robust", "quantile", "none"]
FAMILIES = {
    "dense": DENSE,
    "deep": {"type": "dense", "hidden": [12, 7], "latent": 2, "activation": "gelu"},
    "linear": {"type": "linear", "latent": 2},
    "variational": {"type": "variational", "hidden": [8], "latent": 2, "activation": "silu"},
    "factors": {"type": "factors", "hidden": [], "latent": 2},
    "factors-deep": {"type": "factors", "hidden": [8], "latent": 2},
    "tied": {**DENSE, "tied": True, "hidden": [9, 5]},
    "members": {**DENSE, "members": 3, "norm": "layer"},
    "members-batch": {**DENSE, "members": 2, "norm": "batch"},
    "members-variational": {"type": "variational", "hidden": [8], "latent": 2, "activation": "elu", "members": 2},
    "members-factors": {"type": "factors", "hidden": [8], "latent": 2, "members": 2},
}
LOSSES = {
    "mse": [{"type": "mse", "weight": 2}],
    "l1": [{"type": "l1"}],
    "huber": [{"type": "huber", "delta": 0.3}],
    "bce": [{"type": "bce"}],
    "value": [{"type": "value", "path": "q.json"}, {"type": "mse"}],
    "two of one column": [{"type": "mse", "columns": ["a0", "a1", "a3"], "weight": 0.5}, {"type": "l1"}],
    "two heads": [{"type": "bce", "columns": ["a5", "a2"]}, {"type": "huber", "columns": ["a0", "a1", "a3", "a5"]}],
}


# Of images and counts, or of codes alone: no part of what is exported.
OTHER_FAMILIES = {"backbone", "backbone_variational", "dense_images", "conv", "unet", "conv_variational", "none"}
OTHER_TERMS = {"kl", "ssim", "ms_ssim", "gradient", "feature", "poisson", "nb", "zinb", "hurdle",
               # of backbones, which ae-export refuses
               "kabsch_mse", "geometry", "bond", "angle", "planarity", "clash", "torsion"}


def test_every_choice_is_swept(run):
    """What is new in a registry is to be exported, or to be named above."""
    settings = json.loads(run("ae-train", "--print-schema").stdout)["properties"]

    def types(variants):
        return {variant["properties"]["type"]["const"] for variant in variants}

    families, terms = settings["model"]["oneOf"], settings["loss"]["properties"]["terms"]["items"]["oneOf"]
    assert types(families) == {model["type"] for model in FAMILIES.values()} | OTHER_FAMILIES
    assert types(terms) == {term["type"] for loss in LOSSES.values() for term in loss} | {"cross_entropy"} | OTHER_TERMS
    dense = families[0]["properties"]
    assert (dense["activation"]["enum"], dense["norm"]["enum"]) == (ACTIVATIONS, NORMS)
    assert set(settings["data"]["oneOf"][0]["properties"]["scaling"]["enum"]) == set(SCALINGS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(run, tmp_path, family):
    values = table(tmp_path / "t.csv", constant=False)
    train(run, tmp_path, FAMILIES[family])
    check(run, tmp_path, values)


@pytest.mark.parametrize("activation, norm", [(each, NORMS[i % 3]) for i, each in enumerate(ACTIVATIONS)])
def test_every_activation_and_norm(run, tmp_path, activation, norm):
    values = table(tmp_path / "t.csv")
    train(run, tmp_path, {**DENSE, "activation": activation, "norm": norm})
    check(run, tmp_path, values)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_scaling_also_of_values_unlike_those_of_training(run, tmp_path, scaling):
    values = table(tmp_path / "t.csv", unit=scaling == "none")
    train(run, tmp_path, DENSE, data={"scaling": scaling})
    module = check(run, tmp_path, values)
    # Far out on both sides, beyond what scaling goes to, and where the constant column is not what it was.
    far = np.float32([[9, 6000, 900, -7, 0.1, 3], [-9, 0, -5, 7, 0.2, 0], [1e20, 5000, 1, 0, -3, 0]]).astype(float)
    lines = [",".join(f"a{j}" for j in range(6)), *(",".join(map(repr, map(float, row))) for row in far)]
    (tmp_path / "far.csv").write_text("\n".join(lines) + "\n")
    codes, scores = said_by_programs(run, tmp_path, "far.csv")
    found = module(torch.tensor(far, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found[:, :-1], codes, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(found[:, -1], scores, rtol=2e-5)


@pytest.mark.parametrize("loss, members", [*((each, 1) for each in LOSSES), ("two heads", 2)])
def test_every_loss_of_numbers(run, tmp_path, loss, members):
    values = table(tmp_path / "t.csv", unit=True, constant=False)
    terms = LOSSES[loss]
    (tmp_path / "q.json").write_text(json.dumps({"layers": [{"weight": [[1, -1, 0.5, 0, 2, 0.1]], "activation": "tanh"}]}))
    if loss == "two heads":
        terms = [*terms, {"type": "mse", "columns": ["a4"]}]
    train(run, tmp_path, {**DENSE, "members": members}, data={"scaling": "none"}, loss=terms)
    check(run, tmp_path, values)


@pytest.mark.parametrize("observed_input", ["yes", "no"])
@pytest.mark.parametrize("model", [DENSE, {**DENSE, "members": 2}, {"type": "factors", "hidden": [6], "latent": 2}],
                         ids=["dense", "members", "factors"])
def test_cells_that_are_not_observed(run, tmp_path, model, observed_input):
    values = table(tmp_path / "t.csv", holes=0.3)
    assert np.isnan(values).any() and (np.isnan(values).sum(1) < 6).all()
    if model["type"] == "dense":
        model = {**model, "observed_input": observed_input}
    elif observed_input == "no":
        pytest.skip("factor analysis has no such setting")
    train(run, tmp_path, model)
    module = check(run, tmp_path, values)
    x = torch.tensor(values[5:40], requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    assert torch.isfinite(slope).all() and (slope[torch.isnan(x)] == 0).all()
    nothing = module.score(torch.full((1, 6), float("nan")))
    assert nothing.item() == 0


@pytest.mark.parametrize("model", [
    DENSE,
    {**DENSE, "embedding": 2, "observed_input": "yes"},
    {**DENSE, "embedding": 2, "members": 2},
    {"type": "factors", "hidden": [6], "latent": 2, "embedding": 3},
    {"type": "linear", "latent": 2},
], ids=["one-hot", "embedding", "members", "factors", "linear"])
def test_categories_are_numbers_of_levels(run, tmp_path, model):
    values = table(tmp_path / "t.csv", categories=True, holes=0.1)
    train(run, tmp_path, model, data={"scaling": "quantile"})
    module = export(run, tmp_path)
    assert module.levels == {"color": sorted(COLORS)}
    assert module.columns == ["a0", "a1", "color", "a2", "a3", "a4", "a5"]
    codes, scores = said_by_programs(run, tmp_path)
    both = module(torch.tensor(values, dtype=torch.float32)).numpy()
    close(both[:, :-1], codes)
    np.testing.assert_allclose(both[:, -1], scores, rtol=1e-5)
    back = module.reconstruct(torch.tensor(values))[:, 2].numpy()
    assert set(back) <= {0.0, 1.0, 2.0}
    # A level that training did not see.
    lines = (tmp_path / "t.csv").read_text().splitlines()[:2]
    cells = lines[1].split(",")
    (tmp_path / "new.csv").write_text(lines[0] + "\n" + ",".join([*cells[:2], "violet", *cells[3:]]) + "\n")
    codes, scores = said_by_programs(run, tmp_path, "new.csv")
    for code in (3, 17, -1):
        row = np.array([*values[0][:2], code, *values[0][3:]])
        found = module(torch.tensor(row[None], dtype=torch.float32)).numpy()
        np.testing.assert_allclose(found[0, -1], scores[0], rtol=1e-5)
        np.testing.assert_allclose(found[:, :-1], codes, rtol=1e-4, atol=1e-5)


def test_reconstructions_are_those_of_ae_purify(run, tmp_path):
    values = table(tmp_path / "t.csv")
    train(run, tmp_path, {**DENSE, "members": 2}, data={"scaling": "quantile"})
    module = export(run, tmp_path)
    purified = run("ae-purify", "m", "t.csv", "-q")
    rows = [[float(row[f"a{j}"]) for j in range(6)] for row in rows_of(purified.stdout)]
    np.testing.assert_allclose(module.reconstruct(torch.tensor(values)).numpy(), rows, rtol=1e-4, atol=1e-4)


def test_float64_keeps_the_digits_of_columns_far_from_zero(run, tmp_path):
    values = table(tmp_path / "t.csv", constant=False)
    values[:, 1] += 1e9
    lines = [",".join(f"a{j}" for j in range(6)), *(",".join(map(repr, map(float, row))) for row in values)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    train(run, tmp_path, DENSE, data={"columns": {"a*": "numeric"}})
    module = export(run, tmp_path)
    _, scores = said_by_programs(run, tmp_path)
    exact = module.score(torch.tensor(values))
    assert exact.dtype == torch.float64
    np.testing.assert_allclose(exact.numpy(), scores, rtol=1e-5)
    assert np.abs(module.score(torch.tensor(values).float()).numpy() / scores - 1).max() > 1  # steps of 64


def test_it_works_as_plumed_uses_it(run, tmp_path):
    """Frozen and optimised; derivatives of each output alone for one row of float32."""
    values = table(tmp_path / "t.csv")
    train(run, tmp_path, {**DENSE, "observed_input": "yes"}, data={"scaling": "quantile"})
    module = export(run, tmp_path)
    frozen = torch.jit.optimize_for_inference(torch.jit.freeze(module.eval()))
    for row in values[:5]:
        x = torch.tensor(row[None], dtype=torch.float32, requires_grad=True)
        output, same = frozen(x), module(x)
        torch.testing.assert_close(output, same)
        for j in range(4):
            given = torch.ones(1).expand(1, 1)
            slope, truth = (torch.autograd.grad([y[:, j : j + 1]], [x], [given], retain_graph=True)[0] for y in (output, same))
            torch.testing.assert_close(slope, truth)
            assert slope.dtype == torch.float32 and slope.abs().sum() > 0


def test_a_row_of_another_width_is_refused_by_the_module(run, tmp_path):
    table(tmp_path / "t.csv")
    train(run, tmp_path, DENSE)
    module = export(run, tmp_path)
    for wrong in (torch.zeros(1, 5), torch.zeros(1, 1), torch.zeros(6)):
        with pytest.raises(Exception, match=r"expected \[n, 6\]"):
            module(wrong)
    with pytest.raises(Exception, match=r"expected \[n, 3\]"):
        module.decode(torch.zeros(2, 4))


def test_in_float32_it_is_nearly_the_same(run, tmp_path):
    values = table(tmp_path / "t.csv")
    train(run, tmp_path, {**DENSE, "norm": "batch"})
    module, x = export(run, tmp_path), torch.tensor(values, dtype=torch.float32)
    torch.testing.assert_close(module.float()(x), export(run, tmp_path)(x), rtol=1e-2, atol=1e-2)


# --- Files ---


def test_the_same_model_gives_the_same_bytes_and_tells_where_it_is_from(run, trained, tmp_path):
    for name in ("one.pt", "two.pt"):
        assert run("ae-export", trained, "--torchscript", name) == (0, "", "")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    module = torch.jit.load(str(tmp_path / "one.pt"))
    assert module.made_by.startswith("ae-export ") and len(module.columns) == 30
    assert module.columns == (CONFIGS / "data/wdbc.csv").read_text().splitlines()[0].split(",")[:30]


def test_outputs_are_refused_without_force_and_whole_or_not_there(run, trained, tmp_path):
    (tmp_path / "m.pt").write_text("mine")
    one_error(run("ae-export", trained, "--torchscript", "m.pt"), 2, "m.pt", "--force")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/plumed.dat").write_text("mine")
    one_error(run("ae-export", trained, "--plumed", "out"), 2, "plumed.dat", "--force")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["plumed.dat"]
    assert (tmp_path / "out/plumed.dat").read_text() == "mine" == (tmp_path / "m.pt").read_text()
    done = run("ae-export", trained, "--plumed", "out", "--torchscript", "m.pt", "--force", "-q")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out/model.pt").read_bytes() == (tmp_path / "m.pt").read_bytes()
    one_error(run("ae-export", trained, "--torchscript", trained / "model.safetensors", "--force"), 2, "input")


def test_what_cannot_be_exported_is_refused_in_one_line(run, trained, tmp_path):
    one_error(run("ae-export", trained), 2, "--torchscript", "--plumed")
    one_error(run("ae-export", trained, "--torchscript", "x.pt", "--wall", "1"), 2, "--wall")
    for wall in ("0", "-1", "nan", "x"):
        one_error(run("ae-export", trained, "--plumed", "x", "--wall", wall), 2, "--wall")
    one_error(run("ae-export", trained, "--plumed", "x", "--wall", "1", "--no-score"), 2, "--no-score")
    one_error(run("ae-export", "none", "--torchscript", "x.pt"), 4, "none")
    table(tmp_path / "t.csv", categories=True)
    train(run, tmp_path, DENSE)
    one_error(run("ae-export", "m", "--plumed", "x"), 2, '"color"', "ignore")
    train(run, tmp_path, {"type": "none"}, score="neighbours")
    one_error(run("ae-export", "m", "--torchscript", "x.pt"), 2, "/model/type", "no network")
    train(run, tmp_path, DENSE, score="mahalanobis")
    one_error(run("ae-export", "m", "--torchscript", "x.pt"), 2, '"mahalanobis"', "--no-score")
    counts, types = simulated(120, 60, 1)
    write_h5ad(tmp_path / "in.h5ad", counts, label=[f"type{t}" for t in types])
    config = {"data": {"type": "counts", "path": "in.h5ad", "genes": 30}, "training": {"epochs": 1}}
    assert run("ae-train", write_config(tmp_path / "c.json", config), "--out", "counts", "-q").code == 0
    one_error(run("ae-export", "counts", "--torchscript", "x.pt"), 2, "counts", "tables")
    (tmp_path / "good").mkdir()
    for i in range(6):
        write_png(tmp_path / f"good/{i}.png", np.random.default_rng(i).integers(0, 255, (16, 16), np.uint8))
    config = {"data": {"type": "images", "path": "good"}, "model": {"type": "conv", "levels": 2, "width": 4, "code": 2},
              "training": {"epochs": 1, "validation_fraction": 0.34}}
    done = run("ae-train", write_config(tmp_path / "c.json", config), "--out", "images", "-q")
    assert done.code == 0, done.stderr
    one_error(run("ae-export", "images", "--torchscript", "x.pt"), 2, "images", "tables")
    assert not (tmp_path / "x").exists() and not (tmp_path / "x.pt").exists()


def test_without_the_score_codes_and_reconstructions_are_left(run, tmp_path):
    values = table(tmp_path / "t.csv")
    train(run, tmp_path, DENSE, score="mahalanobis")
    module = export(run, tmp_path, "--no-score")
    x = torch.tensor(values, dtype=torch.float32)
    codes, _ = said_by_programs(run, tmp_path)
    close(module(x).numpy(), codes)
    assert not hasattr(module, "score") and module.reconstruct(x).shape == x.shape
    assert run("ae-export", "m", "--plumed", "p", "--no-score", "-q").code == 0
    text = (tmp_path / "p/plumed.dat").read_text()
    assert "UPPER_WALLS" not in text and "ARG=cv.node-0,cv.node-1,cv.node-2 " in text


# --- PLUMED ---


def actions(text):
    """{label: (action, {keyword: value})} of an input file, comments left out, "..." joined."""
    found, words = {}, []
    open_block = False
    for line in text.splitlines():
        line = line.split("#")[0].split()
        if not line:
            continue
        if open_block and line == ["..."]:
            open_block = False
        elif line[-1] == "...":
            words, open_block = line[:-1], True
            continue
        else:
            words = words + line if open_block else line
        if open_block:
            continue
        label = words.pop(0)[:-1] if words[0].endswith(":") else words[0]
        found[label] = words[0], dict(word.split("=", 1) for word in words[1:])
    return found


def ann(action, x):
    """The action ANN, from its description."""
    numbers = {key: np.array(value.split(","), float) for key, value in action.items() if key.startswith(("W", "B"))}
    nodes = [int(n) for n in action["NUM_NODES"].split(",")]
    functions = action["ACTIVATIONS"].split(",")
    assert int(action["NUM_LAYERS"]) == len(nodes) == len(functions) + 1 == len(numbers) // 2 + 1
    for layer, function in enumerate(functions):
        weights = numbers[f"WEIGHTS{layer}"].reshape(nodes[layer + 1], nodes[layer])
        x = {"Tanh": np.tanh, "Linear": lambda y: y}[function](x @ weights.T + numbers[f"BIASES{layer}"])
    return x


ANN_MODELS = {
    "dense": DENSE,
    "batch": {**DENSE, "hidden": [8, 5], "norm": "batch", "observed_input": "yes"},
    "variational": {"type": "variational", "hidden": [8], "latent": 2, "activation": "tanh"},
    "linear": {"type": "linear", "latent": 2},
    "factors": {"type": "factors", "hidden": [6], "latent": 2},
}


@pytest.mark.parametrize("model", ANN_MODELS)
def test_the_text_form_gives_the_codes(run, tmp_path, model):
    values = table(tmp_path / "t.csv")
    train(run, tmp_path, ANN_MODELS[model])
    assert run("ae-export", "m", "--plumed", "p") == (0, "", "")
    name, action = actions((tmp_path / "p/plumed-ann.dat").read_text())["ann"]
    assert name == "ANN" and action["ARG"] == "a0,a1,a2,a3,a4,a5"
    codes, _ = said_by_programs(run, tmp_path)
    close(ann(action, values), codes)


@pytest.mark.parametrize("model, data, why", [
    ({**DENSE, "activation": "gelu"}, {}, '"gelu"'),
    ({**DENSE, "norm": "layer"}, {}, "layer normalisation"),
    ({**DENSE, "members": 2}, {}, "members"),
    ({**DENSE, "hidden": [20000]}, {}, "numbers"),
    (DENSE, {"scaling": "quantile"}, "quantiles"),
], ids=["activation", "norm", "members", "large", "quantiles"])
def test_what_the_text_form_cannot_say_is_told_and_the_rest_written(run, tmp_path, model, data, why):
    table(tmp_path / "t.csv")
    train(run, tmp_path, DENSE)
    assert run("ae-export", "m", "--plumed", "p") == (0, "", "")
    train(run, tmp_path, model, data=data, epochs=1)
    for name in ("model.pt", "plumed.dat"):
        (tmp_path / "p" / name).unlink()
    one_error(run("ae-export", "m", "--plumed", "p"), 2, "plumed-ann.dat", "--force")
    done = run("ae-export", "m", "--plumed", "p", "--force")
    assert done.code == 0 and done.stderr.count("\n") == 1 and "plumed-ann.dat is not written" in done.stderr
    assert why in done.stderr
    assert {p.name for p in (tmp_path / "p").iterdir()} == {"model.pt", "plumed.dat"}  # none of an earlier model


def test_the_input_biases_the_code_and_walls_the_loss(run, tmp_path):
    values = table(tmp_path / "t.csv", rows=3000)
    train(run, tmp_path, DENSE, epochs=3)
    assert run("ae-export", "m", "--plumed", "p") == (0, "", "")
    text = (tmp_path / "p/plumed.dat").read_text()
    found = actions(text)
    assert found["cv"] == ("PYTORCH_MODEL", {"FILE": "model.pt", "ARG": "a0,a1,a2,a3,a4,a5"})
    assert found["opes"][0] == "OPES_METAD" and found["opes"][1]["ARG"] == "cv.node-0,cv.node-1,cv.node-2"
    assert found["PRINT"][1]["ARG"] == "cv.*,opes.bias" and "wall" not in found
    suggested = actions(text.replace("#wall:", "wall:"))["wall"]
    at = float(suggested[1]["AT"])
    metadata, _ = read_safetensors(tmp_path / "m/model.safetensors")
    calibration = np.array(json.loads(metadata["calibration"]))
    assert len(calibration) == 600 and np.isclose(at, calibration.max())  # the 599.4th of them
    assert run("ae-export", "m", "--plumed", "p", "--wall", "0.25", "--force", "-q").code == 0
    found = actions((tmp_path / "p/plumed.dat").read_text())
    assert found["wall"] == ("UPPER_WALLS", {"ARG": "cv.node-3", "AT": "0.25", "EPS": "0.25", "KAPPA": "100", "EXP": "2"})
    assert found["PRINT"][1]["ARG"] == "cv.*,opes.bias,wall.bias"
    module = torch.jit.load(str(tmp_path / "p/model.pt"))
    assert module(torch.tensor(values[:1]).float()).shape == (1, 4)


def test_columns_that_are_no_labels_get_places_to_fill_in(run, tmp_path):
    values = table(tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[0] = "cv,mean radius,3rd,phi.x,x2,phi.y"
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    train(run, tmp_path, DENSE)
    assert run("ae-export", "m", "--plumed", "p") == (0, "", "")
    text = (tmp_path / "p/plumed.dat").read_text()
    found = actions(text)
    assert found["cv_"][1]["ARG"] == "cv,x2_,x3,phi.x,x2,phi.y"
    assert found["opes"][1]["ARG"] == "cv_.node-0,cv_.node-1,cv_.node-2"
    assert '"mean radius"' in text and '"3rd"' in text
    readers = re.findall(r"(?m)^#(\w+): READ FILE=COLVAR VALUES=(\S+)", text)
    assert readers == [("cv", "cv"), ("x2_", "x2_"), ("x3", "x3"), ("phi", "phi.x,phi.y"), ("x2", "x2")]
    assert torch.jit.load(str(tmp_path / "p/model.pt")).columns[1] == "mean radius" and len(values) == 160


def test_the_example_of_the_page_runs(run, trained, tmp_path):
    page = (SOURCE / "docs/export.md").read_text()
    (program,) = re.findall(r"(?ms)^```python\n(.*?)^```", page)
    assert run("ae-export", trained, "--torchscript", "wdbc.pt") == (0, "", "")
    lines = (CONFIGS / "data/wdbc.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n")
    found = {}
    exec(program.replace("wdbc.pt", str(tmp_path / "wdbc.pt")).replace("rows.csv", str(tmp_path / "rows.csv")), found)
    scored = run("ae-score", trained, CONFIGS / "data/wdbc.csv", "-q").stdout
    scores = [float(row["score"]) for row in csv.DictReader(io.StringIO(scored))]
    np.testing.assert_allclose(found["scores"].numpy(), scores, rtol=1e-5)
