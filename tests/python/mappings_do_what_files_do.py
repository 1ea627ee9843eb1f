# SPDX-License-Identifier: MIT OR Apache-2.0
"""The methods of an mmap object, one after the other."""
from common import *

fd = os.open(DEVICE, os.O_RDWR)
m = mmap.mmap(fd, 2 * PAGE)
assert len(m) == 2 * PAGE

# Position: write, tell, seek in three ways, read.
m.seek(0)
assert m.write(b"abc") == 3 and m.tell() == 3
m.write(b"defghij")
assert m.tell() == 10
m.seek(3)
assert m.read(4) == b"defg" and m.tell() == 7
m.seek(-2, os.SEEK_CUR)
assert m.tell() == 5
m.seek(-1, os.SEEK_END)
assert m.tell() == 2 * PAGE - 1
m.write_byte(0x7E)
assert m.tell() == 2 * PAGE
raises(ValueError, m.write_byte, 1)
raises(ValueError, m.read_byte)
raises(ValueError, m.write, b"no room")
assert m.read(10) == b""
m.seek(2 * PAGE - 1)
assert m.read_byte() == 0x7E
raises(ValueError, m.seek, -1)
raises(ValueError, m.seek, 1, os.SEEK_END)

# Search, from both sides, with bounds. Without a start it begins at the position.
m.seek(0)
m[:] = bytes(2 * PAGE)
m[10:13] = m[100:103] = m[PAGE - 1 : PAGE + 2] = b"key"
assert m.find(b"key", 0) == 10 and m.find(b"key", 11) == 100 and m.find(b"key", 101) == PAGE - 1
assert m.find(b"key", PAGE) == -1 and m.find(b"nowhere") == -1
assert m.find(b"key", 0, 12) == -1 and m.find(b"key", 0, 13) == 10
assert m.rfind(b"key") == PAGE - 1 and m.rfind(b"key", 0, PAGE) == 100 and m.rfind(b"key", 101, PAGE) == -1

m.seek(0)
assert m.read().count(b"key") == 3 and m.tell() == 2 * PAGE

# Moving bytes inside, where source and target overlap in both directions.
m[0:10] = b"0123456789"
m.move(2, 0, 8)
assert m[0:10] == b"0101234567"
m[0:10] = b"0123456789"
m.move(0, 3, 7)
assert m[0:10] == b"3456789789"
raises(ValueError, m.move, 2 * PAGE - 1, 0, 2)

# Lines.
m.seek(0)
m.write(b"one\ntwo\n\nlast")
m.seek(0)
assert [m.readline() for _ in range(3)] == [b"one\n", b"two\n", b"\n"]
m.seek(2 * PAGE - 4)
m.write(b"tail")
m.seek(2 * PAGE - 4)
assert m.readline() == b"tail" and m.readline() == b""

# Slices, with and without a step, and single bytes.
m[20:30] = b"ABCDEFGHIJ"
assert m[20:30:3] == b"ADGJ" and m[29:19:-1] == b"JIHGFEDCBA" and m[20] == ord("A")
m[20:30:2] = b"-----"
assert m[20:30] == b"-B-D-F-H-J"
m[-1] = 255
assert m[2 * PAGE - 1] == 255
raises(IndexError, m.__getitem__, 2 * PAGE)
raises((IndexError, ValueError), m.__setitem__, slice(0, 4), b"too long for it")

# The buffer protocol: several views of the same bytes, and numbers in place.
with memoryview(m) as view, view.cast("I") as words:
    words[0] = 0xDEADBEEF
    assert view[0] == 0xEF and view[3] == 0xDE
struct.pack_into("<dI", m, 64, 2.5, 7)
assert struct.unpack_from("<dI", m, 64) == (2.5, 7)

# Flushing has nothing to do. A device says that its size is 0 where a file says its own; its end says it.
assert m.flush() is None and m.flush(0, PAGE) is None and m.flush(0, 100) is None
assert m.size() == 0 and os.fstat(fd).st_size == 0
assert os.lseek(fd, 0, os.SEEK_END) == SIZE

# It cannot grow, and a mapping that could not is as it was.
raises((OSError, ValueError, SystemError), m.resize, 4 * PAGE)
m[0] = 1
raises((OSError, ValueError), mmap.mmap, fd, 0)

# Closing.
m.close()
assert m.closed
raises(ValueError, m.__getitem__, 0)
