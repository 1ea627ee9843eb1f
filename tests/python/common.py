# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the scripts share: the numbers of docs/abi.md as a C or Python program would write them down, and processes."""
import fcntl
import mmap
import os
import struct
import sys

DEVICE = "/dev/shmdev"
PAGE = mmap.PAGESIZE
SIZE = 1 << 20

READ, WRITE, BOTH = 1, 2, 3
BEGIN, END = 1, 2
NOW, NEVER = 0, (1 << 64) - 1
OWNER_DIED = 1

INFO = struct.Struct("=IIQQII32x")
STAT = struct.Struct("=QQQQQQIIII64x")
RANGE = struct.Struct("=QQQQIIII")

IOC_INFO = 2 << 30 | INFO.size << 16 | 0xBB << 8 | 0
IOC_STAT = 2 << 30 | STAT.size << 16 | 0xBB << 8 | 1
IOC_SYNC = 3 << 30 | RANGE.size << 16 | 0xBB << 8 | 2


def stat(fd):
    """The fields of STAT by their names."""
    names = "id size mapped_size nattch handles generation holders waiters pieces flags".split()
    return dict(zip(names, STAT.unpack(fcntl.ioctl(fd, IOC_STAT, bytes(STAT.size)))))


def sync(fd, op, access, offset, length, deadline=NOW):
    """SYNC; returns generation and status."""
    given = RANGE.pack(offset, length, deadline, 0, op, access, 0, 0)
    returned = RANGE.unpack(fcntl.ioctl(fd, IOC_SYNC, given))
    return returned[3], returned[7]


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
