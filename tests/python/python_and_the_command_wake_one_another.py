# SPDX-License-Identifier: MIT OR Apache-2.0
"""WAIT and WAKE with fcntl.ioctl and struct: a Python process waits for one that is not, and the other way round."""
import ctypes
import errno
import subprocess
import time

from common import *

OFFSET = 64
assert (WAIT.size, WAKE.size, ROBUST.size) == (24, 16, 16)
fd = os.open(DEVICE, os.O_RDWR)
create(fd, "words", PAGE)
m = mmap.mmap(fd, PAGE)
# A word as the device sees it: stored in one step, in the machine's byte order.
word = ctypes.c_uint32.from_buffer(m, OFFSET)


def until_somebody_sleeps():
    while stat(fd)["sleepers"] == 0:
        time.sleep(0.001)


def shmdev(*arguments):
    command = ("shmdev", arguments[0], "words", "--offset", str(OFFSET)) + arguments[1:]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def printed(process):
    text, _ = process.communicate()
    assert process.returncode == 0, process.args
    return int(text)


def wait_for(value):
    """Sleeps until the word is this, through a handle of its own."""
    own = os.open(DEVICE, os.O_RDWR)
    attach(own, "words")
    while (seen := word.value) != value:
        try:
            wait(own, OFFSET, seen)
        except BlockingIOError:
            pass


# Python waits for the command.
waiter = fork(lambda: wait_for(5))
until_somebody_sleeps()
assert printed(shmdev("wake", "--set", "5")) == 1
join(waiter)
assert word.value == 5

# The command waits for Python.
waiter = shmdev("wait", "--while", "5")
until_somebody_sleeps()
for _ in range(3):
    # Woken for nothing, it goes to sleep again.
    while wake(fd, OFFSET) == 0:
        time.sleep(0.001)
word.value = 0xFFFFFFFF
wake(fd, OFFSET)
assert printed(waiter) == 0xFFFFFFFF

# In turn.
for turn in range(0, 10, 2):
    waiter = shmdev("wait", "--until", str(turn))
    until_somebody_sleeps()
    word.value = turn
    assert wake(fd, OFFSET, 100) == 1
    assert printed(waiter) == turn
    waiter = fork(lambda: wait_for(turn + 1))
    until_somebody_sleeps()
    assert printed(shmdev("wake", "--set", str(turn + 1), "--all")) == 1
    join(waiter)

# What is refused, as Python has names for it.
assert wake(fd, OFFSET) == 0
raises(BlockingIOError, wait, fd, OFFSET, word.value + 1)
began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
raises(TimeoutError, wait, fd, OFFSET, word.value, began + 20_000_000)
assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) >= began + 20_000_000
raises(TimeoutError, wait, fd, OFFSET, word.value, NOW)
for offset in (OFFSET + 2, PAGE, (1 << 64) - 4):
    refused(errno.EINVAL, wait, fd, offset, 0)
    refused(errno.EINVAL, wake, fd, offset)
refused(errno.EINVAL, wake, fd, OFFSET, 1 << 31)
reader = os.open(DEVICE, os.O_RDONLY)
attach(reader, "words")
raises(PermissionError, wake, reader, OFFSET)
raises(TimeoutError, wait, reader, OFFSET, word.value, NOW)
remove(fd, "words")
