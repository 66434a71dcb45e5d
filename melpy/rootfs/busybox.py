"""The links that make busybox a shell and tools, which its package's own script would make.

Their places come from etc/busybox-paths.d where packages list them; otherwise the names come from the program
itself, of whatever architecture, and their directories from where busybox puts them. Source: busybox's applets.src.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

BUSYBOX = "bin/busybox"
TARGET = "/bin/busybox"
"""What its links point to; `apk audit` knows them by it."""

LISTS = "etc/busybox-paths.d"

_FIRST = b"[\0[[\0"  # the names are sorted, and stand one after the other; before them is anything
_NAME_LIMIT = 1 << 16
_OWN = {"busybox", "linuxrc"}

_PLACES = {
    "bin": """arch ash base64 cat chattr chgrp chmod chown conspy cp cpio cttyhack date dd df dmesg dnsdomainname
        dumpkmap echo ed egrep false fatattr fdflush fgrep fsync getopt grep gunzip gzip hostname hush ionice iostat
        ipcalc kbd_mode kill link linux32 linux64 ln login ls lsattr lzop makemime mkdir mknod mktemp more mount
        mountpoint mpstat mt mv netstat nice nuke pidof ping ping6 pipe_progress printenv ps pwd readlink reformime
        resume rev rm rmdir rpm run-parts scriptreplay sed setarch setpriv setserial sh sleep stat stty su sync tar
        touch true umount uname uncompress usleep vi watch zcat""",
    "sbin": """acpid adjtimex arp blkid blockdev bootchartd depmod devmem fbsplash fdisk findfs freeramdisk fsck
        fsck.minix fstrim getty halt hdparm hwclock ifconfig ifdown ifenslave ifup init insmod ip ipaddr iplink ipneigh
        iproute iprule iptunnel klogd ldconfig loadkmap logread losetup lsmod makedevs man mdev mkdosfs mke2fs
        mkfs.ext2 mkfs.minix mkfs.reiser mkfs.vfat mkswap modinfo modprobe nameif pivot_root poweroff raidautorun
        reboot rmmod route run-init runlevel setconsole slattach start-stop-daemon sulogin swapoff swapon switch_root
        sysctl syslogd tc tunctl tune2fs udhcpc uevent vconfig watchdog zcip""",
    "usr/sbin": """add-shell addgroup adduser arping brctl chat chpasswd chroot crond delgroup deluser dhcprelay dnsd
        ether-wake fakeidentd fbset flash_eraseall flash_lock flash_unlock fsfreeze ftpd httpd i2cdetect i2cdump i2cget
        i2cset i2ctransfer ifplugd inetd killall5 loadfont lpd mim nanddump nandwrite nbd-client nologin ntpd
        partprobe popmaildir powertop rdate rdev readahead readprofile remove-shell rtcwake sendmail setfont
        setlogcons svlogd telnetd tftpd ubiattach ubidetach ubimkvol ubirename ubirmvol ubirsvol ubiupdatevol udhcpd""",
}


def parse_list(text: bytes) -> list[str]:
    """Return the paths that a list of links names, without a slash before them."""
    lines = text.decode("utf-8", "surrogateescape").splitlines()
    return [path for line in lines if (path := line.strip().strip("/")) and ".." not in path.split("/")]


def find_links(program: bytes) -> list[str]:
    """Return the paths of the links for everything that a busybox can do; none where it does not say.

    Args:
        program: the busybox program.
    """
    start = program.find(_FIRST)
    while start >= 0:
        end = program.find(b"\0\0", start, start + _NAME_LIMIT)
        names = program[start:end].decode("utf-8", "replace").split("\0") if end > 0 else []
        if len(names) > 2 and names == sorted(names):
            return list(place_applets(name for name in names if "/" not in name and name not in _OWN))
        start = program.find(_FIRST, start + 1)
    return []


def place_applets(names: Iterable[str]) -> Iterable[str]:
    """Yield where busybox puts its links; what is not known goes where most are."""
    places = {name: directory for directory, known in _PLACES.items() for name in known.split()}
    for name in names:
        yield f"{places.get(name, 'usr/bin')}/{name}"
