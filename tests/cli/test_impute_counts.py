"""ae-impute on counts: what is filled, in which unit and form, and how it is judged."""

import csv
import gzip
import json
import shutil
import subprocess

import numpy as np
import pytest
from count_matrices import names, simulated, write_folder, write_h5ad
from support import CONFIGS, needs_torch, one_error, write_config

h5py = pytest.importorskip("h5py")
pytestmark = needs_torch

CELLS, GENES, READ = 240, 150, 60


@pytest.fixture(scope="module")
def made(tmp_path_factory, bin_folder):
    """Counts of two types of cells, a model of them by the recipe, and one that takes zeros for missing."""
    folder = tmp_path_factory.mktemp("impute_counts")
    counts, _ = simulated(CELLS, GENES, 3)
    counts[:, 7] = 0
    write_folder(folder / "cells", counts)
    settings = ["--set", f"/data/genes={READ}", "--set", "/training/epochs=60", "--set", "/training/batch_size=32"]
    train = [bin_folder / "ae-train", CONFIGS / "scrna-impute.json", "--data", folder / "cells", "--out", folder / "m"]
    subprocess.run([*train, "-q", *settings], check=True, timeout=300)
    write_config(folder / "missing.json", {
        "data": {"type": "counts", "path": "cells", "genes": READ, "zero_as_missing": True},
        "model": {"type": "dense", "hidden": [16], "latent": 3},
        "training": {"epochs": 20, "batch_size": 32, "seed": 0, "corruption": [{"type": "mask", "rate": 0.3}]},
    })
    train = [bin_folder / "ae-train", folder / "missing.json", "--out", folder / "missing", "-q"]
    subprocess.run(train, check=True, timeout=300)
    return folder, counts


def filled(run, folder, *arguments, model="m", out="out.npy"):
    told = run("ae-impute", folder / model, folder / "cells", "-o", folder / out, "--force", *arguments)
    assert told.code == 0, told.stderr
    return (np.load(folder / out) if out.endswith(".npy") else None), told.stderr


def test_counts_stay_and_zeros_are_filled_in_all_modes(run, made):
    folder, counts = made
    expected, told = filled(run, folder, "--all-genes")
    assert f"{GENES - READ} of {GENES} genes are none that the network reads" in told
    conditional, _ = filled(run, folder, "--mode", "conditional")
    gated, _ = filled(run, folder, "--mode", "gated")
    read = (expected != counts).any(0)
    assert READ - 3 <= read.sum() <= READ  # a gene may have no zeros to fill
    for values in (expected, conditional, gated):
        assert values.shape == counts.shape
        assert (values[counts > 0] == counts[counts > 0]).all()
        assert (values[:, ~read] == counts[:, ~read]).all()
        assert (values >= 0).all()
    zeros = (counts == 0) & read
    # Where there is anything it is more than what is to be expected; a gate lets either that or nothing through.
    assert (conditional[zeros] >= expected[zeros] - 1e-5).mean() > 0.99
    passed = gated[zeros] > 0
    assert 0 < passed.mean() < 1
    assert (gated[zeros][passed] == conditional[zeros][passed]).all()
    # Expected counts put in about what is there; given that there is anything, far more.
    assert expected[zeros].sum() < 0.7 * counts[:, read].sum()
    assert conditional[zeros].sum() > 1.5 * expected[zeros].sum()


def test_the_files_of_a_folder_of_counts_are_not_written_over(run, made, tmp_path):
    folder, _ = made
    shutil.copytree(folder / "cells", tmp_path / "cells")
    files = {path: path.read_bytes() for path in (tmp_path / "cells").iterdir()}
    assert len(files) == 3
    for path in files:
        told = run("ae-impute", folder / "m", "cells", "-o", f"cells/{path.name}", "--force", "-q")
        one_error(told, 2, f"cells/{path.name}", "is an input file")
    spread = ["--samples", "2", "--spread", f"cells/{path.name}"]
    told = run("ae-impute", folder / "m", "cells", "-o", "out.npy", *spread, "--force", "-q")
    one_error(told, 2, "--spread", f"cells/{path.name}", "is an input file")
    assert {path: path.read_bytes() for path in (tmp_path / "cells").iterdir()} == files


