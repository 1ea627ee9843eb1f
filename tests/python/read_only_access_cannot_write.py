# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every way to ask for a mapping, and what may be done to it."""
import errno

from common import *

reader, writer, both = (os.open(DEVICE, flags) for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
os.pwrite(both, b"visible", 0)

for view in (
    mmap.mmap(reader, PAGE, access=mmap.ACCESS_READ),
    mmap.mmap(both, PAGE, access=mmap.ACCESS_READ),
    mmap.mmap(reader, PAGE, mmap.MAP_SHARED, mmap.PROT_READ),
    mmap.mmap(reader, PAGE, mmap.MAP_PRIVATE, mmap.PROT_READ),
):
    assert view[:7] == b"visible"
    raises(TypeError, view.__setitem__, 0, 1)
    raises(TypeError, view.__setitem__, slice(0, 3), b"abc")
    raises(TypeError, view.write, b"abc")
    raises(TypeError, view.write_byte, 1)
    raises(TypeError, view.move, 0, 1, 1)
    assert memoryview(view).readonly
    os.pwrite(both, b"changed", 0)
    assert view[:7] == b"changed", "it shows what others write"
    os.pwrite(both, b"visible", 0)

# A handle that is open for reading gives no way to write, and one that is not open for reading none to map.
refused(errno.EACCES, mmap.mmap, reader, PAGE)
refused(errno.EACCES, mmap.mmap, reader, PAGE, access=mmap.ACCESS_WRITE)
refused(errno.EACCES, mmap.mmap, reader, PAGE, mmap.MAP_SHARED, mmap.PROT_WRITE)
refused(errno.EACCES, mmap.mmap, writer, PAGE)
refused(errno.EACCES, mmap.mmap, writer, PAGE, access=mmap.ACCESS_READ)

# A copy is the process's own, and needs no right to write; it is possible where pages are mapped as they are touched.
if MAP == MAP_FAULT:
    for fd in (reader, both):
        with mmap.mmap(fd, PAGE, access=mmap.ACCESS_COPY) as copy:
            copy[:7] = b"private"
            assert copy[:7] == b"private" and os.pread(both, 7, 0) == b"visible"
else:
    refused(errno.EOPNOTSUPP, mmap.mmap, both, PAGE, access=mmap.ACCESS_COPY)
    refused(errno.EOPNOTSUPP, mmap.mmap, both, PAGE, mmap.MAP_PRIVATE)
# Running it is not.
refused(errno.EPERM, mmap.mmap, both, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_EXEC)

# Written by the mapping that may.
with mmap.mmap(both, PAGE, access=mmap.ACCESS_WRITE) as m:
    m[:7] = b"written"
    assert os.pread(reader, 7, 0) == b"written"
refused(errno.EBADF, os.read, writer, 1)
refused(errno.EBADF, os.write, reader, b"x")
