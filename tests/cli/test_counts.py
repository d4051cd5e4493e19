"""Counts as a kind of data: what the network is shown, which genes, which cells, and what stays the same."""

import csv
import gzip
import io
import json
import os
import shutil

import numpy as np
import pytest
from count_matrices import names, simulated, write_folder, write_h5ad
from support import needs_torch, one_error, read_safetensors, write_config

h5py = pytest.importorskip("h5py")
pytestmark = needs_torch

CONFIG = {
    "data": {"type": "counts", "path": "cells.h5ad", "genes": 40},
    "model": {"type": "dense", "hidden": [16], "latent": 3},
    "training": {"epochs": 5, "batch_size": 32, "seed": 0},
}


@pytest.fixture(scope="module")
def cells():
    counts, of_type = simulated(150, 120, 1)
    counts[:, 11] = 0
    return counts, [f"type{t}" for t in of_type]


@pytest.fixture
def made(cells, tmp_path):
    write_h5ad(tmp_path / "cells.h5ad", cells[0], label=cells[1], compression="gzip")
    write_config(tmp_path / "config.json", CONFIG)
    return tmp_path


def train(run, *arguments, out="m", config="config.json"):
    told = run("ae-train", config, "--out", out, *arguments)
    assert told.code == 0, told.stderr
    return told.stderr


def schema_of(folder):
    metadata, _ = read_safetensors(folder / "model.safetensors")
    return json.loads(metadata["counts"])


def scores(run, model, *inputs):
    told = run("ae-score", model, *inputs, "-q")
    assert told.code == 0, told.stderr
    return list(csv.DictReader(io.StringIO(told.stdout)))


def residual_variances(counts):
    """Of Pearson residuals, theta 100, as a dense formula."""
    mean = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    with np.errstate(invalid="ignore"):
        residuals = np.nan_to_num((counts - mean) / np.sqrt(mean + mean**2 / 100))
    bound = np.sqrt(len(counts))
    return residuals.clip(-bound, bound).var(0)


def test_the_genes_that_vary_most_are_chosen_and_cells_scaled_by_their_median(run, made, cells):
    train(run, "--set", "/training/validation_fraction=0")
    schema = schema_of(made / "m")
    assert schema["genes"] == names(120, "GENE")
    assert schema["selected"] == sorted(np.argsort(-residual_variances(cells[0]), kind="stable")[:40].tolist())
    assert schema["median_total"] == np.median(cells[0].sum(1))


def test_observed_values_are_those_of_the_formula(run, made, cells):
    """Count / (total / median total), of all genes that the network sees."""
    train(run, "--set", "/training/validation_fraction=0", "--set", "/data/genes=5")
    told = run("ae-score", "m", "cells.h5ad", "--explain", "5", "-q")
    total = cells[0].sum(1, keepdims=True)
    expected = cells[0] / (total / np.median(total))
    for row, values in zip(csv.DictReader(io.StringIO(told.stdout)), expected):
        found = {row[f"top{k}_column"]: float(row[f"top{k}_observed"]) for k in range(1, 6)}
        assert len(found) == 5
        for gene, value in found.items():
            assert value == pytest.approx(values[int(gene.removeprefix("GENE"))], rel=1e-5), gene


@pytest.mark.parametrize("form", ["folder", "v2", "table", "csc"])
def test_every_format_gives_the_same_scores(run, made, cells, form):
    train(run)
    expected = scores(run, "m", "cells.h5ad")
    assert [row["id"] for row in expected] == names(150, "CELL")
    other = made / form
    options = []
    if form == "folder":
        write_folder(other, cells[0])
    elif form == "v2":
        write_folder(other, cells[0], version=2, compressed=False)
    elif form == "csc":
        write_h5ad(other, cells[0], encoding="csc_matrix")
    else:
        other = made / "cells.csv.gz"
        lines = [",".join(["", *names(120, "GENE")])]
        lines += [",".join([name, *map(str, row)]) for name, row in zip(names(150, "CELL"), cells[0])]
        other.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
        options = ["--set", "/data/orientation=cells_by_genes"]
    if not options:  # as new data of the same model
        same = scores(run, "m", other)
        assert [(row["id"], row["score"]) for row in same] == [(row["id"], row["score"]) for row in expected]
    train(run, "--data", other, *options, out="n")  # and as training data: the same weights
    assert [row["score"] for row in scores(run, "n", other)] == [row["score"] for row in expected]