def test_units_follow_from_size_factors(run, made):
    folder, counts = made
    total = counts.sum(1)
    size = (total / np.median(total))[:, None]
    values, _ = filled(run, folder)
    norm, _ = filled(run, folder, "--scale", "norm")
    log1p, _ = filled(run, folder, "--scale", "log1p")
    assert np.allclose(norm * size, values, rtol=2e-6, atol=1e-7)
    assert np.allclose(np.expm1(log1p), norm, rtol=1e-5, atol=1e-6)


def test_denoise_replaces_counts_too(run, made):
    folder, counts = made
    values, _ = filled(run, folder, "--all-genes")
    smooth, _ = filled(run, folder, "--denoise")
    read = (values != counts).any(0)
    assert (smooth[:, ~read] == counts[:, ~read]).all()
    assert (smooth[(counts == 0)] == values[(counts == 0)]).all()
    there = (counts > 0) & read
    assert (smooth[there] != counts[there]).mean() > 0.99
    # Expected counts are right in sum.
    assert 0.9 < smooth[:, read].sum() / counts[:, read].sum() < 1.1


def test_triplets_are_what_was_filled(run, made):
    folder, counts = made
    values, _ = filled(run, folder)
    filled(run, folder, "--only-missing", out="triplets.csv")
    again = counts.astype(np.float64)
    with open(folder / "triplets.csv") as file:
        for line in csv.DictReader(file):
            assert again[int(line["row"]), int(line["column"])] == 0
            again[int(line["row"]), int(line["column"])] = float(line["value"])
    assert np.allclose(again, values, rtol=1e-5)
    filled(run, folder, "--only-missing", "--names", out="names.csv")
    first = next(csv.DictReader(open(folder / "names.csv")))
    assert first["row"] == "CELL0000" and first["column"].startswith("GENE")


def test_formats_hold_the_same_values(run, made):
    folder, counts = made
    values, _ = filled(run, folder)
    filled(run, folder, out="out.csv")
    rows = list(csv.reader(open(folder / "out.csv")))
    assert rows[0][1:] == names(GENES, "GENE")
    assert np.allclose(np.array([row[1:] for row in rows[1:]], float), values, rtol=1e-5)
    filled(run, folder, out="out.h5ad")
    with h5py.File(folder / "out.h5ad") as file:
        assert np.array_equal(file["layers/imputed"][...], values)


def test_a_model_that_takes_zeros_for_missing_knows_only_amounts(run, made):
    folder, counts = made
    values, _ = filled(run, folder, "--mode", "conditional", model="missing")
    assert (values[counts > 0] == counts[counts > 0]).all()
    told = run("ae-impute", folder / "missing", folder / "cells", "-o", folder / "no.npy")
    one_error(told, 2, "zero_as_missing", "--mode conditional")
    assert not (folder / "no.npy").exists()
    told = run("ae-impute", folder / "missing", folder / "cells", "-o", folder / "no.npy", "--mode", "gated")
    one_error(told, 2, "hurdle")


def test_evaluation_beats_column_means_and_shows_what_is_put_in(run, made):
    folder, _ = made
    told = run("ae-impute", folder / "m", folder / "cells", "--evaluate", "thinning", "-o", folder / "thin.json", "--force")
    assert told.code == 0, told.stderr
    by = {row["method"]: row["thinned"] if "thinned" in row else row for row in json.load(open(folder / "thin.json"))}
    assert set(by) == {"model", "mean", "observed_mean", "knn", "low_rank"}
    assert by["model"]["poisson_nll"] < by["mean"]["poisson_nll"]
    assert 0.9 < by["model"]["sum_ratio"] < 1.1
    assert 0.97 < by["mean"]["sum_ratio"] < 1.03  # a gene's mean puts in what is there
    assert by["observed_mean"]["sum_ratio"] > 1.3
    told = run("ae-impute", folder / "m", folder / "cells", "--evaluate", "masked", "--mode", "conditional", "-q")
    assert told.code == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].split()[0] == "method" and lines[1].split()[0] == "model" and "NRMSE" in lines[0]
    again = run("ae-impute", folder / "m", folder / "cells", "--evaluate", "masked", "--mode", "conditional", "-q")
    assert again.stdout == told.stdout


