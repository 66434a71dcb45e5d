"""Extended attributes of built files, in the form that a package has them: the same bytes on every machine.

Steps run in a user namespace, so the kernel stores ids of the namespace's root and of ACL entries as ids of this
machine. Both are translated. Attributes that belong to the machine that builds are left out.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Translate = Callable[[int, int], tuple[int, int]]
    """Return user and group id in the package of a user and a group id of this machine."""

CAPABILITY = "security.capability"
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_HOST = ("security.selinux", "security.ima", "security.evm", "system.", "trusted.", "user.overlay.")
"""Of the machine, not of the files: labels and checksums of its policy, and overlayfs' own bookkeeping."""

_REVISION = 0x03000000
_WORDS = {0x01000000: 3, 0x02000000: 5, 0x03000000: 6}
_EFFECTIVE = 1
_ACL_VERSION = 2
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 0x02, 0x08


def read_attributes(path: Path, translate: Translate) -> dict[str, bytes]:
    """Return the extended attributes of a file or directory as its package has them.

    Raises:
        OSError: they cannot be read.
        PackageFormatError: capabilities or an ACL are malformed.
    """
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}  # the file system has none
        raise
    wanted = [name for name in names if name in _ACLS or not name.startswith(_HOST)]
    found = {name: os.getxattr(path, name, follow_symlinks=False) for name in wanted}
    if CAPABILITY in found:
        found[CAPABILITY] = normalise_capability(found[CAPABILITY])
    for name in _ACLS:
        if name in found:
            found[name] = _translate_acl(found[name], translate)
    return found


def pack_capability(permitted: int, inheritable: int, *, effective: bool) -> bytes:
    """Return file capabilities as the kernel reads them, for the root of the initial user namespace.

    The form is that of melange's `setcap`: `security.capability` in revision 3, six little-endian 32-bit words:
    revision and effective bit, permitted, inheritable, their high halves, root id 0. Source: linux/capability.h,
    `struct vfs_ns_cap_data`.
    """
    low, high = (permitted & 0xFFFFFFFF, inheritable & 0xFFFFFFFF), (permitted >> 32, inheritable >> 32)
    return struct.pack("<6I", _REVISION | (_EFFECTIVE if effective else 0), *low, *high, 0)


def normalise_capability(value: bytes) -> bytes:
    """Return capabilities that a step gave to a file with root id 0, whatever the root of its namespace is here.

    Raises:
        PackageFormatError: they are in no revision of the kernel's.
    """
    magic = struct.unpack_from("<I", value)[0] if len(value) >= 4 else 0
    count = _WORDS.get(magic & 0xFF000000)
    if count is None or len(value) != 4 * count:
        raise PackageFormatError(f"malformed file capabilities: {value.hex()}")
    words = (*struct.unpack_from(f"<{count}I", value), 0, 0)
    permitted, inheritable = words[1] | words[3] << 32, words[2] | words[4] << 32
    if count == 3:
        permitted, inheritable = words[1], words[2]
    return pack_capability(permitted, inheritable, effective=bool(magic & _EFFECTIVE))


def _acl_order(entry: tuple[int, int, int]) -> tuple[int, int]:
    tag, _, number = entry
    return tag, number


def _translate_acl(value: bytes, translate: Translate) -> bytes:
    """Return an ACL with the package's ids; entries are sorted as the kernel wants them. Source: posix_acl_xattr.h."""
    if len(value) % _ACL_ENTRY.size != 4 or struct.unpack_from("<I", value)[0] != _ACL_VERSION:
        raise PackageFormatError(f"malformed ACL: {value.hex()}")
    entries = []
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(value[4:]):
        if tag == _ACL_USER:
            number = translate(number, 0)[0]  # noqa: PLW2901  # the entry is rewritten
        elif tag == _ACL_GROUP:
            number = translate(0, number)[1]  # noqa: PLW2901  # likewise
        entries.append((tag, permissions, number))
    return value[:4] + b"".join(_ACL_ENTRY.pack(*entry) for entry in sorted(entries, key=_acl_order))