def test_order_and_further_genes_of_a_new_file_change_nothing(run, made, cells):
    train(run)
    expected = [row["score"] for row in scores(run, "m", "cells.h5ad")]
    order = np.random.default_rng(1).permutation(120)
    more = np.random.default_rng(2).poisson(3, (150, 9))
    write_h5ad(made / "other.h5ad", np.hstack([cells[0][:, order], more]),
               gene_names=[names(120, "GENE")[i] for i in order] + names(9, "OTHER"))
    assert [row["score"] for row in scores(run, "m", "other.h5ad")] == expected


def test_genes_that_a_new_file_lacks_are_told_and_too_many_refused(run, made, cells):
    train(run)
    selected = schema_of(made / "m")["selected"]
    for lacking, code in ((selected[:3], 0), (selected[:25], 4)):
        keep = [i for i in range(120) if i not in lacking]
        write_h5ad(made / "less.h5ad", cells[0][:, keep], gene_names=[names(120, "GENE")[i] for i in keep])
        told = run("ae-score", "m", "less.h5ad", "-o", f"{code}.csv")
        assert told.code == code, told.stderr
        assert f"lacks {len(lacking)} of the 40 genes" in told.stderr and f"GENE{lacking[0]:04}" in told.stderr


def test_labels_choose_cells_and_pass_through(run, made, cells):
    told = train(run, "--set", "/data/label=type", "--set", "/data/normal=type0")
    normal = cells[1].count("type0")
    found = [int(word) for word in told.replace(",", "").split() if word.isdigit()]
    assert sum(found[:2]) == normal
    assert [row["label"] for row in scores(run, "m", "cells.h5ad")] == cells[1]
    one_error(run("ae-train", "config.json", "--out", "n", "--set", "/data/label=typ", "-q"), 2, "type", "typ")
    one_error(run("ae-train", "config.json", "--out", "n", "--set", "/data/label=type", "--set", "/data/normal=x", "-q"),
              2, "/data/normal", "type0", "type1")


def test_rows_choose_cells(run, made, cells):
    (made / "chosen.idx").write_text("".join(f"{i}\n" for i in range(0, 150, 2)))
    train(run, "--set", "/data/rows=chosen.idx", "--set", "/training/validation_fraction=0")
    assert schema_of(made / "m")["median_total"] == np.median(cells[0][::2].sum(1))


def test_a_cache_changes_no_byte(run, made):
    train(run)
    for out in ("n", "o"):  # made, and read
        train(run, "--set", "/data/cache=kept", out=out)
        _, expected = read_safetensors(made / "m/model.safetensors")
        assert read_safetensors(made / out / "model.safetensors")[1] == expected
        tensors = [(made / folder / "model.safetensors").read_bytes()[-4000:] for folder in ("m", out)]
        assert tensors[0] == tensors[1]
    assert len(list((made / "kept").glob("*.aecache"))) == 1


def test_all_genes_and_plain_counts_can_be_asked_for(run, made, cells):
    train(run, "--set", "/data/genes=0", "--set", "/data/log1p=false", "--set", "/data/size_factors=false")
    schema = schema_of(made / "m")
    assert schema["selected"] == list(range(120)) and 11 in schema["constant"]
    told = run("ae-score", "m", "cells.h5ad", "--explain", "1", "-q")
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    for row, counts in zip(rows, cells[0]):
        assert float(row["top1_observed"]) == counts[names(120, "GENE").index(row["top1_column"])]


