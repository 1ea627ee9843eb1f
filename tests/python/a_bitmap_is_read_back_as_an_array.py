# SPDX-License-Identifier: MIT OR Apache-2.0
"""A picture: its file is put into the segment by one process and read as pixels by another."""
import array

from common import *

WIDTH, HEIGHT = 37, 23


def pixel(x, y):
    return (x * 7 % 256, y * 11 % 256, (x ^ y) % 256)


def bitmap():
    """A BMP file: 24 bits a pixel, rows from the bottom, each padded to four bytes."""
    stride = (WIDTH * 3 + 3) // 4 * 4
    rows = b"".join(
        bytes(c for x in range(WIDTH) for c in pixel(x, y)).ljust(stride, b"\0") for y in reversed(range(HEIGHT))
    )
    header = struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows


def reader():
    fd = os.open(DEVICE, os.O_RDONLY)
    m = mmap.mmap(fd, 2 * PAGE, access=mmap.ACCESS_READ)
    magic, size, _, _, start = struct.unpack_from("<2sIHHI", m, 0)
    width, height, planes, bits = struct.unpack_from("<iiHH", m, 18)
    assert (magic, size, width, height, planes, bits) == (b"BM", len(bitmap()), WIDTH, HEIGHT, 1, 24)
    stride = (width * 3 + 3) // 4 * 4
    pixels = array.array("B", m[start:size])
    for y in range(height):
        row = (height - 1 - y) * stride
        for x in range(width):
            assert tuple(pixels[row + 3 * x : row + 3 * x + 3]) == pixel(x, y), (x, y)


fd = os.open(DEVICE, os.O_RDWR)
m = mmap.mmap(fd, 2 * PAGE)
m.write(bitmap())
assert m.tell() == len(bitmap())
join(fork(reader))
assert os.pread(fd, len(bitmap()), 0) == bitmap()
