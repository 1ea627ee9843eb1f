# SPDX-License-Identifier: MIT OR Apache-2.0
"""Named segments from the first to the last call, in processes that know nothing but the name."""
import errno
import time

from common import *

assert [s.size for s in (CREATE, OPEN, SET, RESIZE, TARGET, LIST, RESTRICT)] == [96, 96, 96, 96, 80, 3856, 24]


def handle(what=None, flags=os.O_RDWR):
    """An open file of the device, attached to what is given."""
    fd = os.open(DEVICE, flags)
    if what is not None:
        attach(fd, what)
    return fd


# One makes it.
before = time.time_ns()
fd = handle()
number, size, status = create(fd, "frames", 5000, 0o640)
assert (size, status) == (5000, CREATED) and number > 0
state = stat(fd)
assert (state["name"], state["id"], state["size"], state["mapped_size"]) == ("frames", number, 5000, 2 * PAGE)
assert (state["mode"], state["uid"], state["handles"], state["nattch"]) == (0o640, os.geteuid(), 1, 0)
assert state["creator_pid"] == state["last_pid"] == os.getpid()
assert before - 50_000_000 <= state["created_ns"] <= time.time_ns()

# Others find it, by name and by number, and share its bytes.
with mmap.mmap(fd, 2 * PAGE) as m:
    m[:5] = b"hello"

    def by_name():
        mine = handle("frames")
        with mmap.mmap(mine, PAGE) as theirs:
            assert theirs[:5] == b"hello"
            theirs[5:11] = b" world"

    def by_number():
        mine = handle(number, os.O_RDONLY)
        assert os.pread(mine, 11, 0) == b"hello world"
        refused(errno.EACCES, mmap.mmap, mine, PAGE)

    join(fork(by_name))
    join(fork(by_number))
    refused(errno.EBUSY, resize, fd, None, 100)

# A second creation finds the first, unless it insists.
second = handle()
assert create(second, "frames", 100) == (number, 5000, 0)
refused(errno.EEXIST, create, handle(), "frames", 100, 0o600, EXCLUSIVE)
refused(errno.EINVAL, create, handle(), "frames", 5001)
refused(errno.EBUSY, create, second, "other", 100)
for name in ("a/b", "two words", "..", "%s", "line\n"):
    refused(errno.EINVAL, create, handle(), name, 100)
refused(errno.ENAMETOOLONG, create, handle(), "n" * 64, 100)
refused(errno.ENOENT, attach, handle(), "nobody")

# It grows and shrinks, and changes hands.
resize(fd, "frames", 3 * PAGE)
assert os.lseek(second, 0, os.SEEK_END) == 3 * PAGE and os.pread(second, PAGE, 2 * PAGE) == bytes(PAGE)
resize(second, None, 11)
assert os.read(handle("frames"), 100) == b"hello world"
change(fd, "frames", uid=1000, gid=2000, mode=0o604)
state = stat(handle(), "frames")
assert (state["uid"], state["gid"], state["mode"], state["creator_uid"]) == (1000, 2000, 0o604, os.geteuid())

# All of them are listed, in the order of their numbers.
more = [handle() for _ in range(40)]
numbers = [create(one, f"more-{index}", 1)[0] for index, one in enumerate(more)]
listed = list(segments(fd))
assert [one["id"] for one in listed] == [0, number] + numbers
assert listed[1] == stat(fd) and listed[-1]["name"] == "more-39"
for one in numbers:
    remove(fd, one)

# Removed: the name goes, those who have it go on; the name is free for another.
remove(fd, "frames")
refused(errno.ENOENT, attach, handle(), "frames")
refused(errno.EIDRM, attach, handle(), number)
refused(errno.EIDRM, remove, fd, None)
os.pwrite(second, b"HELLO", 0)
assert os.pread(fd, 11, 0) == b"HELLO world"
again, _, status = create(handle(), "frames", 5000)
assert status == CREATED and again > number
remove(fd, "frames")
