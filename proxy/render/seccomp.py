"""The system call filter of a render process: an allow list that the kernel enforces.

A render process computes, maps the buffers of its tasks, reads files of libraries and replies on
sockets that it was given. It opens no sockets, runs no programs, forks no processes, writes no
files, and makes no memory that its limit does not count. It shares its log with other processes, so
it cannot change how an open descriptor behaves. A call that is not listed fails with ENOSYS, as on
a kernel that does not have it: libraries expect that of old kernels, so a call that a newer library
prefers does no harm.

The numbers are those of x86-64 and 64-bit ARM; None where the architecture has no such call.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator

_X86_64, _AARCH64 = 0, 1
_ARCHITECTURES = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_AARCH64, 0xC00000B7)}

_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # open descriptors
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "eventfd2": (290, 19),
    "fadvise64": (221, 223),
    # files, read-only
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    # memory
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "msync": (26, 227),
    "mincore": (27, 232),
    "mlock": (149, 228),
    "munlock": (150, 229),
    "membarrier": (324, 283),
    "get_mempolicy": (239, 236),
    # threads
    "futex": (202, 98),
    "futex_waitv": (449, 449),
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getattr": (315, 275),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # signals and time
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    # identity and system
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getrandom": (318, 278),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "arch_prctl": (158, None),
    # sockets that the process was given
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "getsockopt": (55, 209),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
}

_OPEN = (2, None)
_OPENAT = (257, 56)
_CLONE = (56, 220)
_PRCTL = (157, 167)
_IOCTL = (16, 29)
_FCNTL = (72, 25)
_MMAP = (9, 222)
_SELF_ONLY = ((62, 129), (234, 131), (302, 261))
"""kill, tgkill and prlimit64, whose first argument is a process: only for this process."""

_CLONE_THREAD = 0x10000
_PRCTL_OPTIONS = (15, 16, 0x53564D41)
"""PR_SET_NAME, PR_GET_NAME, PR_SET_VMA."""

_IOCTL_REQUESTS = (0x5401, 0x541B, 0x5450, 0x5451)
"""TCGETS, FIONREAD, FIONCLEX, FIOCLEX."""

_FCNTL_COMMANDS = (0, 1, 2, 3, 1030, 1034)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_GET_SEALS."""

_MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x01, 0x20, 0x0100

# The filter program: linux/filter.h, linux/seccomp.h.
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_KILL, _ALLOW, _FAIL = 0x80000000, 0x7FFF0000, 0x00050000
_CALL_NUMBER, _ARCHITECTURE = 0, 4
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


def install_filter() -> None:
    """Filter the system calls of this thread from now on, and of all threads that it starts.

    Needs PR_SET_NO_NEW_PRIVS. Raises OSError where the kernel or the architecture has no filter.
    """
    program = b"".join(_program(platform.machine(), os.getpid()))
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, of 8 bytes each, and their address.
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _program(machine: str, pid: int) -> Iterator[bytes]:
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"system call numbers unknown for {machine}")
    column, audit = _ARCHITECTURES[machine]
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield _instruction(_JUMP_EQUAL, audit, 1, 0)
    yield _instruction(_RETURN, _KILL)  # the numbers of another architecture mean other calls
    yield _instruction(_LOAD, _CALL_NUMBER)
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            yield from _for_call(number, [_instruction(_RETURN, _ALLOW)])
    for numbers in _SELF_ONLY:
        yield from _for_call(numbers[column], _if_one_of(0, (pid, 0), errno.EPERM))
    yield from _for_call(_PRCTL[column], _if_one_of(0, _PRCTL_OPTIONS, errno.EPERM))
    yield from _for_call(_IOCTL[column], _if_one_of(1, _IOCTL_REQUESTS, errno.ENOTTY))
    yield from _for_call(_FCNTL[column], _if_one_of(1, _FCNTL_COMMANDS, errno.EPERM))
    yield from _for_call(_MMAP[column], _if_counted_memory(3))
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    for numbers, index in ((_OPEN, 1), (_OPENAT, 2)):
        yield from _for_call(numbers[column], _if_any_bit(index, writing, then=errno.EACCES))
    threads = _if_any_bit(0, _CLONE_THREAD, then=None, otherwise=errno.EPERM)
    yield from _for_call(_CLONE[column], threads)
    yield _instruction(_RETURN, _FAIL | errno.ENOSYS)


def _instruction(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)


def _for_call(number: int | None, instructions: list[bytes]) -> list[bytes]:
    """Run the instructions, which end in a return, if the loaded call number is this one."""
    if number is None:
        return []
    return [_instruction(_JUMP_EQUAL, number, 0, len(instructions)), *instructions]


def _load_argument(index: int) -> bytes:
    return _instruction(
        _LOAD, 16 + 8 * index
    )  # its lower half: both architectures are little-endian


def _if_one_of(index: int, values: tuple[int, ...], error: int) -> list[bytes]:
    """Allow the call if the argument is one of the values."""
    tests = [
        _instruction(_JUMP_EQUAL, value, len(values) - position, 0)
        for position, value in enumerate(values)
    ]
    return [_load_argument(index), *tests, _return(error), _return(None)]


def _if_any_bit(
    index: int, bits: int, *, then: int | None, otherwise: int | None = None
) -> list[bytes]:
    """Return ``then`` if the argument has any of the bits: an error number, or None to allow."""
    return [
        _load_argument(index),
        _instruction(_JUMP_SET, bits, 0, 1),
        _return(then),
        _return(otherwise),
    ]


def _if_counted_memory(index: int) -> list[bytes]:
    """Allow to map what RLIMIT_DATA counts, and files: not shared memory, nor growing stacks."""
    return [
        _load_argument(index),
        _instruction(_JUMP_SET, _MAP_GROWSDOWN, 2, 0),
        _instruction(_JUMP_SET, _MAP_ANONYMOUS, 0, 2),
        _instruction(_JUMP_SET, _MAP_SHARED, 0, 1),
        _return(errno.EPERM),
        _return(None),
    ]


def _return(error: int | None) -> bytes:
    return _instruction(_RETURN, _ALLOW if error is None else _FAIL | error)