def test_draws_have_the_expected_mean_and_tell_their_spread(run, made):
    folder, counts = made
    expected, _ = filled(run, folder)
    many, _ = filled(run, folder, "--samples", "400", "--spread", folder / "sd.npy", out="mean.npy")
    spread = np.load(folder / "sd.npy")
    assert (many[counts > 0] == counts[counts > 0]).all() and (spread[counts > 0] == 0).all()
    zeros = (counts == 0) & (expected != counts)
    error = (many - expected)[zeros] / np.maximum(spread[zeros] / 20, 1e-3)
    assert np.abs(error.mean()) < 0.3 and 0.7 < error.std() < 1.5
    filled(run, folder, "--samples", "400", "--only-missing", out="triplets.csv")
    for line in csv.DictReader(open(folder / "triplets.csv")):
        cell, gene = int(line["row"]), int(line["column"])
        assert np.float32(line["value"]) == many[cell, gene] and np.float32(line["sd"]) == spread[cell, gene]
    again, _ = filled(run, folder, "--samples", "400", "--seed", "1")
    assert (again != many).any()
    told = run("ae-impute", folder / "missing", folder / "cells", "-o", folder / "no.npy", "--mode", "conditional",
               "--samples", "9")
    one_error(told, 2, "hurdle")


def test_coverage_of_draws(run, made):
    folder, _ = made
    told = run("ae-impute", folder / "m", folder / "cells", "--evaluate", "thinning", "--samples", "99", "-o",
               folder / "draws.json", "--force")
    assert told.code == 0, told.stderr
    by = {row["method"]: row for row in json.load(open(folder / "draws.json"))}
    assert 0.88 < by["model"]["coverage"] < 0.92 and "coverage" not in by["mean"]


def test_a_witness_tells_what_was_spoiled(run, made):
    folder, counts = made
    values, _ = filled(run, folder)
    read = np.flatnonzero((values != counts).any(0))
    random = np.random.default_rng(0)
    with open(folder / "witness.csv", "w") as file:
        file.write("id,first,second\n")
        for cell in range(CELLS):
            own = counts[cell, read[0]] + random.normal(0, 0.1)
            file.write(f"CELL{cell:04},{own},{random.normal()}\n")
    pairs = f"GENE{read[0]:04}=first,GENE{read[1]:04}=second"
    _, told = filled(run, folder, "--witness", folder / "witness.csv", "--witness-pairs", pairs, "--witness-output",
                     folder / "genes.json")
    genes = json.load(open(folder / "genes.json"))["genes"]
    assert [gene["column"] for gene in genes] == ["first", "second"]
    # What is but the count itself with noise can only lose.
    assert genes[0]["before"] > genes[0]["after"]
    assert genes[0]["interval"][1] < 0 and f"GENE{read[0]:04}" in told


def test_proteins_of_the_same_file_are_the_witness(run, made):
    """What a 10x folder has beside gene expression, not the genes against themselves."""
    folder, counts = made
    protein = counts[:, :1] * 3 + np.random.default_rng(1).poisson(2, (CELLS, 1))
    write_folder(folder / "cite", np.hstack([counts, protein]), symbols=[*names(GENES, "GENE"), "CD0"])
    features = folder / "cite" / "features.tsv.gz"
    lines = gzip.decompress(features.read_bytes()).decode().splitlines()
    lines[-1] = lines[-1].replace("Gene Expression", "Antibody Capture")
    features.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    pair = ["--witness-pairs", "GENE0000=CD0"]
    told = run("ae-impute", folder / "m", folder / "cells", "-o", folder / "w.npy", "--force", "--witness",
               folder / "cite", *pair, "--witness-output", folder / "w.json")
    assert told.code == 0, told.stderr
    assert [gene["column"] for gene in json.load(open(folder / "w.json"))["genes"]] == ["CD0"]


def write_obsm(path, proteins):
    """An .h5ad file of the cells with proteins, {name: values}, in obsm: as a data frame, or as an array."""
    with h5py.File(write_h5ad(path, np.ones((CELLS, 2))), "a") as root:
        obsm = root.create_group("obsm")
        obsm.create_dataset("array", data=np.stack(list(proteins.values()), axis=1))
        frame = obsm.create_group("protein_expression")
        root.copy("obs/_index", frame)
        frame.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
        frame.attrs.create("column-order", list(proteins), dtype=h5py.string_dtype())
        for name, values in proteins.items():
            frame.create_dataset(name, data=values)
        kind = frame.create_group("kind")
        kind.attrs["encoding-type"] = "categorical"
        kind.create_dataset("codes", data=np.zeros(CELLS, dtype="i1"))
    return path


