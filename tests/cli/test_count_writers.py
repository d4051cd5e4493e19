"""Matrices of cells and genes as tests/tools/read_counts.cpp writes them, read by h5py, SciPy, NumPy and anndata."""

import csv
import gzip
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from count_matrices import names, read_counts, simulated, with_gaps, write_folder, write_h5ad, write_matrix

h5py = pytest.importorskip("h5py")
sparse = pytest.importorskip("scipy.sparse")

CELLS, GENES = names(40, "CELL"), names(30, "GENE")


@pytest.fixture
def write(tmp_path):
    """write(input, name, "layer=raw") writes half the counts there; gives the path, or the error's line and code."""
    def write_counts(source, name, *options, **more):
        done = read_counts(source, f"output={tmp_path / name}", *options, **more)
        if done.returncode != 0:
            assert not (tmp_path / name).exists()
            return done.stderr, done.returncode
        return tmp_path / name

    return write_counts


@pytest.fixture(scope="module")
def counts():
    return with_gaps()


@pytest.fixture
def annotated(counts, tmp_path):
    """An .h5ad file with something in every place."""
    path = write_h5ad(tmp_path / "in.h5ad", counts, label=["T", "B"] * 20, compression="gzip")
    with h5py.File(path, "a") as root:
        root["obs/type/codes"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        root["obs"].attrs["column-order"] = np.array(["type"], dtype=object)
        write_matrix(root, "layers/spliced", counts * 2)
        root["layers"].attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        write_matrix(root, "obsm/X_pca", np.arange(80.0).reshape(40, 2), encoding="array")
        write_matrix(root, "obsp/near", np.eye(40))
        write_matrix(root, "varm/loadings", np.ones((30, 2)), encoding="array")
        for group in ("obsm", "obsp", "varm"):
            root[group].attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        uns = root.create_group("uns/neighbours")
        uns.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        root["uns"].attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        uns["k"] = 15
        uns["k"].attrs.update({"encoding-type": "numeric-scalar", "encoding-version": "0.2.0"})
    return path


def everything(group, at=""):
    """{place: (attributes, values)} of a file."""
    found = {}
    for name, member in group.items():
        attributes = {key: np.asarray(value).tolist() for key, value in member.attrs.items()}
        if isinstance(member, h5py.Group):
            found[at + name] = attributes, None
            found.update(everything(member, f"{at}{name}/"))
        else:
            found[at + name] = attributes, (member.dtype, np.asarray(member[()]).tolist())
    return found


def texts(dataset):
    return dataset.asstr()[:].tolist()


def encoding(item):
    return item.attrs["encoding-type"], item.attrs["encoding-version"]


def matrix(group):
    assert encoding(group) == ("csr_matrix", "0.1.0") and group["indices"].dtype == np.int32
    parts = (group["data"][:], group["indices"][:], group["indptr"][:])
    made = sparse.csr_matrix(parts, shape=tuple(group.attrs["shape"]))
    assert made.has_sorted_indices and made.dtype == np.float32
    return made.toarray()


# --- .h5ad -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sparse", [False, True])
def test_all_of_an_h5ad_passes_through(write, annotated, counts, is_sparse):
    path = write(annotated, "out.h5ad", *(["sparse=1"] if is_sparse else ["add=0.25"]))
    with h5py.File(annotated) as before, h5py.File(path) as after:
        assert encoding(after) == ("anndata", "0.1.0")
        layer = after["layers/imputed"]
        if is_sparse:
            assert np.array_equal(matrix(layer), counts / 2)
        else:
            assert encoding(layer) == ("array", "0.2.0") and layer.dtype == np.dtype("<f4")
            assert np.array_equal(layer[:], np.float32(counts / 2 + 0.25))
            assert (layer.compression, layer.shuffle, layer.chunks) == ("gzip", True, (40, 30))
        expected, found = everything(before), everything(after)
        new = {place for place in found if place not in expected}
        assert new == {"layers/imputed"} | {f"layers/imputed/{part}" for part in layer if is_sparse}
        assert {place: found[place] for place in expected} == expected


def test_a_layer_of_that_name_is_replaced(write, annotated, counts):
    once = write(annotated, "one.h5ad", "add=1")
    twice = write(once, "two.h5ad", "add=3")
    other = write(twice, "three.h5ad", "sparse=1", "name=spliced")
    with h5py.File(other) as root:
        assert np.array_equal(root["layers/imputed"][:], np.float32(counts / 2 + 3))
        assert np.array_equal(matrix(root["layers/spliced"]), counts / 2)


def test_the_same_input_gives_the_same_bytes(write, annotated):
    one, two = (write(annotated, name, "add=1") for name in ("one.h5ad", "two.h5ad"))
    assert one.read_bytes() == two.read_bytes()


def test_of_raw_counts_raw_becomes_x(write, annotated, counts):
    with h5py.File(annotated, "a") as root:
        raw = root.create_group("raw")
        raw.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
        more = np.hstack([counts, counts[:, :5]])
        write_matrix(raw, "X", more)
        write_h5ad(annotated.parent / "more.h5ad", more)
        with h5py.File(annotated.parent / "more.h5ad") as other:
            other.copy("var", raw, "var")
    path = write(annotated, "out.h5ad", "layer=raw")
    with h5py.File(path) as root:
        assert matrix_of_any_index(root["X"]).shape == (40, 35) and np.array_equal(root["layers/imputed"][:], more / 2)
        assert texts(root["var/_index"]) == names(35, "GENE")
        assert set(root["layers"]) == {"imputed"} and "varm" not in root and "raw" not in root
        assert set(root["obsm"]) == {"X_pca"} and set(root["obs"]) == {"_index", "type"}


def matrix_of_any_index(group):
    parts = (group["data"][:], group["indices"][:], group["indptr"][:])
    return sparse.csr_matrix(parts, shape=tuple(group.attrs["shape"])).toarray()


def test_of_other_formats_x_is_what_was_counted(write, counts, tmp_path):
    path = write(write_folder(tmp_path / "x", counts), "out.h5ad", "add=0.5", "name=filled")
    with h5py.File(path) as root:
        assert encoding(root) == ("anndata", "0.1.0")
        assert np.array_equal(matrix(root["X"]), counts)
        assert np.array_equal(root["layers/filled"][:], np.float32(counts / 2 + 0.5))
        for frame, index in {"obs": CELLS, "var": GENES}.items():
            assert encoding(root[frame]) == ("dataframe", "0.2.0") and root[frame].attrs["_index"] == "_index"
            assert root[frame].attrs["column-order"].shape == (0,)
            assert encoding(root[frame]["_index"]) == ("string-array", "0.2.0")
            assert texts(root[frame]["_index"]) == index
        for group in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            assert encoding(root[group]) == ("dict", "0.1.0")


def test_many_cells_are_written_in_chunks(write, tmp_path):
    """More rows than a chunk holds, and more texts and entries."""
    counts = simulated(14000, 60, 3)[0]
    write_h5ad(tmp_path / "in.h5ad", counts, compression="gzip")
    with h5py.File(write(tmp_path / "in.h5ad", "out.h5ad", "add=1")) as root:
        assert root["layers/imputed"].chunks == (2**20 // 240, 60)
        assert np.array_equal(root["layers/imputed"][:], np.float32(counts / 2 + 1))
    with h5py.File(write(write_folder(tmp_path / "x", counts), "far.h5ad", "sparse=1")) as root:
        assert np.array_equal(matrix(root["X"]), counts) and np.array_equal(matrix(root["layers/imputed"]), counts / 2)
        assert texts(root["obs/_index"]) == names(14000, "CELL")
        assert root["X/data"].shape[0] > 2**18


def test_what_anndata_0_7_wrote_keeps_its_categories(write, counts, tmp_path):
    path = write_h5ad(tmp_path / "in.h5ad", counts)
    with h5py.File(path, "a") as root:
        former = root["obs"].create_dataset("former", data=(np.arange(40) % 3).astype("int8"))
        text = h5py.string_dtype()
        levels = root["obs"].create_dataset("__categories/former", data=np.array(["a", "b", "c"], dtype=object), dtype=text)
        former.attrs["categories"] = levels.ref
    with h5py.File(write(path, "out.h5ad")) as root:
        assert texts(root[root["obs/former"].attrs["categories"]]) == ["a", "b", "c"]


def test_anndata_reads_it_without_a_warning(write, annotated, counts, tmp_path):
    pytest.importorskip("anndata")
    fresh = write(write_folder(tmp_path / "x", counts), "fresh.h5ad", "sparse=1")
    passed = write(annotated, "passed.h5ad", "add=1")
    script = """
import sys, anndata
for path in sys.argv[1:]:
    for backed in (None, "r"):
        data = anndata.read_h5ad(path, backed=backed)
        print(data.shape, sorted(data.layers), sorted(data.obsm), list(data.obs), data.obs_names[3], data.var_names[4])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script, fresh, passed], capture_output=True, text=True)
    told = ["(40, 30) ['imputed'] [] [] CELL0003 GENE0004"] * 2
    told += ["(40, 30) ['imputed', 'spliced'] ['X_pca'] ['type'] CELL0003 GENE0004"] * 2
    assert done.stdout.splitlines() == told, done.stderr


def test_links_stay_links(write, annotated):
    with h5py.File(annotated, "a") as root:
        root["uns/elsewhere"] = h5py.ExternalLink("other.h5ad", "uns")
    with h5py.File(write(annotated, "out.h5ad")) as root:
        assert root["uns"].get("elsewhere", getlink=True).filename == "other.h5ad"


def test_the_room_of_what_is_replaced_is_used_again(write, tmp_path):
    write_h5ad(tmp_path / "in.h5ad", np.random.default_rng(1).poisson(3.0, (3000, 100)), compression="gzip")
    once = write(tmp_path / "in.h5ad", "one.h5ad", "add=1")
    twice = write(once, "two.h5ad", "add=1")
    with h5py.File(twice) as root:
        assert twice.stat().st_size < once.stat().st_size + root["layers/imputed"].id.get_storage_size() / 10


def test_a_full_disk_is_told_and_leaves_nothing(write, tmp_path):
    counts = np.random.default_rng(1).poisson(3.0, (3000, 100))
    path = write_h5ad(tmp_path / "in.h5ad", counts, compression="gzip")
    folder = write_folder(tmp_path / "x", counts)
    before = sorted(tmp_path.iterdir())

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    environment = os.environ | {"TMPDIR": str(tmp_path)}
    for source in (path, folder):
        for name in ("out.h5ad", "out.csv", "out.mtx", "out.mtx.gz", "out.npy"):
            line, code = write(source, name, "add=0.1", preexec_fn=limited, env=environment)
            assert code == 1 and "File too large" in line, line
            assert sorted(tmp_path.iterdir()) == before


def test_pipes_are_refused(write, annotated, tmp_path):
    os.mkfifo(tmp_path / "pipe.h5ad")
    tool = os.environ["AETOOLS_READ_COUNTS"]
    reader = os.open(tmp_path / "pipe.h5ad", os.O_RDWR)
    done = subprocess.run([tool, annotated, f"output={tmp_path / 'pipe.h5ad'}"], capture_output=True, text=True,
                          timeout=60)
    os.close(reader)
    assert done.returncode == 2 and "is no file" in done.stderr


# --- text and arrays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.tsv"])
def test_tables(write, annotated, counts, name):
    path = write(annotated, name, "add=0.1")
    data = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    head, *rows = csv.reader(data.decode().splitlines(), delimiter="\t" if "tsv" in name else ",")
    assert head == ["cell", *GENES] and [row[0] for row in rows] == CELLS
    expected = np.float32(counts / 2) + np.where(counts > 0, np.float32(0.1), np.float32(0.1))
    assert np.array_equal(np.array([row[1:] for row in rows], dtype="float32"), expected)


@pytest.mark.parametrize("name", ["x.mtx", "x.mtx.gz"])
@pytest.mark.parametrize("options", [[], ["sparse=1"], ["whole=1"]])
def test_matrix_market_as_scipy_reads_it(write, annotated, counts, tmp_path, name, options):
    from scipy.io import mminfo, mmread

    factor = 2 if "whole=1" in options else 0.5
    folder = write_folder(tmp_path / "x", counts)
    for source, expected in ((annotated, counts), (folder, counts.T)):
        path = write(source, name, *options)
        made = mmread(path)
        assert np.array_equal(made.toarray(), expected * factor)
        assert mminfo(path)[2:5] == (np.count_nonzero(counts), "coordinate", "integer" if factor == 2 else "real")


def test_arrays(write, annotated, counts):
    array = np.load(write(annotated, "x.npy"))
    assert array.dtype == np.dtype("<f4") and np.array_equal(array, counts / 2)


def test_unknown_names_are_told(write, annotated):
    line, code = write(annotated, "x.h5")
    assert code == 2 and ".csv[.gz] or .tsv[.gz] or .mtx[.gz] or .npy or .h5ad" in line
