"""Files that are neither tables nor images, as they begin in the formats' descriptions or as Python writes them."""

import gzip
import pickle
import struct
import zipfile

PDB = (
    "HEADER    PLANT PROTEIN                           30-APR-81   1CRN              \n"
    "ATOM      1  N   THR A   1      17.047  14.099   3.625  1.00 13.79           N  \n"
    "ATOM      2  CA  THR A   1      16.967  12.784   4.338  1.00 10.80           C  \n"
)


def other_files(folder):
    """Writes one file of each format; {name: what the programs must call it and what they must advise}."""
    files = {
        "x.pdb": (PDB.encode(), ["PDB structure file", "NPY"]),
        "x.cif": (b"data_1CRN\n#\n_entry.id   1CRN\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 17.047\n",
                  ["mmCIF structure file", "NPY"]),
        "salt.cif": (b"data_NaCl\n_symmetry_space_group_name_H-M   'P 1'\n_cell_length_a   5.64\n",
                     ["a CIF structure file", "NPY"]),
        "x.h5ad": (b"\x89HDF\r\n\x1a\n" + bytes(500), ["HDF5", ".h5ad", "counts"]),
        "x.parquet": (b"PAR1\x15\x04" + bytes(500) + b"PAR1", ["Parquet", "to_csv"]),
        "x.safetensors": (struct.pack("<Q", 2) + b"{}", ["safetensors", "numpy.save"]),
        "x.rds": (gzip.compress(b"X\n\0\0\0\3\0\4\2\1"), ["R data file", "write.csv"]),
        "x.pkl": (pickle.dumps({"a": [1, 2]}), ["pickle", "never executed"]),
        "x.gif": (b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0), ["a GIF image", "PNG"]),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    for name, members in {"x.xlsx": ["[Content_Types].xml", "xl/workbook.xml"], "x.pt": ["x/data.pkl", "x/data/0"]}.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member in members:
                archive.writestr(member, "content")
    return {name: words for name, (_, words) in files.items()} | {
        "x.xlsx": ["Excel workbook", "CSV"], "x.pt": ["torch.save", "numpy.save"]}
