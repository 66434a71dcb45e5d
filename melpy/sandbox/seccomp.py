"""The system calls that no build needs are refused: a filter for the kernel, made with libseccomp.

What is refused reaches for the machine, not for the sandbox: kernel modules, keys, tracing of the kernel, clocks,
namespaces and mounts (unless the recipe has CAP_SYS_ADMIN), rings that other filters do not see. The filter is a
program of classic BPF, as bubblewrap takes it. Source: seccomp(2), libseccomp's seccomp_rule_add(3), and what
container engines refuse by default.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from typing import TYPE_CHECKING

from melpy.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_ATTRIBUTE_BAD_ARCH = 2
_MASKED_EQUAL = 7

_REFUSED = (
    "acct add_key adjtimex bpf clock_adjtime clock_adjtime64 clock_settime clock_settime64 create_module delete_module"
    " finit_module get_kernel_syms init_module ioperm iopl kexec_file_load kexec_load keyctl lookup_dcookie"
    " nfsservctl open_by_handle_at pciconfig_iobase pciconfig_read pciconfig_write perf_event_open query_module"
    " quotactl quotactl_fd reboot request_key settimeofday stime swapoff swapon syslog uselib userfaultfd vhangup vm86"
    " vm86old"
).split()
_ABSENT = "io_uring_setup io_uring_enter io_uring_register".split()
"""Refused as if the kernel did not know them: programs go other ways then."""
_MOUNTING = (
    "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root setns umount umount2"
).split()
_NAMESPACES = 0x7E020080  # every CLONE_NEW… flag
_SIGNAL = 0xFF  # what these bits are for clone
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: input in somebody's name
_FAMILIES = (38, 40)  # AF_ALG, AF_VSOCK: the kernel's ciphers, and whoever runs this machine
_FIRST_PROCESS = {"ptrace": 1, "process_vm_readv": 0, "process_vm_writev": 0}
"""Calls that reach into a process, and the argument that names it: the sandbox's first one is not the step's."""
_SECOND = {"x86_64": "x86", "aarch64": "arm"}
"""Architectures whose programs a machine runs beside its own."""


class _Comparison(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


@functools.lru_cache(maxsize=4)
def seccomp_filter(*, may_mount: bool = False, may_move: bool = True) -> bytes:
    """Return the filter for this machine.

    Args:
        may_mount: whether mounts and namespaces are allowed.
        may_move: whether processes may choose their processors.

    Raises:
        SandboxError: libseccomp is not installed.
    """
    library = _load()
    context = library.seccomp_init(_ALLOW)
    try:
        library.seccomp_attr_set(context, _ATTRIBUTE_BAD_ARCH, _ERRNO | errno.ENOSYS)
        second = _SECOND.get(os.uname().machine)
        if second:
            library.seccomp_arch_add(context, library.seccomp_arch_resolve_name(second.encode()))
        for name, error, comparison in _rules(may_mount=may_mount, may_move=may_move):
            _add(library, context, name, error, comparison)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _rules(*, may_mount: bool, may_move: bool) -> Iterable[tuple[str, int, _Comparison | None]]:
    yield from ((name, errno.EPERM, None) for name in _REFUSED)
    yield from ((name, errno.ENOSYS, None) for name in _ABSENT)
    yield from (("ioctl", errno.EPERM, _Comparison(1, _MASKED_EQUAL, 0xFFFFFFFF, request)) for request in _TERMINAL)
    yield from (
        ("socket", errno.EAFNOSUPPORT, _Comparison(0, _MASKED_EQUAL, 0xFFFFFFFF, family)) for family in _FAMILIES
    )
    yield from (
        (name, errno.EPERM, _Comparison(argument, _MASKED_EQUAL, 0xFFFFFFFF, 1))
        for name, argument in _FIRST_PROCESS.items()
    )
    if not may_move:
        yield "sched_setaffinity", errno.EPERM, None
    if may_mount:
        return
    yield from ((name, errno.EPERM, None) for name in _MOUNTING)
    yield "clone3", errno.ENOSYS, None  # its flags are in memory, where a filter cannot look
    first = 1 if os.uname().machine == "s390x" else 0
    for bit in range(32):
        flag = 1 << bit
        if flag & _NAMESPACES:
            if flag > _SIGNAL:
                yield "clone", errno.EPERM, _Comparison(first, _MASKED_EQUAL, flag, flag)
            yield "unshare", errno.EPERM, _Comparison(0, _MASKED_EQUAL, flag, flag)


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise SandboxError("libseccomp is not installed", hint="install it (apt install libseccomp2)") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison))
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _add(library: ctypes.CDLL, context: int, name: str, error: int, comparison: _Comparison | None) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        return  # newer than this libseccomp
    count, array = (1, ctypes.byref(comparison)) if comparison else (0, None)
    result = library.seccomp_rule_add_array(context, _ERRNO | error, number, count, array)
    # Calls that only other architectures have are no fault.
    if result not in {0, -errno.EDOM, -errno.EFAULT}:
        raise SandboxError(f"libseccomp refuses a rule for {name}: {os.strerror(-result)}")


def _export(library: ctypes.CDLL, context: int) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        result = library.seccomp_export_bpf(context, descriptor)
        if result:
            raise SandboxError(f"libseccomp cannot write the filter: {os.strerror(-result)}")
        size = os.lseek(descriptor, 0, os.SEEK_CUR)
        return os.pread(descriptor, size, 0)
    finally:
        os.close(descriptor)
