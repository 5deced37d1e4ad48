"""What the kernel can take from a process: network, files, other processes, rights. Linux.

The runner's keepers and children call this. At level L2 a child lives in namespaces of its own: it
has no network, sees every file system read-only but a small one of its own, can signal nobody
outside, and whatever it starts dies with it. At L1 it has only limits and a keeper that watches.
"""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

_NEW_NAMESPACES = 0x20000 | 0x10000000 | 0x20000000 | 0x40000000  # mount, user, pid, net
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 38, 36
_CAPABILITY_VERSION = 0x20080522
_NOBODY = 65_534
"""Who the child is to itself; outside it stays who it was, and may read the same files. Not root,
so that no program it runs gets back the rights over its own namespaces."""
HOME_MIB = 256
FILE_BYTES = 64 << 20
OPEN_FILES = 256
_PROCESSES = 256
_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def adopt_orphans() -> None:
    """Become the parent of whatever a descendant leaves behind (``prctl(2)``)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the process that forked this one ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def enter_namespaces() -> None:
    """Leave the machine's network, mounts and users; the next fork leaves its processes, too.

    Raises OSError where the kernel or the container does not allow it.
    """
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(_NEW_NAMESPACES), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{_NOBODY} {gid} 1")


def seal(home: Path) -> None:
    """In the new namespaces: every file system read-only, a small one at ``home``, no rights left.

    Raises OSError where the kernel or the container does not allow it.
    """
    _mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    wanted = _MountAttributes(set=_RDONLY)
    _checked(
        _libc.syscall(
            _MOUNT_SETATTR,
            _AT_FDCWD,
            b"/",
            _AT_RECURSIVE,
            ctypes.byref(wanted),
            ctypes.c_size_t(ctypes.sizeof(wanted)),
        ),
        "mount_setattr",
    )
    options = f"size={HOME_MIB}m,nr_inodes=10000,mode=700".encode()
    _mount(b"tmpfs", os.fsencode(home), b"tmpfs", 0, options)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def can_isolate(home: Path) -> bool:
    """Whether all of L2 works here: tried once, in a fork."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(BaseException):
            enter_namespaces()
            code = _in_fork(home)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _in_fork(home: Path) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(BaseException):
            seal(home)
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def limit(*, cpu_seconds: int, memory_mib: int) -> None:
    """Set this process's limits; memory is beyond what it has mapped already."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for what, most in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, mapped + (memory_mib << 20)),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))
    with suppress(ValueError, OSError):
        # Root is above this limit, and L1 counts the same user's other processes, too.
        if os.getuid() == _NOBODY:
            resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES, _PROCESSES))
    with suppress(OSError):  # no other is to die in its place
        Path("/proc/self/oom_score_adj").write_text("1000")


def _mount(
    source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None
) -> None:
    _checked(_libc.mount(source, target, kind, ctypes.c_ulong(flags), options), "mount")


def _prctl(option: int, value: int) -> None:
    unused = [ctypes.c_ulong(0)] * 3
    if sys.platform == "linux":
        _checked(_libc.prctl(option, ctypes.c_ulong(value), *unused), "prctl")


def _checked(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
