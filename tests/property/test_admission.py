"""Which job may start: by slots, memory and disk."""

from __future__ import annotations

import heapq
import time
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from melpy.engine.admission import Admission, Capacity, Demand, Request, clamp
from melpy.engine.schedule import JobOutcome, make_schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

DEMANDS = st.builds(Demand, st.integers(0, 12), st.integers(0, 12)) | st.just(Demand(download=True))
REQUESTS = st.builds(Request, DEMANDS, st.integers(1, 50).map(float))
CAPACITIES = st.builds(Capacity, st.integers(1, 5), st.integers(0, 20), st.integers(0, 20), st.integers(1, 3))


def run(
    needs: Mapping[int, list[int]], requests: Mapping[int, Request], seconds: Mapping[int, float], capacity: Capacity
) -> dict[int, tuple[float, float]]:
    """Run all nodes on a machine, and return when each began and ended."""
    schedule = make_schedule(needs, {node: request.seconds for node, request in requests.items()})
    admission: Admission[int] = Admission(capacity)
    ends: list[tuple[float, int]] = []
    spans: dict[int, tuple[float, float]] = {}
    now = 0.0
    while True:
        while (node := admission.choose(schedule.ready(), requests.__getitem__, now)) is not None:
            schedule.start(node)
            admission.start(node, requests[node], now)
            spans[node] = (now, now + seconds[node])
            heapq.heappush(ends, (now + seconds[node], node))
        if not ends:
            return spans
        now, node = heapq.heappop(ends)
        admission.end(node)
        schedule.settle(node, JobOutcome.BUILT)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(REQUESTS, st.integers(1, 200).map(float)), min_size=1, max_size=25), CAPACITIES, st.data())
def test_all_run_and_no_more_at_once_than_there_is_room_for(
    jobs: list[tuple[Request, float]], capacity: Capacity, data: st.DataObject
) -> None:
    needs = {n: data.draw(st.lists(st.integers(0, n - 1), max_size=2)) if n else [] for n in range(len(jobs))}
    requests = {n: request for n, (request, _seconds) in enumerate(jobs)}
    spans = run(needs, requests, {n: seconds for n, (_request, seconds) in enumerate(jobs)}, capacity)
    assert spans.keys() == needs.keys()
    for moment, _end in spans.values():
        there = [requests[n].demand for n, (begin, end) in spans.items() if begin <= moment < end]
        builds = [demand for demand in there if not demand.download]
        assert len(builds) <= capacity.builds
        assert len(there) - len(builds) <= capacity.downloads
        for have, wanted in (
            (capacity.memory, [demand.memory for demand in there]),
            (capacity.disk, [demand.disk for demand in there]),
        ):
            # One build starts in any case; what asks for nothing is in nobody's way.
            assert not have or sum(wanted) <= have or sum(map(bool, wanted)) == 1


def test_a_small_job_starts_while_a_large_one_waits_if_it_does_not_delay_it() -> None:
    admission: Admission[str] = Admission(Capacity(builds=4, memory=10))
    requests = {
        "running": Request(Demand(6), 100.0),
        "large": Request(Demand(8), 50.0),
        "short": Request(Demand(3), 90.0),
        "long": Request(Demand(3), 200.0),
        "small": Request(Demand(2), 200.0),
    }
    admission.start("running", requests["running"], 0.0)

    def choose(*ready: str, now: float = 0.0) -> str | None:
        return admission.choose(ready, requests.__getitem__, now)

    assert choose("large") is None
    assert choose("large", "long") is None  # it would have too much when the large one could start
    assert choose("large", "long", "short") == "short"  # it ends before
    assert choose("large", "long", "small") == "small"  # there is room for both
    # The running one takes longer than expected: the large one has waited for long enough.
    assert choose("large", "small", now=290.0) == "small"
    assert choose("large", "small", now=310.0) is None
    admission.end("running")
    assert choose("large", "small", now=311.0) == "large"


def test_downloads_have_places_of_their_own() -> None:
    admission: Admission[str] = Admission(Capacity(builds=1, downloads=1))
    requests = {"build": Request(Demand(), 9.0), "fetch": Request(Demand(download=True), 9.0)}
    ready = ["build", "build", "fetch"]
    assert admission.choose(ready, requests.__getitem__, 0.0) == "build"
    admission.start("build", requests["build"], 0.0)
    assert admission.choose(ready, requests.__getitem__, 0.0) == "fetch"
    admission.start("fetch", requests["fetch"], 0.0)
    assert admission.choose(ready, requests.__getitem__, 0.0) is None


def test_a_job_that_wants_more_than_there_is_runs_alone() -> None:
    admission: Admission[str] = Admission(Capacity(builds=4, memory=10))
    requests = {"huge": Request(Demand(64), 9.0), "small": Request(Demand(1), 9.0)}
    assert admission.choose(["huge", "small"], requests.__getitem__, 0.0) == "huge"
    admission.start("huge", requests["huge"], 0.0)
    assert admission.choose(["small"], requests.__getitem__, 0.0) is None
    assert clamp(Demand(64, 5), Capacity(4, 10)) == Demand(10, 5)


def test_disk_that_has_gone_meanwhile_keeps_jobs_waiting() -> None:
    admission: Admission[str] = Admission(Capacity(builds=4, disk=100))
    requests = {"a": Request(Demand(disk=40), 9.0), "b": Request(Demand(disk=40), 9.0)}
    admission.start("a", requests["a"], 0.0)
    admission.refresh(Capacity(builds=4, disk=50))
    assert admission.choose(["b"], requests.__getitem__, 0.0) is None
    admission.refresh(Capacity(builds=4, disk=90))
    assert admission.choose(["b"], requests.__getitem__, 0.0) == "b"


def test_ten_thousand_jobs_take_under_a_millisecond_each() -> None:
    size = 10_000
    needs = {n: [n - 1 - (n * k) % n for k in (7, 11) if n > 20 and n % 5] for n in range(size)}
    requests = {n: Request(Demand(n * 7919 % 97), float(n % 89 + 1)) for n in needs}
    start = time.process_time()
    run(needs, requests, {n: request.seconds for n, request in requests.items()}, Capacity(16, 400))
    assert time.process_time() - start < size * 1e-3
