"""A probe's verdict over successive results."""

from __future__ import annotations

import pytest

from wsedge_devcluster.agent.probes import Kind, Probe, Verdict


def verdicts(kind: Kind, results: str, **spec: int) -> list[bool]:
    """`passed` after each result, + for success and - for failure."""
    probe = Probe.of({f"{kind.lower()}Probe": {"tcpSocket": {"port": 1}, **spec}}, kind)
    assert probe is not None
    verdict = Verdict(probe)
    shown = []
    for result in results:
        verdict.observe(result == "+")
        shown.append(verdict.passed)
    return shown


@pytest.mark.parametrize(
    ("kind", "results", "spec", "expected"),
    [
        pytest.param(Kind.READINESS, "-+", {}, [False, True], id="ready at the first success"),
        pytest.param(
            Kind.READINESS, "+---", {}, [True, True, True, False], id="unready at the third failure in a row"
        ),
        pytest.param(
            Kind.READINESS, "+--+--", {}, [True] * 6, id="a success between failures starts the count again"
        ),
        pytest.param(
            Kind.READINESS,
            "+-++",
            {"successThreshold": 2},
            [False, False, False, True],
            id="two successes needed",
        ),
        pytest.param(Kind.LIVENESS, "--", {}, [True, True], id="alive until the threshold"),
        pytest.param(
            Kind.LIVENESS,
            "-",
            {"failureThreshold": 1},
            [False],
            id="dead at the first failure",
        ),
        pytest.param(Kind.STARTUP, "-+", {}, [False, True], id="started at the first success"),
    ],
)
def test_verdict(kind: Kind, results: str, spec: dict[str, int], expected: list[bool]) -> None:
    """A verdict changes after as many equal results in a row as its threshold."""
    assert verdicts(kind, results, **spec) == expected


def test_threshold_reached_again() -> None:
    """A failing liveness probe reports each time it stays beyond its threshold."""
    probe = Probe.of({"livenessProbe": {"failureThreshold": 2}}, Kind.LIVENESS)
    assert probe is not None
    verdict = Verdict(probe)
    assert [verdict.observe(False) for _ in range(3)] == [False, True, True]


def test_defaults() -> None:
    """Defaults are the API's: every 10 s, 1 s to answer, three failures, one success."""
    probe = Probe.of({"readinessProbe": {}}, Kind.READINESS)
    assert probe is not None
    assert (probe.period, probe.timeout, probe.failures, probe.successes) == (10, 1, 3, 1)


def test_absent() -> None:
    """A container without the probe has none."""
    assert Probe.of({}, Kind.STARTUP) is None
