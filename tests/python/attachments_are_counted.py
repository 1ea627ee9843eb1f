# SPDX-License-Identifier: MIT OR Apache-2.0
"""Attach and detach in several processes, watched as one watches nattch of ipcs -m."""
from common import *

watcher = os.open(DEVICE, os.O_RDONLY)


def fdinfo(fd):
    with open(f"/proc/self/fdinfo/{fd}") as lines:
        pairs = (line.split() for line in lines if line.startswith("shmdev-"))
        return {name.rstrip(":").removeprefix("shmdev-"): int(value) for name, value in pairs}


def nattch():
    return stat(watcher)["nattch"]


seen = [nattch()]
to_parent, to_child = os.pipe(), os.pipe()


def child():
    fd = os.open(DEVICE, os.O_RDWR)
    m = mmap.mmap(fd, PAGE)
    os.write(to_parent[1], b"1")
    os.read(to_child[0], 1)
    for index in range(PAGE - 1):
        m[index] = ord("X")
    m[PAGE - 1] = 0
    os.write(to_parent[1], b"2")
    os.read(to_child[0], 1)
    m.close()
    os.write(to_parent[1], b"3")
    os.read(to_child[0], 1)


pid = fork(child)
os.read(to_parent[0], 1)
seen.append(nattch())
fd = os.open(DEVICE, os.O_RDWR)
m = mmap.mmap(fd, PAGE)
seen.append(nattch())
os.write(to_child[1], b"x")
os.read(to_parent[0], 1)
assert m[: PAGE - 1] == b"X" * (PAGE - 1) and m[PAGE - 1] == 0
os.write(to_child[1], b"x")
os.read(to_parent[0], 1)
seen.append(nattch())
m.close()
seen.append(nattch())
os.write(to_child[1], b"x")
join(pid)
seen.append(nattch())
assert seen == [0, 1, 2, 1, 0, 0], seen

lines = fdinfo(watcher)
assert lines["size"] == SIZE and lines["segment"] == 0 and lines["held"] == 0 and lines["waiting"] == 0
assert lines["generation"] == stat(watcher)["generation"] == fdinfo(watcher)["seen"]
sync(fd, BEGIN, WRITE, 0, 8)
assert fdinfo(fd)["held"] == 1 and fdinfo(watcher)["held"] == 0
sync(fd, END, WRITE, 0, 8)
