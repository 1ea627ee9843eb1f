# SPDX-License-Identifier: MIT OR Apache-2.0
"""INFO, STAT and SYNC with fcntl.ioctl and struct, as a program would that has only the documentation."""
import errno
import signal
import time

from common import *

assert (INFO.size, STAT.size, RANGE.size) == (128, 240, 48)
one, other = os.open(DEVICE, os.O_RDWR), os.open(DEVICE, os.O_RDWR)

facts = info(one)
assert (facts["abi_version"], facts["page_size"], facts["features"]) == (1, PAGE, 511)
assert (facts["default_size"], facts["max_ranges"], facts["max_robust"]) == (SIZE, 1024, 1024)
assert facts["default_map"] == MAP
assert 1 <= facts["token"] < 1 << 30 and facts["token"] != info(other)["token"]

state = stat(one)
assert (state["id"], state["size"], state["mapped_size"], state["nattch"]) == (0, SIZE, SIZE, 0)
in_place = bytearray(STAT.size)
assert fcntl.ioctl(one, IOC_STAT, in_place) == 0 and stat_fields(in_place)["size"] == SIZE

# Holding, excluding, sharing.
generation = state["generation"]
assert sync(one, BEGIN, WRITE, 0, 100) == (generation, 0)
refused(errno.EAGAIN, sync, other, BEGIN, READ, 99, 1)
refused(errno.EDEADLK, sync, one, BEGIN, READ, 0, 1)
began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
refused(errno.ETIMEDOUT, sync, other, BEGIN, WRITE, 0, 1, began + 20_000_000)
assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) >= began + 20_000_000
assert sync(one, END, WRITE, 0, 100) == (generation + 1, 0)
refused(errno.ENOENT, sync, one, END, WRITE, 0, 100)
sync(one, BEGIN, READ, 0, 100)
sync(other, BEGIN, READ, 50, 100)
assert stat(one)["holders"] == 2
sync(one, END, READ, 0, 100)
sync(other, END, READ, 50, 100)

# What is refused.
refused(errno.EINVAL, sync, one, BEGIN, WRITE, 0, 0)
refused(errno.EINVAL, sync, one, BEGIN, WRITE, SIZE, 1)
refused(errno.EINVAL, sync, one, BEGIN, WRITE, (1 << 64) - 1, 2)
refused(errno.EINVAL, sync, one, 3, WRITE, 0, 1)
refused(errno.EINVAL, sync, one, BEGIN, BOTH, 0, 1)
refused(errno.ENOTTY, fcntl.ioctl, one, IOC_SYNC + 1, bytes(48))
refused(errno.ENOTTY, fcntl.ioctl, one, IOC_INFO + (8 << 16), bytes(136))

# A writer that is killed, and the next one, who is told.
ready = os.pipe()


def victim():
    fd = os.open(DEVICE, os.O_RDWR)
    sync(fd, BEGIN, WRITE, 0, 100)
    os.write(ready[1], b"x")
    signal.pause()


pid = fork(victim)
os.read(ready[0], 1)
refused(errno.EAGAIN, sync, one, BEGIN, WRITE, 0, 100)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
assert sync(one, BEGIN, WRITE, 0, 100)[1] == OWNER_DIED
sync(one, END, WRITE, 0, 100)
assert sync(one, BEGIN, READ, 0, 100)[1] == 0
sync(one, END, READ, 0, 100)


# Two processes count together; Python's interpreter restarts an interrupted ioctl by itself or reports it.
m = mmap.mmap(one, PAGE)
m[0:8] = bytes(8)


def count():
    fd = os.open(DEVICE, os.O_RDWR)
    for _ in range(200):
        sync(fd, BEGIN, WRITE, 0, 8, NEVER)
        m[0:8] = (int.from_bytes(m[0:8], "little") + 1).to_bytes(8, "little")
        sync(fd, END, WRITE, 0, 8)


join(fork(count), fork(count))
assert int.from_bytes(m[0:8], "little") == 400
