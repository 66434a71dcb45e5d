"""A sandbox becomes arguments."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from melpy.codec import replace
from melpy.sandbox.bubblewrap import bubblewrap_argv
from melpy.sandbox.model import BASE_CAPABILITIES, IdRange, Mount, Root, SandboxSpec

SPEC = SandboxSpec(
    root=Root((Path("/store/b"), Path("/store/a")), Path("/work/upper"), Path("/work/work"), Path("/work/root")),
    command=("/bin/sh", "-e", "/script with space.sh"),
    workdir=PurePosixPath("/home/build"),
    environment=(("HOME", "/home/build"), ("EMPTY", "")),
    state=Path("/work/state"),
    mounts=(
        Mount(Path("/work/home"), PurePosixPath("/home/build"), writable=True),
        Mount(Path("/etc/resolv.conf"), PurePosixPath("/etc/resolv.conf")),
    ),
    capabilities=("CAP_CHOWN", "CAP_NET_ADMIN"),
)


def test_the_whole_command_line() -> None:
    assert " ".join(bubblewrap_argv(SPEC, "/usr/bin/bwrap")) == (
        "/usr/bin/bwrap --unshare-all --uid 1000 --gid 1000 --hostname melpy --die-with-parent --new-session"
        " --seccomp @SECCOMP"
        " --bind /work/root / --dev /dev --proc /proc --ro-bind /proc/sys /proc/sys"
        " --bind /work/home /home/build --ro-bind /etc/resolv.conf /etc/resolv.conf"
        " --cap-drop ALL --cap-add CAP_CHOWN --cap-add CAP_NET_ADMIN"
        " --clearenv --setenv HOME /home/build --setenv EMPTY "
        " --chdir /home/build -- /bin/sh -e /script with space.sh"
    )


def test_a_range_of_ids_comes_with_a_user_namespace_that_enter_makes() -> None:
    argv = bubblewrap_argv(replace(SPEC, ids=IdRange(100000, 100000)))
    assert argv[argv.index("--userns2") + 1] == "@USERNS"
    assert not {"--unshare-user", "--unshare-all", "--uid"} & set(argv)
    others = {"--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net"}
    assert others <= set(argv)
    assert "--unshare-net" not in bubblewrap_argv(replace(SPEC, ids=IdRange(1, 1), network=True))


def test_a_terminal_is_had_only_when_asked_for() -> None:
    assert "--new-session" in bubblewrap_argv(SPEC)
    assert "--new-session" not in bubblewrap_argv(replace(SPEC, terminal=True))


def test_the_command_keeps_its_arguments_apart() -> None:
    argv = bubblewrap_argv(SPEC)
    assert argv[argv.index("--") + 1 :] == ["/bin/sh", "-e", "/script with space.sh"]


def test_the_network_is_seen_only_when_asked_for() -> None:
    assert "--share-net" not in bubblewrap_argv(SPEC)
    argv = bubblewrap_argv(replace(SPEC, network=True))
    assert argv.index("--share-net") > argv.index("--unshare-all")


def test_nothing_is_bound_but_what_is_named() -> None:
    argv = bubblewrap_argv(SPEC)
    bound = [argv[index + 1] for index, word in enumerate(argv) if word in {"--bind", "--ro-bind"}]
    assert bound == ["/work/root", "/proc/sys", "/work/home", "/etc/resolv.conf"]


def test_the_user() -> None:
    argv = bubblewrap_argv(replace(SPEC, user=(0, 7)))
    assert argv[argv.index("--uid") + 1] == "0"
    assert argv[argv.index("--gid") + 1] == "7"


def test_the_status_descriptor() -> None:
    assert "--json-status-fd" not in bubblewrap_argv(SPEC)
    argv = bubblewrap_argv(SPEC, status_fd=5)
    assert argv[argv.index("--json-status-fd") + 1] == "5"


def test_capabilities_that_reach_beyond_files_are_not_kept() -> None:
    assert not set(BASE_CAPABILITIES) & {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE", "CAP_MKNOD"}
