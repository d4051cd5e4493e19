"""Matrices of counts as other programs write them, read by tests/tools/read_counts.cpp and compared entry by entry."""

import json

import numpy as np
import pytest
from count_matrices import names, read_counts, with_gaps, write_folder, write_h5ad, write_matrix

h5py = pytest.importorskip("h5py")
sparse = pytest.importorskip("scipy.sparse")


@pytest.fixture
def read():
    """read(path, "layer=raw") as (dense matrix, all that was found), or the line of the error and its exit code."""
    def read_file(path, *options):
        done = read_counts(path, *options)
        if done.returncode != 0:
            return done.stderr, done.returncode
        found = json.loads(done.stdout)
        parts = (found["counts"], found["indices"], found["begins"])
        return sparse.csr_matrix(parts, shape=(found["cells"], len(found["genes"]))).toarray(), found

    return read_file


@pytest.fixture(scope="module")
def counts():
    return with_gaps()


@pytest.mark.parametrize("encoding", ["csr_matrix", "csc_matrix", "array"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint16"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "chunks": True, "shuffle": True}])
def test_the_matrix_is_read_as_it_was_written(read, counts, tmp_path, encoding, dtype, options):
    path = write_h5ad(tmp_path / "x.h5ad", counts, encoding=encoding, dtype=dtype, **options)
    matrix, found = read(path)
    assert np.array_equal(matrix, counts)
    assert found["names"] == names(40, "CELL") and found["genes"] == names(30, "GENE") and found["told"] == []


@pytest.mark.parametrize("chunks", [(40, 1), (1, 30), (7, 11)])
def test_dense_matrices_of_any_chunks(read, counts, tmp_path, chunks):
    path = write_h5ad(tmp_path / "x.h5ad", counts, encoding="array", chunks=chunks, compression="gzip")
    assert np.array_equal(read(path)[0], counts)


def test_layers_and_raw(read, counts, tmp_path):
    path = write_h5ad(tmp_path / "x.h5ad", np.log1p(counts[:, :10]), gene_names=names(10, "GENE"))
    with h5py.File(path, "a") as root:
        write_matrix(root, "layers/spliced", counts[:, :10] * 2)
        raw = root.create_group("raw")
        write_matrix(raw, "X", counts)
        root.copy("var", raw, "var")
        del raw["var/_index"]
        raw["var"].create_dataset("_index", data=np.array(names(30, "GENE"), dtype="S"))
    matrix, found = read(path)
    assert np.allclose(matrix, np.log1p(counts[:, :10]), rtol=1e-6)
    assert len(found["told"]) == 1 and "no whole numbers" in found["told"][0] and "/data/layer" in found["told"][0]
    assert np.array_equal(read(path, "layer=spliced")[0], counts[:, :10] * 2)
    matrix, found = read(path, "layer=raw")
    assert np.array_equal(matrix, counts) and len(found["genes"]) == 30
    line, code = read(path, "layer=splice")
    assert code == 2 and 'did you mean "spliced"' in line and '"raw"' in line


def test_columns_of_every_encoding(read, counts, tmp_path):
    path = write_h5ad(tmp_path / "x.h5ad", counts, label=["T", "B"] * 20)
    text = h5py.string_dtype()
    with h5py.File(path, "a") as root:
        obs = root["obs"]
        obs.create_dataset("text", data=np.array([f"s{i}" for i in range(40)], dtype=object), dtype=text)
        obs.create_dataset("fixed", data=np.array([f"s{i}" for i in range(40)], dtype="S5"))
        obs.create_dataset("truth", data=np.arange(40) % 2 == 0)
        obs.create_dataset("number", data=np.where(np.arange(40) == 3, np.nan, np.arange(40) / 4))
        obs.create_dataset("whole", data=np.arange(40, dtype="uint32"))
        for name, values in {"nullable": np.arange(40), "nullable_truth": np.arange(40) > 5}.items():
            group = obs.create_group(name)
            group.attrs["encoding-type"] = "nullable-integer"
            group.create_dataset("values", data=values)
            group.create_dataset("mask", data=np.arange(40) == 2)
        group = obs.create_group("nullable_text")
        group.attrs["encoding-type"] = "nullable-string-array"
        group.create_dataset("values", data=np.array(["x"] * 40, dtype=object), dtype=text)
        group.create_dataset("mask", data=np.arange(40) == 2)
        former = obs.create_dataset("former", data=np.where(np.arange(40) == 1, -1, np.arange(40) % 3).astype("int8"))
        categories = obs.create_dataset("__categories/former", data=np.array(["a", "b", "c"], dtype=object), dtype=text)
        former.attrs["categories"] = categories.ref  # as anndata 0.7 has it
    expected = {
        "type": ["T", "B"] * 20,
        "text": [f"s{i}" for i in range(40)],
        "fixed": [f"s{i}" for i in range(40)],
        "truth": [str(i % 2 == 0) for i in range(40)],
        "number": ["" if i == 3 else f"{i / 4:g}" for i in range(40)],
        "whole": [str(i) for i in range(40)],
        "nullable": ["" if i == 2 else str(i) for i in range(40)],
        "nullable_truth": ["" if i == 2 else str(i > 5) for i in range(40)],
        "nullable_text": ["" if i == 2 else "x" for i in range(40)],
        "former": ["" if i == 1 else "abc"[i % 3] for i in range(40)],
    }
    for column, texts in expected.items():
        assert read(path, f"label={column}")[1]["label"] == texts, column
    line, code = read(path, "label=typ")
    assert code == 2 and 'did you mean "type"' in line and "nullable_text" in line and "__categories" not in line


def test_what_anndata_writes(read, counts, tmp_path):
    anndata = pytest.importorskip("anndata")
    pandas = pytest.importorskip("pandas")
    obs = pandas.DataFrame({"type": ["T", "B", None, "T"] * 10, "n": np.arange(40.0), "ok": [True, False] * 20,
                            "maybe": pandas.array([1, None] * 20, dtype="Int64")}, index=names(40, "CELL"))
    for matrix in (counts.astype("float32"), sparse.csr_matrix(counts), sparse.csc_matrix(counts)):
        data = anndata.AnnData(matrix, obs=obs.copy(), var=pandas.DataFrame(index=names(30, "GENE")), dtype=matrix.dtype)
        data.layers["doubled"] = matrix * 2
        data.raw = data
        data.write_h5ad(tmp_path / "x.h5ad", compression="gzip")
        for options, expected in ([], counts), (["layer=doubled"], counts * 2), (["layer=raw"], counts):
            assert np.array_equal(read(tmp_path / "x.h5ad", *options)[0], expected)
    for column in obs:
        texts = ["" if pandas.isna(x) else f"{x:g}" if isinstance(x, float) else str(x) for x in obs[column]]
        assert read(tmp_path / "x.h5ad", f"label={column}")[1]["label"] == texts


def write_10x(path, groups, version=3):
    text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as root:
        for name, counts in groups.items():
            group = root.create_group(name)
            matrix = sparse.csc_matrix(counts.T)
            group.create_dataset("shape", data=np.array(matrix.shape, dtype="int32"))
            for part in ("data", "indices", "indptr"):
                group.create_dataset(part, data=getattr(matrix, part), chunks=True, compression="gzip")
            group.create_dataset("barcodes", data=np.array(names(len(counts), "CELL"), dtype="S"))
            ids, symbols = ([f"{x}{i}" for i in range(counts.shape[1])] for x in ("ENSG", "G"))
            if version == 2:
                group.create_dataset("genes", data=np.array(ids, dtype="S"))
                group.create_dataset("gene_names", data=np.array(symbols, dtype="S"))
                continue
            kinds = ["Gene Expression"] * (len(ids) - 2) + ["Antibody Capture"] * 2
            for part, values in {"id": ids, "name": symbols, "feature_type": kinds}.items():
                group.create_dataset(f"features/{part}", data=np.array(values, dtype=object), dtype=text)
    return path


def test_10x_files_of_both_versions(read, counts, tmp_path):
    third = write_10x(tmp_path / "3.h5", {"matrix": counts})
    matrix, found = read(third)
    assert np.array_equal(matrix, counts[:, :28]) and found["genes"] == [f"G{i}" for i in range(28)]
    assert len(found["told"]) == 1 and "28 of 30 features" in found["told"][0]
    matrix, found = read(third, "feature_type=", "gene_names=id")
    assert np.array_equal(matrix, counts) and found["genes"][0] == "ENSG0"
    second = write_10x(tmp_path / "2.h5", {"hg19": counts}, version=2)
    assert np.array_equal(read(second)[0], counts)
    several = write_10x(tmp_path / "several.h5", {"hg19": counts, "mm10": counts[:, :9]}, version=2)
    line, code = read(several)
    assert code == 2 and "/data/genome" in line and "hg19, mm10" in line
    assert np.array_equal(read(several, "genome=mm10")[0], counts[:, :9])


@pytest.mark.parametrize("version", [2, 3])
def test_folders(read, counts, tmp_path, version):
    matrix, found = read(write_folder(tmp_path / "x", counts, version))
    assert np.array_equal(matrix, counts)
    assert found["names"] == names(40, "CELL") and found["genes"] == names(30, "GENE")


@pytest.mark.parametrize("encoding", ["csr_matrix", "csc_matrix", "array"])
def test_files_of_no_cells(read, counts, tmp_path, encoding):
    matrix, found = read(write_h5ad(tmp_path / "x.h5ad", counts[:0], label=[], encoding=encoding), "label=type")
    assert matrix.shape == (0, 30) and found["genes"] == names(30, "GENE") and found["names"] == []
    for version, group in ((2, "hg19"), (3, "matrix")):
        path = write_10x(tmp_path / f"{version}.h5", {group: counts}, version)
        for part in ("data", "indices", "barcodes"):
            replaced(path, f"{group}/{part}", np.array([], dtype="S9" if part == "barcodes" else "i4"))
        replaced(path, f"{group}/indptr", np.zeros(1, dtype="i8"))
        replaced(path, f"{group}/shape", np.array([30, 0]))
        assert read(path, "feature_type=")[0].shape == (0, 30)


def test_what_scipy_writes(read, counts, tmp_path):
    from scipy.io import mmwrite

    square = counts[:30] + counts[:30].T
    for i, matrix in enumerate((counts, counts.astype(float) / 3, counts.astype("uint32"), square)):
        for made in (sparse.coo_matrix(matrix), matrix):
            mmwrite(tmp_path / f"{i}.mtx", made)
            assert np.allclose(read(tmp_path / f"{i}.mtx", "orientation=cells_by_genes")[0], matrix, rtol=1e-6)
            assert np.allclose(read(tmp_path / f"{i}.mtx", "orientation=genes_by_cells")[0], matrix.T, rtol=1e-6)


# --- what cannot be read ---------------------------------------------------------------------------------------------


def write_filtered(path, counts, number, of_chunk, mask=0):
    """A dense matrix in one chunk, of the bytes given, of a filter that h5py need not have."""
    path = write_h5ad(path, counts, encoding="array", dtype="int32", chunks=counts.shape)
    with h5py.File(path, "a") as root:
        del root["X"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk(counts.shape)
        creation.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        made = h5py.h5d.create(root.id, b"X", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple(counts.shape), dcpl=creation)
        made.write_direct_chunk((0, 0), of_chunk, mask)
        h5py.Dataset(made).attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return path


def test_a_lacking_filter_is_named_and_chunks_stored_without_it_are_read(read, counts, tmp_path):
    dense = np.asarray(counts, dtype="int32")
    line, code = read(write_filtered(tmp_path / "x.h5ad", dense, 32004, b"0123"))
    assert code == 4 and "LZ4" in line and 'compression="gzip"' in line and "hdf5-filter-plugin" in line
    assert np.array_equal(read(write_filtered(tmp_path / "x.h5ad", dense, 32004, dense.tobytes(), mask=1))[0], dense)


@pytest.mark.parametrize("encoding", ["csr_matrix", "csc_matrix", "array"])
def test_lzf(read, counts, tmp_path, encoding):
    path = write_h5ad(tmp_path / "x.h5ad", np.tile(counts, (40, 1)), encoding=encoding, compression="lzf")
    assert np.array_equal(read(path)[0], np.tile(counts, (40, 1)))
    noise = np.random.default_rng(1).integers(1, 2**24, (50, 20))  # does not compress, so that chunks are stored plain
    path = write_h5ad(tmp_path / "y.h5ad", noise, encoding="array", dtype="int32", compression="lzf", chunks=(50, 20))
    with h5py.File(path) as root:
        assert root["X"].id.get_chunk_info(0).filter_mask == 1
    assert np.array_equal(read(path)[0], noise)


def test_damaged_lzf(read, counts, tmp_path):
    path = write_h5ad(tmp_path / "x.h5ad", np.tile(counts, (40, 1)), encoding="array", dtype="int32", compression="lzf")
    with h5py.File(path) as root:
        chunk = root["X"].id.get_chunk_info(0)
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))
    line, code = read(path)
    assert code == 4 and "x.h5ad" in line


def zstandard_frame(content, claimed=None, run=False):
    """RFC 8878: magic number, single segment with the content's size in 8 bytes, one raw block or one run of a byte."""
    block = (len(content) << 3 | run << 1 | 1).to_bytes(3, "little") + (content[:1] if run else content)
    size = len(content) if claimed is None else claimed
    return (0xFD2FB528).to_bytes(4, "little") + bytes([0xE0]) + size.to_bytes(8, "little") + block


def test_zstandard(read, counts, tmp_path):
    dense = np.asarray(counts, dtype="int32")

    def answer(frame):
        return read(write_filtered(tmp_path / "x.h5ad", dense, 32015, frame))

    assert np.array_equal(answer(zstandard_frame(dense.tobytes()))[0], dense)
    assert np.array_equal(answer(zstandard_frame(b"\1" * dense.nbytes, run=True))[0], np.full(dense.shape, 0x01010101, dtype="float32"))
    for bad in (zstandard_frame(dense.tobytes(), claimed=2**40), zstandard_frame(dense.tobytes())[:-9], b"no frame"):
        line, code = answer(bad)
        assert code == 4 and "x.h5ad" in line


def test_other_files_are_not_looked_into(read, counts, tmp_path):
    write_h5ad(tmp_path / "other.h5ad", counts)
    for name, link in {"X": h5py.ExternalLink(str(tmp_path / "other.h5ad"), "X"), "X/data": None}.items():
        path = write_h5ad(tmp_path / "x.h5ad", counts)
        with h5py.File(path, "a") as root:
            del root[name]
            root[name] = link or h5py.ExternalLink(str(tmp_path / "other.h5ad"), "X/data")
        line, code = read(path)
        assert code == 4 and "link to another file" in line
    path = write_h5ad(tmp_path / "x.h5ad", counts)
    with h5py.File(path, "a") as root:
        del root["X"]
        layout = h5py.VirtualLayout(shape=(40, 30), dtype="f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "dense.h5ad"), "X", shape=(40, 30))
        root.create_virtual_dataset("X", layout)
    line, code = read(path)
    assert code == 4 and "lies in other files" in line


def replaced(path, place, values, **options):
    with h5py.File(path, "a") as root:
        del root[place]
        root.create_dataset(place, data=values, **options)


def test_damaged_files_are_told_of_in_one_line(read, counts, tmp_path):
    def damaged(place, values, *words, **options):
        path = write_h5ad(tmp_path / "x.h5ad", counts, label=["T"] * 40)
        replaced(path, place, values, **options)
        line, code = read(path, "label=type")
        assert code == 4, line
        for word in (str(path), *words):
            assert word in line

    entries = np.count_nonzero(counts)
    damaged("X/indices", np.full(entries, 30), "X/indices", "30")
    damaged("X/indices", np.full(entries, -1), "X/indices", "-1")
    damaged("X/indices", np.zeros(entries - 1, dtype=int), "X/indptr", str(entries))
    damaged("X/indptr", np.zeros(41, dtype=int), "X/indptr")
    damaged("X/indptr", np.arange(40), "X/indptr", "41")
    damaged("X/indptr", np.zeros(41), "X/indptr", "whole")
    damaged("X/data", np.full(entries, -1.0), "holds -1, expected a count", 'cell "CELL0000"')
    damaged("X/data", np.full(entries, np.inf), "holds inf")
    damaged("X/data", np.full(entries, "a", dtype="S1"), "numbers")
    damaged("obs/_index", np.array(names(39, "CELL"), dtype="S"), "39 names")
    damaged("var/_index", np.arange(31), "31 names")
    damaged("obs/type/codes", np.full(40, 1, dtype="int8"), "obs/type")
    damaged("obs/type/codes", np.zeros(3, dtype="int8"), "obs/type", "length")


def test_sizes_are_checked_before_memory_is_taken(read, counts, tmp_path):
    path = write_h5ad(tmp_path / "x.h5ad", counts)
    with h5py.File(path, "a") as root:
        del root["X/indptr"]
        root["X"].create_dataset("indptr", shape=(1 << 40,), dtype="i8", chunks=(1 << 20,), compression="gzip")
    line, code = read(path)
    assert code == 4 and "is not all there" in line
    with h5py.File(path, "a") as root:
        root["X"].attrs["shape"] = (1 << 40, 1 << 40)
    line, code = read(path)
    assert code == 4 and "1099511627776 genes" in line
    path = write_h5ad(tmp_path / "y.h5ad", counts)
    with h5py.File(path, "a") as root:
        values = root["X/data"][:].astype("f8")
        del root["X/data"]
        root["X"].create_dataset("data", data=values, chunks=(9_000_000,), maxshape=(None,), compression="gzip")
    line, code = read(path)
    assert code == 4 and '"X/data" has chunks of 72000000 bytes' in line


def test_other_hdf5_files_and_cut_ones(read, counts, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as root:
        root["weights"] = np.zeros(3)
    line, code = read(tmp_path / "x.h5")
    assert code == 4 and "weights" in line and "AnnData" in line
    path = write_h5ad(tmp_path / "x.h5ad", counts)
    for size in (100, 1000, path.stat().st_size // 2, path.stat().st_size - 1):
        (tmp_path / "cut.h5ad").write_bytes(path.read_bytes()[:size])
        line, code = read(tmp_path / "cut.h5ad")
        assert code == 4 and "cut.h5ad" in line


def test_a_damaged_heap_of_texts_is_refused_before_the_library_goes_through_it(read, counts, tmp_path):
    path = write_h5ad(tmp_path / "in.h5ad", counts)
    assert read(path)[0].shape == counts.shape
    content = bytearray(path.read_bytes())
    heap = content.find(b"GCOL\1")
    assert heap > 0
    content[heap + 16 + 8 : heap + 16 + 16] = (1 << 40).to_bytes(8, "little")  # the size of its first text
    path.write_bytes(content)
    line, code = read(path)
    assert code == 4 and f"the heap of texts at byte {heap} is damaged" in line