def test_other_cells_score_higher(run, made, cells):
    """Cells of a third type, of whose markers the network has seen nothing."""
    counts, of_type = simulated(400, 120, 5, types=3, markers=0.3)
    label = ["other" if t == 2 else "known" for t in of_type]
    write_h5ad(made / "three.h5ad", counts, label=label)
    train(run, "--data", "three.h5ad", "--set", "/data/label=type", "--set", "/data/normal=known", "--set",
          "/training/epochs=60", "--set", "/data/genes=100")
    found = scores(run, "m", "three.h5ad")
    score, other = np.array([float(row["score"]) for row in found]), np.array(label) == "other"
    auroc = (score[other][:, None] > score[~other]).mean()
    assert auroc > 0.8, auroc


def test_a_damaged_model_is_told_of_in_one_line(run, made):
    from support import join_safetensors, split_safetensors

    train(run)
    path = made / "m/model.safetensors"
    header, tensors = split_safetensors(path.read_bytes())
    schema = json.loads(header["__metadata__"]["counts"])
    for damage in ({"selected": [5, 4]}, {"median_total": -1}, {"genes": []}):
        header["__metadata__"]["counts"] = json.dumps({**schema, **damage})
        header["__metadata__"].pop("sha256", None)
        path.write_bytes(join_safetensors(header, tensors))
        one_error(run("ae-score", "m", "cells.h5ad"), 4, "counts", next(iter(damage)))


def test_what_is_no_count_ends_the_run_in_one_line(run, made, cells):
    write_h5ad(made / "scaled.h5ad", cells[0] - 1.0)
    one_error(run("ae-train", "config.json", "--data", "scaled.h5ad", "--out", "m", "-q"), 4, "holds -1", "/data/layer")
    one_error(run("ae-train", "config.json", "--data", "none.h5ad", "--out", "m", "-q"), 4, "none.h5ad")
    shutil.copy(made / "cells.h5ad", made / "cells.csv")  # by its content, whatever it is called
    train(run, "--data", "cells.csv")
    (made / "bad.csv").write_text("id,GENE0000\nx,y\n")
    one_error(run("ae-score", "m", "bad.csv", "-q"), 4, "bad.csv", '"y"')
    one_error(run("ae-train", "config.json", "--data", "bad.csv", "--out", "n", "-q"), 2, "/data/orientation")


