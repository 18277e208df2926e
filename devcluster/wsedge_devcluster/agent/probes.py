"""A probe's settings and its verdict over successive results. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wsedge_devcluster.agent.objects import Object


class Kind(StrEnum):
    """The kind of a probe: started, alive, or ready for traffic."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe of a container; seconds. Defaults are the API's."""

    kind: Kind
    action: Object
    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int
    grace: float | None

    @classmethod
    def of(cls, container: Object, kind: Kind) -> Probe | None:
        """Return the container's probe of this kind, None without one."""
        spec = container.get(f"{kind.lower()}Probe")
        if spec is None:
            return None
        return cls(
            kind=kind,
            action=spec,
            initial_delay=spec.get("initialDelaySeconds", 0),
            period=spec.get("periodSeconds", 10),
            timeout=spec.get("timeoutSeconds", 1),
            successes=spec.get("successThreshold", 1),
            failures=spec.get("failureThreshold", 3),
            grace=spec.get("terminationGracePeriodSeconds"),
        )


class Verdict:
    """Counts results; `passed` changes only after as many equal results in a row as the threshold."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._run = 0
        self._last: bool | None = None
        # Before the first result: alive, not started, not ready.
        self.passed = probe.kind is Kind.LIVENESS

    def observe(self, success: bool) -> bool:
        """Count one result; return True when a threshold is reached."""
        self._run = self._run + 1 if success == self._last else 1
        self._last = success
        if self._run < (self._probe.successes if success else self._probe.failures):
            return False
        self.passed = success
        return True
