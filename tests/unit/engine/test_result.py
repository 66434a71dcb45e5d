"""Errors of a job come back from the process that met them as they were."""

from __future__ import annotations

import pytest

from melpy import errors
from melpy.codec import decode, encode
from melpy.engine.result import Failure, describe_failure, make_error
from melpy.errors import FaultsError, MelpyError, Place, StepFault, UnknownKeyError, WrongTypeError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MelpyError)]


def cross(error: MelpyError) -> MelpyError:
    return make_error(decode(encode(describe_failure(error)), Failure))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not FaultsError])
@pytest.mark.parametrize("where", [None, "a\udcff", Place("x.yaml", 1, 2), Place("x.yaml")])
def test_every_error_comes_back(kind: type[MelpyError], where: Place | str | None) -> None:
    for hint in (None, "", "h\0"):
        error = kind("m\x1b[31m\udcff", where=where, hint=hint, details=["a\0b\n", "\udcff"])
        error.step, error.keys = StepFault(3, 4), ("package", 0)
        back = cross(error)
        assert type(back) is kind
        assert vars(back) == vars(error)
        assert back.exit_status == error.exit_status


def test_several_faults_come_back() -> None:
    error = FaultsError([UnknownKeyError("u", hint="h"), WrongTypeError("w", where=Place("f", 1, 1))])
    back = cross(error)
    assert isinstance(back, FaultsError)
    assert [vars(fault) for fault in back.faults] == [vars(fault) for fault in error.faults]
    assert (str(back), back.exit_status) == (str(error), error.exit_status)
