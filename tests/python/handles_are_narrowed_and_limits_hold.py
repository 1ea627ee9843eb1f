# SPDX-License-Identifier: MIT OR Apache-2.0
"""Windows that are passed to somebody less trusted, segments that clean up after themselves, limits."""
import array
import errno
import socket

from common import *

PARAMETERS = "/sys/module/shmdev/parameters"


def parameter(name, value=None):
    with open(f"{PARAMETERS}/{name}", "r+" if value is not None else "r") as file:
        if value is not None:
            file.write(str(value))
        else:
            return int(file.read())


def pass_on(connection, fd):
    connection.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


def received(connection):
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(4))
    return array.array("i", ancillary[0][2])[0]


# A page of a segment without a name, for reading, to a process that can open nothing by itself.
owner = os.open(DEVICE, os.O_RDWR)
create(owner, "", 4 * PAGE)
with mmap.mmap(owner, 4 * PAGE) as m:
    for page in range(4):
        m[page * PAGE : (page + 1) * PAGE] = bytes([page]) * PAGE
here, there = socket.socketpair()


def stranger():
    os.setgid(65534)
    os.setuid(65534)
    refused(errno.EACCES, os.open, DEVICE, os.O_RDONLY)
    fd = received(there)
    with mmap.mmap(fd, PAGE, access=mmap.ACCESS_READ, offset=PAGE) as view:
        assert view[:] == b"\1" * PAGE
    for offset in (0, 2 * PAGE):
        refused(errno.EACCES, mmap.mmap, fd, PAGE, access=mmap.ACCESS_READ, offset=offset)
    refused(errno.EACCES, mmap.mmap, fd, PAGE, offset=PAGE)
    refused(errno.EACCES, os.pread, fd, 1, 0)
    refused(errno.EACCES, os.pwrite, fd, b"x", PAGE)
    assert os.pread(fd, 4 * PAGE, PAGE) == b"\1" * PAGE
    assert os.lseek(fd, 0, os.SEEK_END) == 2 * PAGE
    for call, arguments in ((remove, ()), (resize, (1,)), (change, (1, 1, 0o777))):
        refused(errno.EACCES, call, fd, None, *arguments)
    refused(errno.EACCES, restrict, fd, 0, NEVER, READ)
    refused(errno.EACCES, list, segments(fd))


lent = os.open(f"/proc/self/fd/{owner}", os.O_RDWR)
assert stat(lent)["id"] == 0, "that is a handle of its own"
os.close(lent)
pid = fork(stranger)
restrict(owner, PAGE, PAGE, READ)
pass_on(here, owner)
join(pid)
lines = open(f"/proc/self/fdinfo/{owner}").read().split()
at = lines.index("shmdev-window:")
assert lines[at + 1 : at + 3] == [str(PAGE), str(2 * PAGE)] and lines[lines.index("shmdev-access:") + 1] == "r"
facts = info(owner)
assert (facts["window_start"], facts["window_end"], facts["access"], facts["restricted"]) == (PAGE, 2 * PAGE, READ, 1)
os.close(owner)

# A segment with a name that goes with the last who uses it.
first, second = os.open(DEVICE, os.O_RDWR), os.open(DEVICE, os.O_RDWR)
create(first, "scratch", PAGE, 0o600, AUTO_REMOVE)
attach(second, "scratch")
os.close(first)
assert stat(second)["flags"] == 1 | MAP
os.close(second)
look = os.open(DEVICE, os.O_RDONLY)
refused(errno.ENOENT, stat, look, "scratch")

# Limits, changed while everything runs.
names = ("max_segments", "max_segment_bytes", "max_total_bytes", "max_bytes_per_uid")
limits = {name: parameter(name) for name in names}
assert all(info(look)[name] == value for name, value in limits.items())
try:
    parameter("max_segment_bytes", 2 * PAGE)
    refused(errno.ENOSPC, create, os.open(DEVICE, os.O_RDWR), "large", 2 * PAGE + 1)
    held = os.open(DEVICE, os.O_RDWR)
    create(held, "", 2 * PAGE)
    facts = info(look)
    assert (facts["segments"], facts["total_bytes"], facts["uid_bytes"]) == (1, 2 * PAGE, 2 * PAGE)
    parameter("max_total_bytes", 3 * PAGE)
    refused(errno.ENOSPC, create, os.open(DEVICE, os.O_RDWR), "", 2 * PAGE)
    other = os.open(DEVICE, os.O_RDWR)
    create(other, "", PAGE)
    parameter("max_segments", 2)
    refused(errno.ENOSPC, create, os.open(DEVICE, os.O_RDWR), "", 1)
    os.close(other)
    os.close(held)
    assert info(look)["total_bytes"] == 0
finally:
    for name, value in limits.items():
        parameter(name, value)
