"""Files of counts, written by other programs or from the formats' descriptions alone."""

import importlib.util
import os
import subprocess

import numpy as np
import pytest
from support import SOURCE

_spec = importlib.util.spec_from_file_location("simulate_counts", SOURCE / "scripts/simulate-counts.py")
_script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_script)
names, simulated, write_folder = _script.names, _script.simulated, _script.write_folder


def read_counts(*arguments, **more):
    """Runs tests/tools/read_counts.cpp: what it did; when it failed, that was told in one line on stderr."""
    tool = os.environ.get("AETOOLS_READ_COUNTS")
    if not tool:
        pytest.skip("AETOOLS_READ_COUNTS is not set: the program read_counts of a build with HDF5")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, **more)
    if done.returncode != 0:
        assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    return done


def with_gaps():
    """40 cells x 30 genes, of which one gene and one cell have no counts."""
    made = simulated(40, 30, 1)[0]
    made[:, 7] = 0
    made[5] = 0
    return made


def _string_array(h5py, group, name, texts):
    made = group.create_dataset(name, data=np.array(texts, dtype=object), dtype=h5py.string_dtype())
    made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def _frame(h5py, root, name, index):
    frame = root.create_group(name)
    frame.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    frame.attrs["column-order"] = np.array([], dtype=float)  # as anndata writes it without columns
    _string_array(h5py, frame, "_index", index)
    return frame


def write_matrix(root, place, counts, encoding="csr_matrix", dtype="float32", **options):
    from scipy import sparse

    if encoding == "array":
        made = root.create_dataset(place, data=counts.astype(dtype), **options)
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        return made
    matrix = (sparse.csr_matrix if encoding == "csr_matrix" else sparse.csc_matrix)(counts.astype(dtype))
    group = root.create_group(place)
    group.attrs.update({"encoding-type": encoding, "encoding-version": "0.1.0", "shape": matrix.shape})
    for part in ("data", "indices", "indptr"):
        group.create_dataset(part, data=getattr(matrix, part), **options)
    return group


def write_h5ad(path, counts, cell_names=None, gene_names=None, label=None, **options):
    """What anndata 0.8 writes, without anndata."""
    import h5py

    with h5py.File(path, "w") as root:
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_matrix(root, "X", counts, **options)
        obs = _frame(h5py, root, "obs", cell_names or names(len(counts), "CELL"))
        _frame(h5py, root, "var", gene_names or names(counts.shape[1], "GENE"))
        if label is not None:
            levels = sorted(set(label))
            column = obs.create_group("type")
            column.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
            column.create_dataset("codes", data=np.array([levels.index(x) for x in label], dtype="int8"))
            _string_array(h5py, column, "categories", levels)
    return path
