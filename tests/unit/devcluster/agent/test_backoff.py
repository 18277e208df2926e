"""The kubelet's back-off."""

from __future__ import annotations

from wsedge_devcluster.agent.backoff import BackOff


def test_restarts() -> None:
    """The first restart is immediate, then 10 s doubling to 300 s."""
    backoff = BackOff(1.0, eager=True)
    assert [backoff.next() for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_pulls() -> None:
    """A pull waits from the first failure on."""
    backoff = BackOff(1.0, eager=False)
    assert [backoff.next() for _ in range(3)] == [10, 20, 40]


def test_scale() -> None:
    """A scale shortens all distances."""
    backoff = BackOff(0.01, eager=True)
    assert [backoff.next() for _ in range(3)] == [0, 0.1, 0.2]


def test_long_run_starts_over() -> None:
    """A container that ran for ten minutes starts over; a second less does not suffice."""
    backoff = BackOff(1.0, eager=True)
    for _ in range(4):
        backoff.next()
    assert backoff.next(599) == 80
    assert backoff.next(600) == 0


def test_years_of_failures() -> None:
    """A delay never exceeds its maximum, however many attempts there were."""
    backoff = BackOff(1.0, eager=False)
    assert max(backoff.next() for _ in range(5000)) == 300
