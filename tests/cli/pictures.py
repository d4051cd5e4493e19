"""PNG files by the standard library alone, and how to read back what the programs write."""

import ast
import struct
import zlib

import numpy


def write_png(path, pixels):
    """pixels: uint8 or uint16, [height, width] or [height, width, 3]."""
    pixels = numpy.asarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = 8 * pixels.dtype.itemsize
    height, width = pixels.shape[:2]
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in big_endian)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def write_idx(path, array):
    """Bytes, as MNIST's files hold them."""
    array = numpy.asarray(array, numpy.uint8)
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes())


def read_png(path):
    """Gray or RGB of 8 or 16 bits -> [height, width(, 3)]."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, body = 8, b""
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", content[:10])
        if kind == b"IDAT":
            body += content
        position += 12 + length
    channels = {0: 1, 2: 3}[colour]
    step = channels * depth // 8
    stride = width * step
    raw = zlib.decompress(body)
    rows, above = [], bytearray(stride)
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            up = above[i]
            estimate = left + up - corner
            distances = [abs(estimate - left), abs(estimate - up), abs(estimate - corner)]
            paeth = (left, up, corner)[distances.index(min(distances))]
            row[i] = (row[i] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        rows.append(bytes(row))
        above = row
    pixels = numpy.frombuffer(b"".join(rows), dtype=">u2" if depth == 16 else "u1").astype(int)
    return pixels.reshape((height, width) if channels == 1 else (height, width, 3))


def read_npy(path):
    """A second reader of NPY version 1, written from the format's description."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    header = ast.literal_eval(data[10 : 10 + length].decode())
    return numpy.frombuffer(data[10 + length :], dtype=header["descr"]).reshape(header["shape"])