def last_error(told, code, *words):
    """Behind the warning of genes that stay."""
    assert (told.code, told.stdout) == (code, ""), told.stderr
    last = told.stderr.splitlines()[-1]
    assert "error: " in last and all(word in last for word in words), last


def test_what_obsm_holds_is_the_witness(run, made, tmp_path):
    """Of AnnData, in a data frame or an array whose columns are named: any numbers, also missing ones; as a table."""
    folder, counts = made
    random = np.random.default_rng(4)
    proteins = {"CD0": counts[:, 0] + random.normal(-3, 1, CELLS), "CD/1": random.normal(0, 1, CELLS)}
    proteins["CD0"][::5] = np.nan
    path = write_obsm(tmp_path / "w.h5ad", proteins)
    with open(tmp_path / "w.csv", "w") as file:
        file.write("id,CD0,CD/1\n")
        for i, row in enumerate(zip(*proteins.values())):
            file.write(",".join([f"CELL{i:04}", *("" if np.isnan(x) else repr(float(x)) for x in row)]) + "\n")
    fill = ["ae-impute", folder / "m", folder / "cells", "-o", "x.npy", "--force", "--witness-output", "genes.csv",
            "--witness-pairs", "GENE0000=CD0,GENE0001=CD/1", "--witness"]

    def genes_by(*witness):
        told = run(*fill, *witness)
        assert told.code == 0, told.stderr
        return (tmp_path / "genes.csv").read_text()

    expected = genes_by("w.csv")
    assert [row["cells"] for row in csv.DictReader(expected.splitlines())] == [str(CELLS * 4 // 5), str(CELLS)]
    assert genes_by("w.h5ad", "--witness-obsm", "protein_expression") == expected
    last_error(run(*fill, "w.h5ad", "--witness-obsm", "array", "-q"), 2, "the columns of obsm/array have no names",
               'a.obsm["array"] = pandas.DataFrame(')
    with h5py.File(path, "a") as root:  # as scvi-tools has them
        root.create_dataset("uns/protein_names", data=list(proteins), dtype=h5py.string_dtype())
    assert genes_by("w.h5ad", "--witness-obsm", "array") == expected


def test_what_obsm_does_not_hold_is_told(run, made, tmp_path):
    folder, counts = made
    write_obsm(tmp_path / "w.h5ad", {"CD0": counts[:, 0] * 1.0})
    fill = ["ae-impute", folder / "m", folder / "cells", "-o", "x.npy", "-q"]
    one_error(run(*fill, "--witness-obsm", "x"), 2, "--witness-obsm is about a --witness")
    pair = ["--witness-pairs", "GENE0000=CD0", "--witness"]
    last_error(run(*fill, *pair, "w.h5ad", "--witness-obsm", "protein_expresion"), 2,
               'did you mean "protein_expression"?; it has: array, protein_expression')
    for witness in (folder / "cells", folder / "missing.json"):
        last_error(run(*fill, *pair, witness, "--witness-obsm", "x"), 2, "has no obsm", ".h5ad")
    with h5py.File(tmp_path / "w.h5ad", "a") as root:
        frame = root["obsm/protein_expression"]
        frame.attrs.create("column-order", ["CD0", "kind"], dtype=h5py.string_dtype())
        one = ["--witness-pairs", "GENE0000=kind", "--witness", "w.h5ad", "--witness-obsm", "protein_expression"]
    last_error(run(*fill, *one), 4, '"obsm/protein_expression/kind" is encoded as "categorical"; expected numbers')
    with h5py.File(tmp_path / "w.h5ad", "a") as root:
        del root["obsm/protein_expression/CD0"]
        root.create_dataset("obsm/protein_expression/CD0", data=np.zeros(CELLS - 1))
    last_error(run(*fill, *pair, "w.h5ad", "--witness-obsm", "protein_expression"), 4, "another length", "damaged")
    assert not (tmp_path / "x.npy").exists()


def test_no_cells_have_an_empty_witness(run, made, tmp_path):
    folder, counts = made
    write_folder(tmp_path / "none", counts[:0])
    (tmp_path / "w.csv").write_text("id,CD0\nCELL0000,1\n")
    told = run("ae-impute", folder / "m", "none", "--allow-empty", "-o", "x.npy", "-q", "--witness", "w.csv",
               "--witness-pairs", "GENE0000=CD0", "--witness-output", "genes.csv")
    assert told.code == 0, told.stderr
    assert (tmp_path / "genes.csv").read_text().splitlines()[1:] == ["GENE0000,CD0,0,,,,,"]


def test_zeros_taken_for_missing_by_a_likelihood(run, made):
    """A negative binomial of counts above 0 alone has their mean already."""
    folder, counts = made
    config = json.loads((folder / "missing.json").read_text())
    config["loss"] = {"terms": [{"type": "nb"}]}
    config["training"].update({"epochs": 60, "corruption": []})
    (folder / "nb.json").write_text(json.dumps(config))
    assert run("ae-train", folder / "nb.json", "--out", folder / "nb", "-q").code == 0
    values, _ = filled(run, folder, "--mode", "conditional", "--denoise", model="nb", out="nb.npy")
    read = (values != counts).any(0)
    there = (counts > 0) & read
    assert 0.9 < values[there].sum() / counts[there].sum() < 1.1
    told = run("ae-impute", folder / "nb", folder / "cells", "-o", folder / "no.npy", "--mode", "gated")
    one_error(told, 2, "zero_as_missing")


def test_zeros_of_genes_that_follow_no_other_stay(run, tmp_path):
    """Two types of cells; the first gene is in a fifth of the cells, whatever their type, and read well there."""
    random = np.random.default_rng(4)
    second = random.random(400) < 0.5
    rates = np.where((np.arange(60) % 2 == 0)[None] == second[:, None], 6.0, 1.5)
    rates[:, 1] = np.where(second, 0.9, 0.05)
    rates[:, 0] = np.where(random.random(400) < 0.2, 12.0, 0.02)
    counts = random.poisson(rates)
    write_folder(tmp_path / "cells", counts)
    config = {
        "data": {"type": "counts", "path": "cells"},
        "model": {"type": "dense", "hidden": [16], "latent": 4},
        "loss": {"terms": [{"type": "nb"}]},
        "training": {"epochs": 20},
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    assert run("ae-train", tmp_path / "c.json", "--out", tmp_path / "m", "-q").code == 0
    values, told = filled(run, tmp_path)
    assert "zeros of 1 of 60 genes stay" in told and "--all-genes" in told
    assert np.array_equal(values[:, 0], counts[:, 0]) and (values[:, 1:] > 0).all()
    everything, told = filled(run, tmp_path, "--all-genes")
    assert (everything > 0).all() and "genes stay" not in told
    assert np.array_equal(everything[:, 1:], values[:, 1:])
    assert (filled(run, tmp_path, "--denoise")[0] > 0).all()
    assert (filled(run, tmp_path, "--mode", "expected", "--only-missing", out="t.csv")[1]).count("genes stay") == 1
    assert not [line for line in (tmp_path / "t.csv").read_text().splitlines()[1:] if line.split(",")[1] == "0"]


def test_the_order_of_terms_does_not_matter(run, made):
    """What there is where there is anything comes of the term that tells."""
    folder, counts = made
    config = json.loads((folder / "missing.json").read_text())
    del config["data"]["zero_as_missing"], config["training"]["corruption"]
    sums = []
    for at, terms in enumerate([["mse", "hurdle"], ["hurdle", "mse"]]):
        config["loss"] = {"terms": [{"type": term} for term in terms]}
        (folder / "two.json").write_text(json.dumps(config))
        assert run("ae-train", folder / "two.json", "--out", folder / f"two{at}", "-q").code == 0
        values, _ = filled(run, folder, "--mode", "conditional", "--denoise", model=f"two{at}", out="two.npy")
        there = (counts > 0) & (values != counts).any(0)
        sums.append(values[there].sum() / counts[there].sum())
    assert abs(sums[0] - sums[1]) < 0.1 and min(sums) > 0.75, sums


def test_genes_that_a_file_lacks_are_not_judged(run, made):
    folder, counts = made
    values, _ = filled(run, folder)
    read = np.flatnonzero((values != counts).any(0))
    left = np.delete(np.arange(GENES), read[:10])
    write_h5ad(folder / "fewer.h5ad", counts[:, left], gene_names=[f"GENE{g:04}" for g in left])
    told = run("ae-impute", folder / "m", folder / "fewer.h5ad", "--evaluate", "thinning", "-o", folder / "f.json",
               "--force")
    assert told.code == 0, told.stderr
    entries = {row["thinned_entries"] for row in json.load(open(folder / "f.json"))}
    assert len(entries) == 1 and (READ - 10 - 3) * CELLS <= entries.pop() <= (READ - 10) * CELLS


def test_a_cell_without_counts_stays_empty(run, made):
    folder, counts = made
    some = counts[:20].copy()
    some[3] = 0
    write_h5ad(folder / "some.h5ad", some)
    told = run("ae-impute", folder / "m", folder / "some.h5ad", "-o", folder / "some.npy", "--force")
    assert told.code == 0 and "1 cell has no counts" in told.stderr
    values = np.load(folder / "some.npy")
    assert (values[3] == 0).all() and (values[4] > some[4]).any()


def test_draws_do_not_depend_on_threads(run, made):
    folder, _ = made
    results = [filled(run, folder, "--samples", "5", "--threads", threads, out=f"t{threads}.npy")[0]
               for threads in ("1", "4")]
    assert (results[0] == results[1]).all()


def test_a_layer_called_raw(run, made):
    folder, counts = made
    write_h5ad(folder / "layered.h5ad", counts)
    with h5py.File(folder / "layered.h5ad", "a") as file:
        file.create_group("layers").attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        file.copy("X", file["layers"], "raw")
    config = json.loads((folder / "missing.json").read_text())
    config["data"].update({"path": "layered.h5ad", "layer": "raw"})
    (folder / "layered.json").write_text(json.dumps(config))
    assert run("ae-train", folder / "layered.json", "--out", folder / "layered", "-q").code == 0
    told = run("ae-impute", folder / "layered", folder / "layered.h5ad", "-o", folder / "layered_out.h5ad", "--mode",
               "conditional")
    assert told.code == 0, told.stderr
    with h5py.File(folder / "layered_out.h5ad") as file:
        assert set(file["layers"]) == {"raw", "imputed"}


def test_counts_that_cannot_be_dealt_out_one_by_one(run, made):
    folder, counts = made
    large = counts[:20].astype(float)
    large[0, 0] = 1e13
    write_h5ad(folder / "large.h5ad", large)
    told = run("ae-impute", folder / "m", folder / "large.h5ad", "--evaluate", "thinning")
    one_error(told, 4, "molecules")


def test_outputs_of_one_name_are_refused(run, made):
    folder, _ = made
    told = run("ae-impute", folder / "m", folder / "cells", "-o", folder / "a.csv", "--witness", folder / "witness.csv",
               "--witness-output", folder / "a.csv", "--force")
    one_error(told, 2, "both write")


def test_what_does_not_go_together_is_told(run, made):
    folder, _ = made
    for arguments, part in [
        (["--integers"], "--integers"),
        (["--mark", folder / "x.csv"], "--mark"),
        (["--evaluate", "masked", "--witness", "x.csv"], "--witness"),
        (["--witness-pairs", "A=b"], "--witness"),
        (["--evaluate", "masked", "--denoise"], "--denoise"),
        (["--evaluate", "masked", "--scale", "norm"], "--scale"),
        (["--names"], "--only-missing"),
        (["--bad-rows", "skip"], "--bad-rows"),
        (["--rate", "0.2"], "--rate"),
        (["--spread", folder / "sd.npy"], "--samples"),
    ]:
        told = run("ae-impute", folder / "m", folder / "cells", "-o", folder / "no.npy", *arguments)
        one_error(told, 2, part)
        assert not (folder / "no.npy").exists()
    told = run("ae-impute", folder / "m", folder / "cells", "-o", folder / "out.xlsx", "-q")
    one_error(told, 2, ".h5ad")
