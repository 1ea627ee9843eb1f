# SPDX-License-Identifier: MIT OR Apache-2.0
"""The device as a file: os.read and its kin, open(), and what programs do to large files."""
import errno
import re

from common import *

fd = os.open(DEVICE, os.O_RDWR)
assert os.write(fd, b"0123456789") == 10 and os.lseek(fd, 0, os.SEEK_CUR) == 10
assert os.lseek(fd, -5, os.SEEK_CUR) == 5 and os.read(fd, 3) == b"567"
assert os.pread(fd, 4, 2) == b"2345" and os.pwrite(fd, b"ab", 2) == 2 and os.pread(fd, 4, 1) == b"1ab4"
buffers = [bytearray(2), bytearray(3)]
assert os.preadv(fd, buffers, 0) == 5 and buffers == [b"01", b"ab4"]
assert os.pwritev(fd, [b"x", b"yz"], 0) == 3 and os.pread(fd, 4, 0) == b"xyzb"
assert os.lseek(fd, 0, os.SEEK_END) == SIZE and os.read(fd, 1) == b""
assert os.lseek(fd, 0, os.SEEK_DATA) == 0 and os.lseek(fd, 0, os.SEEK_HOLE) == SIZE
refused(errno.ENOSPC, os.pwrite, fd, b"x", SIZE)
refused(errno.EINVAL, os.lseek, fd, SIZE + 1, os.SEEK_SET)
os.fsync(fd)

# File objects, with Python's buffers and without.
with open(DEVICE, "r+b", buffering=0) as raw:
    assert raw.seekable() and raw.readable() and raw.writable()
    raw.seek(-4, os.SEEK_END)
    assert raw.write(b"tail and more") == 4 and raw.tell() == SIZE
    raw.seek(0)
    everything = raw.read()
    assert len(everything) == SIZE and everything.endswith(b"tail")
with os.fdopen(os.open(DEVICE, os.O_RDWR), "r+b") as file:
    file.write(b"line one\nline two\nline three\n")
    file.seek(0)
    assert [next(file) for _ in range(3)] == [b"line one\n", b"line two\n", b"line three\n"]
    with mmap.mmap(file.fileno(), PAGE) as m:
        assert m.readline() == b"line one\n"

# Copied out by sendfile.
with open(f"/tmp/shmdev-copy-{os.getpid()}", "w+b") as copy:
    os.unlink(copy.name)
    os.lseek(fd, 0, os.SEEK_SET)
    while os.sendfile(copy.fileno(), fd, None, SIZE):
        pass
    copy.seek(0)
    assert copy.read() == os.pread(fd, SIZE, 0)

# Words counted in a large text, without copying it: by find, and by a regular expression over the mapping.
text = b"an example of a sentence, for example; examples abound. "
LARGE = SIZE // 8
with mmap.mmap(fd, LARGE) as m:
    repeat = LARGE // len(text)
    m[: repeat * len(text)] = text * repeat
    m[repeat * len(text) :] = bytes(LARGE - repeat * len(text))
    count, place = 0, m.find(b"example")
    while place >= 0:
        count, place = count + 1, m.find(b"example", place + 1)
    assert count == 3 * repeat
    assert sum(1 for _ in re.finditer(rb"\bexample\b", m)) == 2 * repeat
    assert m.rfind(b"abound") == (repeat - 1) * len(text) + text.index(b"abound")