@pytest.mark.skipif(not os.environ.get("AETOOLS_LARGE"), reason="takes minutes and 1 GiB: set AETOOLS_LARGE=1")
def test_memory_of_fifty_thousand_cells(bin_folder, tmp_path):
    """50,000 cells x 20,000 genes of which 5 % are not 0: at most 1.5 GiB, in training and in scoring."""
    import resource
    import subprocess

    cells, genes, each = 50_000, 20_000, 1000
    random = np.random.default_rng(1)
    with h5py.File(tmp_path / "large.h5ad", "w") as root:
        small = write_h5ad(tmp_path / "small.h5ad", np.ones((1, 1)), names(1, "C"), names(1, "G"))
        with h5py.File(small) as other:
            for frame, count, prefix in (("obs", cells, "C"), ("var", genes, "G")):
                other.copy(frame, root)
                del root[frame]["_index"]
                root[frame].create_dataset("_index", data=np.array([f"{prefix}{i}" for i in range(count)], dtype="S"))
        group = root.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": (cells, genes)})
        group.create_dataset("indptr", data=np.arange(cells + 1) * each)
        data = group.create_dataset("data", (cells * each,), "f4", chunks=(100_000,))
        indices = group.create_dataset("indices", (cells * each,), "i4", chunks=(100_000,))
        for begin in range(0, cells, 1000):
            part = np.cumsum(random.integers(1, 38, (1000, each)), axis=1)  # ascending, by 19 on average
            part = np.minimum(part, np.arange(genes - each, genes))
            indices[begin * each : (begin + 1000) * each] = part.ravel()
            data[begin * each : (begin + 1000) * each] = random.geometric(0.6, part.size)
    write_config(tmp_path / "config.json", {**CONFIG, "data": {"type": "counts", "path": "large.h5ad"},
                                            "training": {"epochs": 2, "seed": 0}})
    for command in (["ae-train", "config.json", "--out", "m"], ["ae-score", "m", "large.h5ad", "-o", "scores.csv"]):
        done = subprocess.run([bin_folder / command[0], *command[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # GiB
        print(command[0], f"{used:.2f} GiB")
        assert used <= 1.5, command


def test_residual_heads_know_the_size_of_a_cell(run, made):
    """What is eight times as deep is another cell to a likelihood, for every head as for the loss itself."""
    counts, _ = simulated(60, 120, 4)
    for at, cells in enumerate([counts, 8 * counts]):
        write_h5ad(made / f"depth{at}.h5ad", cells)
    for head in ["loss", "normalized"]:
        train(run, "--set", '/loss={"terms": [{"type": "nb"}]}', "--set", f'/score={{"type": "{head}"}}', out=head)
        shallow, deep = ([float(row["score"]) for row in scores(run, head, f"depth{at}.h5ad")] for at in (0, 1))
        assert np.mean(np.isclose(shallow, deep, rtol=1e-3)) < 0.1, head


def test_a_folder_tells_its_own_orientation(run, made):
    """A model of a table whose orientation had to be said reads 10x folders as they are, square ones too."""
    counts, _ = simulated(120, 120, 2)
    write_folder(made / "square", counts)
    write_h5ad(made / "square.h5ad", counts)
    table, _ = simulated(150, 120, 5)
    lines = [",".join(["id", *names(120, "GENE")])]
    lines += [",".join([f"c{i}", *map(str, row)]) for i, row in enumerate(table)]
    (made / "table.csv").write_text("\n".join(lines) + "\n")
    train(run, "--data", "table.csv", "--set", "/data/orientation=cells_by_genes", out="of_table")
    one, other = ([row["score"] for row in scores(run, "of_table", name)] for name in ("square", "square.h5ad"))
    assert one == other


@pytest.mark.parametrize("orientation", [None, "genes_by_cells"])
def test_a_table_shows_by_its_genes_which_way_it_lies(run, made, cells, orientation):
    """Whatever way the model's own table lay: names that the model knows tell."""
    counts = cells[0]
    by_cells = [",".join(["id", *names(120, "GENE")])]
    by_cells += [",".join([name, *map(str, row)]) for name, row in zip(names(150, "CELL"), counts)]
    by_genes = [",".join(["gene", *names(150, "CELL")])]
    by_genes += [",".join([name, *map(str, row)]) for name, row in zip(names(120, "GENE"), counts.T)]
    (made / "by_cells.csv").write_text("\n".join(by_cells) + "\n")
    (made / "by_genes.csv").write_text("\n".join(by_genes) + "\n")
    if orientation:
        train(run, "--data", "by_genes.csv", "--set", f"/data/orientation={orientation}")
    else:
        train(run)
    one, other = (scores(run, "m", name) for name in ("by_cells.csv", "by_genes.csv"))
    assert [(row["id"], row["score"]) for row in one] == [(row["id"], row["score"]) for row in other]
    assert len(one) == 150
    # Where names tell nothing, as where cells and genes are numbered alike, the model's own way counts.
    numbered = [",".join(["", *map(str, range(120))])] + [",".join([str(i), *map(str, row)]) for i, row in enumerate(counts)]
    (made / "numbered.csv").write_text("\n".join(numbered) + "\n")
    train(run, "--data", "numbered.csv", "--set", "/data/orientation=cells_by_genes", out="of_numbers")
    assert len(scores(run, "of_numbers", "numbered.csv")) == 150


def write_table(path, counts, cells, genes, turned=False):
    rows, columns, matrix = (genes, cells, counts.T) if turned else (cells, genes, counts)
    lines = [",".join(["name", *columns])] + [",".join([name, *map(str, row)]) for name, row in zip(rows, matrix)]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("orientation", [None, "cells_by_genes"])
def test_genes_of_another_species_are_told_by_both_names(run, made, cells, orientation):
    """A file that lies as it should is not told to be turned."""
    counts, of_mice = cells[0][:30], names(120, "Gene")
    settings = ["--set", f"/data/orientation={orientation}"] if orientation else []
    write_table(made / "own.csv", cells[0], names(150, "CELL"), names(120, "GENE"))
    train(run, *(["--data", "own.csv", *settings] if orientation else []))
    write_table(made / "mice.csv", counts, names(30, "M"), of_mice)
    write_table(made / "turned.csv", counts, names(30, "M"), of_mice, turned=True)
    write_h5ad(made / "mice.h5ad", counts, names(30, "M"), of_mice)
    for name, program in (("mice.csv", "ae-score"), ("turned.csv", "ae-embed"), ("mice.h5ad", "ae-score")):
        told = run(program, "m", name)
        one_error(told, 4, name, '"Gene0000", "Gene0001"', "GENE", "another panel or species")
        assert "orientation" not in told.stderr
    # A panel that lacks too much, with nothing else, has no other genes to show.
    write_h5ad(made / "panel.h5ad", counts[:, :10], names(30, "M"), names(10, "GENE"))
    told = run("ae-score", "m", "panel.h5ad")
    one_error(told, 4, "more than half must be there: is it of another panel")


def test_few_genes_that_the_model_knows_show_the_way_too(run, made, cells):
    """As where a table of all genes is scored by a model of a panel, whichever way the panel's own table lay."""
    counts, others = cells[0], np.random.default_rng(3).poisson(1, (150, 2000))
    write_table(made / "panel.csv", counts, names(150, "CELL"), names(120, "GENE"), turned=True)
    train(run, "--data", "panel.csv", "--set", "/data/orientation=genes_by_cells")
    expected = [row["score"] for row in scores(run, "m", "panel.csv")]
    for turned in (False, True):
        write_table(made / "all.csv", np.hstack([others, counts]), names(150, "CELL"),
                    names(2000, "OTHER") + names(120, "GENE"), turned)
        assert [row["score"] for row in scores(run, "m", "all.csv")] == expected


def test_a_matrix_without_names_is_refused_by_a_model_that_knows_genes_by_theirs(run, made, cells):
    """And read by one that was trained on such a matrix."""
    train(run)
    folder = write_folder(made / "folder", cells[0])
    (made / "bare").mkdir()
    shutil.copy(folder / "matrix.mtx.gz", made / "bare")
    for name in ("bare", "bare/matrix.mtx.gz"):
        told = run("ae-score", "m", name)
        one_error(told, 4, "bare/matrix.mtx.gz: has no names beside it", "features.tsv (or genes.tsv) and barcodes.tsv",
                  '"GENE0000"')
        assert "orientation" not in told.stderr
    one_error(run("ae-train", "config.json", "--data", "bare", "--out", "n", "-q"), 2, "/data/orientation",
              "barcodes.tsv beside it")
    said = train(run, "--data", "bare", "--set", "/data/orientation=genes_by_cells", out="n")
    assert said.count("has no names beside it; its genes are called f0, f1 and so on") == 1
    assert [row["id"] for row in scores(run, "n", "bare")] == [str(i) for i in range(150)]
    one_error(run("ae-score", "n", "cells.h5ad"), 4, "the model reads: f", '"GENE0000", "GENE0001"')


def test_models_of_other_data_say_what_counts_are(run, trained, made, cells):
    folder = write_folder(made / "folder", cells[0])
    shutil.copy(folder / "matrix.mtx.gz", made / "counts.mtx.gz")
    write_config(made / "images.json", {"data": {"type": "images", "path": "x"}, "model": {"type": "conv"}})
    kinds = {"folder": "a 10x folder of counts (matrix.mtx)", "folder/matrix.mtx.gz": "a Matrix Market file (.mtx)",
             "counts.mtx.gz": "a Matrix Market file (.mtx)", "cells.h5ad": "an HDF5 file (.h5, .h5ad)"}
    for name, what in kinds.items():
        words = [name, "found " + what, '/data/type "counts" (to train: ae-train --recipe scrna-embed)']
        one_error(run("ae-score", trained, name), 4, *words, "expected a table")
        one_error(run("ae-train", "images.json", "--data", name, "--out", "n", "-q"), 4, *words)
        one_error(run("ae-train", name, "--out", "n", "-q"), 4, *words)  # by a recipe


def write_none(folder, form):
    """0 cells of 120 genes."""
    none = simulated(1, 120, 2)[0][:0]
    if form == "folder":
        return write_folder(folder / "none", none)
    if form == "h5ad":
        return write_h5ad(folder / "none.h5ad", none)
    write_table(folder / "none.csv", none, [], names(120, "GENE"), turned=form == "turned")
    return folder / "none.csv"


@pytest.mark.parametrize("form", ["folder", "h5ad", "table", "turned"])
def test_no_cells_are_fine_where_that_is_allowed(run, made, form):
    train(run, "--set", '/loss={"terms": [{"type": "hurdle"}]}')
    name = write_none(made, form)
    one_error(run("ae-score", "m", name), 4, "has no cells")
    told = run("ae-score", "m", name, "--allow-empty", "-q")
    assert (told.code, told.stdout, told.stderr) == (0, "id,score,p_value,model\n", "")
    told = run("ae-score", "m", name, "cells.h5ad", "--allow-empty", "-q")
    assert (told.code, told.stdout) == (0, run("ae-score", "m", "cells.h5ad", "-q").stdout)
    told = run("ae-embed", "m", name, "--allow-empty", "-q")
    assert (told.code, told.stdout) == (0, "id,z0,z1,z2\n")
    for out in ("z.h5ad", "x.csv", "x.mtx", "x.npy", "x.h5ad"):
        program = "ae-embed" if out.startswith("z") else "ae-impute"
        told = run(program, "m", name, "-o", out, "--allow-empty", "-q")
        assert told.code == 0, told.stderr
    assert np.load(made / "x.npy").shape == (0, 120)
    assert (made / "x.csv").read_text() == ",".join(["cell", *names(120, "GENE")]) + "\n"
    sizes = "120 0 0" if form in ("folder", "turned") else "0 120 0"
    assert (made / "x.mtx").read_text().splitlines()[2:] == [sizes]
    with h5py.File(made / "z.h5ad") as codes, h5py.File(made / "x.h5ad") as filled:
        assert codes["obsm/X_ae"].shape == (0, 3) and filled["layers/imputed"].shape == (0, 120)
        assert [x.decode() for x in filled["var/_index"][:]] == names(120, "GENE") and len(filled["obs/_index"]) == 0
    told = run("ae-impute", "m", name, "--only-missing", "--allow-empty", "-q")
    assert (told.code, told.stdout) == (0, "row,column,value\n")


def test_no_cells_are_an_error(run, made):
    train(run)
    write_folder(made / "none", simulated(1, 120, 2)[0][:0])
    for program, more in [("ae-score", []), ("ae-impute", ["-o", "x.npy"]), ("ae-impute", ["--evaluate", "masked"]),
                          ("ae-embed", ["-o", "z.csv"])]:
        one_error(run(program, "m", "none", *more), 4, "no cells")
    assert not (made / "x.npy").exists() and not (made / "z.csv").exists()
    for form in ("folder", "h5ad"):
        shutil.rmtree(made / "none", ignore_errors=True)
        name = write_none(made, form)
        one_error(run("ae-train", "config.json", "--data", name, "--out", "no"), 4, "no cells")
