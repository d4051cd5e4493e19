"""Simulated counts, and files of them written by other programs or from the formats' descriptions alone."""

import gzip

import numpy as np


def simulated(cells, genes, seed, types=2, markers=0.1, depth=1.0):
    """(counts [cells, genes], type of each cell): negative binomial counts of dispersion 0.5 around a mean that is the
    product of a gene's level (log-normal), a cell's depth (log-normal, sigma 0.3) and, of a tenth of the genes, the
    type's factor (log-normal, sigma 1.5)."""
    random = np.random.default_rng(seed)
    of_type = random.integers(types, size=cells)
    level = np.exp(random.normal(-1, 1, genes)) * depth
    factor = np.where(random.random((types, genes)) < markers, np.exp(random.normal(0, 1.5, (types, genes))), 1)
    mean = np.exp(random.normal(0, 0.3, cells))[:, None] * level * factor[of_type]
    return random.poisson(random.gamma(2, mean / 2)), of_type


def names(count, prefix):
    return [f"{prefix}{i:04}" for i in range(count)]


def write_folder(folder, counts, version=3, symbols=None, compressed=True):
    """A 10x folder: matrix.mtx genes x cells with its names."""
    folder.mkdir()
    cells, genes = counts.shape
    symbols = symbols or names(genes, "GENE")
    gene, cell = np.nonzero(counts.T)
    lines = ["%%MatrixMarket matrix coordinate integer general", "%", f"{genes} {cells} {len(gene)}"]
    lines += [f"{g + 1} {c + 1} {counts[c, g]}" for c, g in sorted(zip(cell, gene))]
    type_of = "\tGene Expression" if version == 3 else ""
    files = {
        "matrix.mtx": lines,
        "features.tsv" if version == 3 else "genes.tsv": [f"ENSG{i:011}\t{s}{type_of}" for i, s in enumerate(symbols)],
        "barcodes.tsv": names(cells, "CELL"),
    }
    for name, content in files.items():
        text = "".join(line + "\n" for line in content).encode()
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text))
        else:
            (folder / name).write_bytes(text)
    return folder


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
