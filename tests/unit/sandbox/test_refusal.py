"""What refuses a sandbox is named with its switch: what this machine has not, by what the kernel would say there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.errors import EmulationError, SandboxError
from melpy.sandbox import refusal
from melpy.sandbox.refusal import explain_bubblewrap, explain_refusal

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a machine with AppArmor, a filter, or a container: this one may have none."""

    def set_up(*, switch: str = "", label: str = "", container: str = "", seccomp: bool = False) -> None:
        monkeypatch.setattr(refusal, "_read_switch", lambda path: switch if "apparmor" in path else "")
        monkeypatch.setattr(refusal, "find_label", lambda: label)
        monkeypatch.setattr(refusal, "find_container", lambda: container)
        monkeypatch.setattr(refusal, "has_filter", lambda: seccomp)
        monkeypatch.setattr(refusal, "is_chroot", lambda: False)
        monkeypatch.setattr(refusal, "has_capability", lambda _number: False)

    return set_up


@pytest.mark.parametrize(
    "error",
    ["user-namespace: Operation not permitted", "mount-namespace: Permission denied", "proc: Permission denied"],
)
def test_ubuntus_restriction_of_user_namespaces(machine: Callable[..., None], error: str) -> None:
    machine(switch="1", label="")
    hint = explain_refusal(error).hint or ""
    assert "sysctl kernel.apparmor_restrict_unprivileged_userns=0" in hint


@pytest.mark.parametrize(
    ("container", "option"),
    [
        ("docker", "--security-opt apparmor=unconfined"),
        ("kubernetes", "appArmorProfile.type to Unconfined"),
        ("", "run it unconfined, or allow it in the profile"),
    ],
)
def test_a_profile_of_a_container(machine: Callable[..., None], container: str, option: str) -> None:
    machine(label="docker-default (enforce)", container=container, seccomp=True)
    hint = explain_refusal("mount-namespace: Permission denied").hint or ""
    assert hint.startswith("the profile docker-default (enforce) refuses it: ")
    assert option in hint


@pytest.mark.parametrize(
    ("container", "option"),
    [
        ("docker", "--security-opt seccomp=unconfined"),
        ("podman", "--security-opt seccomp=unconfined"),
        ("kubernetes", "seccompProfile.type to Unconfined"),
        ("", "SystemCallFilter="),
    ],
)
def test_a_filter(machine: Callable[..., None], container: str, option: str) -> None:
    machine(container=container, seccomp=True)
    lines = ["bwrap: Can't set hostname to melpy: Operation not permitted"]
    assert option in (explain_bubblewrap(lines, lines).hint or "")
    assert option in (explain_refusal("user-namespace: Operation not permitted").hint or "")


def test_what_nothing_is_known_of_gets_no_advice(machine: Callable[..., None]) -> None:
    machine()
    error = explain_refusal("cover: No space left on device")
    assert (type(error), error.hint) == (SandboxError, None)


def test_a_kernel_without_binfmt_misc(machine: Callable[..., None]) -> None:
    machine()
    error = explain_refusal("binfmt-mount: No such device")
    assert isinstance(error, EmulationError)
    assert "modprobe binfmt_misc" in (error.hint or "")
