# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the scripts share: the numbers of docs/abi.md as a C or Python program would write them down, and processes."""
import fcntl
import mmap
import os
import struct
import sys

DEVICE = "/dev/shmdev"
PAGE = mmap.PAGESIZE
# Of the default segment, and how segments are mapped where nothing else is asked for, in this run.
SIZE = int(os.environ["SHMDEV_SIZE"])
MAP = {"pfn": 1 << 2, "fault": 2 << 2, "huge": 3 << 2}[os.environ["SHMDEV_MAP"]]

READ, WRITE, BOTH = 1, 2, 3
BEGIN, END = 1, 2
NOW, NEVER = 0, (1 << 64) - 1
OWNER_DIED = 1

BY_HANDLE, BY_ID, BY_NAME = 0, 1, 2
EXCLUSIVE, AUTO_REMOVE = 1, 2
CREATED = 1
MAP_FAULT = 2 << 2
TOKEN, WORD_OWNER_DIED, WORD_WAITERS = (1 << 30) - 1, 1 << 30, 1 << 31
SET_UID, SET_GID, SET_MODE = 1, 2, 4

INFO = struct.Struct("=IIQQII9QIIII8x")
TARGET = struct.Struct("=64sQII")
STAT = struct.Struct("=64sQII8Q12I48x")
RANGE = struct.Struct("=QQQQIIII")
CREATE = struct.Struct("=64sQQIIII")
OPEN = struct.Struct("=64sQIIQQ")
SET = struct.Struct("=64sQIIIIII")
RESIZE = struct.Struct("=64sQIIQQ")
LIST = struct.Struct(f"=QII{16 * STAT.size}s")
RESTRICT = struct.Struct("=QQII")
WAIT = struct.Struct("=QQII")
WAKE = struct.Struct("=QII")
ROBUST = struct.Struct("=QII")


def iowr(number, structure, directions=3):
    return directions << 30 | structure.size << 16 | 0xBB << 8 | number


IOC_INFO = iowr(0, INFO, 2)
IOC_STAT = iowr(1, STAT)
IOC_SYNC = iowr(2, RANGE)
IOC_WAIT = iowr(3, WAIT, 1)
IOC_WAKE = iowr(4, WAKE, 1)
IOC_ROBUST_ADD = iowr(8, ROBUST, 1)
IOC_CREATE = iowr(16, CREATE)
IOC_OPEN = iowr(17, OPEN)
IOC_SET = iowr(18, SET, 1)
IOC_RESIZE = iowr(19, RESIZE, 1)
IOC_REMOVE = iowr(20, TARGET, 1)
IOC_LIST = iowr(21, LIST)
IOC_RESTRICT = iowr(22, RESTRICT, 1)

STAT_FIELDS = (
    "name id by reserved size mapped_size nattch handles generation created_ns attached_ns changed_ns holders waiters "
    "pieces flags uid gid creator_uid creator_gid creator_pid last_pid mode sleepers"
).split()
INFO_FIELDS = (
    "abi_version page_size features default_size token max_ranges max_segments max_segment_bytes max_total_bytes "
    "max_bytes_per_uid segments total_bytes uid_bytes window_start window_end access restricted max_robust default_map"
).split()


def target(what=None):
    """This handle's segment, the one of this number, or the one of this name."""
    if what is None:
        return b"", 0, BY_HANDLE, 0
    if isinstance(what, int):
        return b"", what, BY_ID, 0
    return what if isinstance(what, bytes) else what.encode(), 0, BY_NAME, 0


def stat_fields(packed):
    fields = dict(zip(STAT_FIELDS, STAT.unpack(packed)))
    fields["name"] = fields["name"].rstrip(b"\0").decode("ascii")
    return fields


def stat(fd, what=None):
    """The fields of STAT by their names."""
    given = TARGET.pack(*target(what)).ljust(STAT.size, b"\0")
    return stat_fields(fcntl.ioctl(fd, IOC_STAT, given))


def create(fd, name, size, mode=0o600, flags=0):
    """CREATE; returns id, size and status."""
    given = CREATE.pack(name.encode(), size, 0, mode, flags, 0, 0)
    _, size, id_, _, _, status, _ = CREATE.unpack(fcntl.ioctl(fd, IOC_CREATE, given))
    return id_, size, status


def attach(fd, what):
    """OPEN; returns name, id and size."""
    name, id_, _, _, size, _ = OPEN.unpack(fcntl.ioctl(fd, IOC_OPEN, OPEN.pack(*target(what), 0, 0)))
    return name.rstrip(b"\0").decode("ascii"), id_, size


def change(fd, what, uid=None, gid=None, mode=None):
    """SET of what is given."""
    fields = (uid is not None) * SET_UID | (gid is not None) * SET_GID | (mode is not None) * SET_MODE
    fcntl.ioctl(fd, IOC_SET, SET.pack(*target(what), fields, uid or 0, gid or 0, mode or 0))


def resize(fd, what, size):
    fcntl.ioctl(fd, IOC_RESIZE, RESIZE.pack(*target(what), size, 0))


def remove(fd, what):
    fcntl.ioctl(fd, IOC_REMOVE, TARGET.pack(*target(what)))


def segments(fd):
    """All that LIST tells, as fields of STAT."""
    cursor = 0
    while True:
        returned = bytearray(LIST.pack(cursor, 0, 0, bytes(16 * STAT.size)))
        fcntl.ioctl(fd, IOC_LIST, returned)
        cursor, count, _, packed = LIST.unpack(returned)
        if count == 0:
            return
        for index in range(count):
            yield stat_fields(packed[index * STAT.size : (index + 1) * STAT.size])


def restrict(fd, offset, length, access):
    fcntl.ioctl(fd, IOC_RESTRICT, RESTRICT.pack(offset, length, access, 0))


def info(fd):
    """The fields of INFO by their names."""
    return dict(zip(INFO_FIELDS, INFO.unpack(fcntl.ioctl(fd, IOC_INFO, bytes(INFO.size)))))


def sync(fd, op, access, offset, length, deadline=NOW):
    """SYNC; returns generation and status."""
    given = RANGE.pack(offset, length, deadline, 0, op, access, 0, 0)
    returned = RANGE.unpack(fcntl.ioctl(fd, IOC_SYNC, given))
    return returned[3], returned[7]


def wait(fd, offset, expected, deadline=NEVER):
    """WAIT; BlockingIOError says that the word is something else, TimeoutError that nobody woke it in time."""
    fcntl.ioctl(fd, IOC_WAIT, WAIT.pack(offset, deadline, expected, 0))


def wake(fd, offset, count=1):
    """WAKE; returns how many were woken, which ioctl only tells where it is given something mutable."""
    return fcntl.ioctl(fd, IOC_WAKE, bytearray(WAKE.pack(offset, count, 0)))


def robust_add(fd, offset):
    """ROBUST_ADD of a lock word."""
    fcntl.ioctl(fd, IOC_ROBUST_ADD, ROBUST.pack(offset, 0, 0))


def fork(body):
    """Runs the function in a child; returns the child's number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


def join(*pids):
    """Waits for children, all of which must have ended well."""
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"process {pid} ended with {status}"


def refused(errno, function, *arguments, **named):
    """The call must fail with this errno."""
    try:
        outcome = function(*arguments, **named)
    except OSError as error:
        assert error.errno == errno, error
        return
    raise AssertionError(f"returned {outcome!r}")


def raises(kinds, function, *arguments, **named):
    """The call must raise one of these."""
    try:
        outcome = function(*arguments, **named)
    except kinds:
        return
    raise AssertionError(f"returned {outcome!r}")
