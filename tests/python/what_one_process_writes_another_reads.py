# SPDX-License-Identifier: MIT OR Apache-2.0
"""A writer and a reader that know the device's name and nothing of each other."""
from common import *


def writer():
    # As one makes a file for it; there is nothing to create, and nothing is cut off.
    fd = os.open(DEVICE, os.O_CREAT | os.O_TRUNC | os.O_RDWR)
    with mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_WRITE) as m:
        os.close(fd)
        m.seek(0)
        m.write("Hello, World! Привет, 共享内存".encode())
        m.write_byte(0)


def reader():
    fd = os.open(DEVICE, os.O_RDONLY)
    with mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ) as m:
        text = m[: m.find(b"\0")].decode()
        assert text == "Hello, World! Привет, 共享内存", text
        (first,) = struct.unpack("5s", m[:5])
        assert first == b"Hello"


join(fork(writer))
join(fork(reader))

# The same with mappings that are there all the time, and one that parent and child share by fork.
fd = os.open(DEVICE, os.O_RDWR)
m = mmap.mmap(fd, PAGE)
ready, done = os.pipe(), os.pipe()


def child():
    os.read(ready[0], 1)
    assert m.readline() == b"first line\n"
    assert m.readline() == b"second line\n"
    m[100:105] = b"reply"
    os.write(done[1], b"x")


pid = fork(child)
m[:23] = b"first line\nsecond line\n"
os.write(ready[1], b"x")
os.read(done[0], 1)
assert m[100:105] == b"reply"
join(pid)
