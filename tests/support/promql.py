"""Metrics of real programs over time that only a test's clock counts, and what Prometheus makes of them.

The texts are what programs answered at /metrics; the instants are passed, so that an alert that needs an hour
needs no hour. Rules and queries are evaluated by Prometheus' own parser, engine and templates (tests/promql).
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.go_program import go_program

_LEGEND: Final = re.compile(r"\{\{(\w+)\}\}")
ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "charts" / "wsedge" / "files" / "alerts.yaml"
MINUTE: Final = 60.0

# Returns the body of /metrics; None when the program does not answer.
Scrape = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is pending or fires."""

    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class History:
    """Scrapes, a minute after each other, until `now`. `target` are the labels of the target, or of each.

    `rules` are those of the chart's file, unless others are given.
    """

    def __init__(self, *, honor: bool = False, rules: str | None = None, **target: str) -> None:
        self._rules = RULES.read_text("utf-8") if rules is None else rules
        self.now = time.time()
        self._begun = self.now
        self._target = {"job": "test", "instance": "127.0.0.1:1", **target}
        self._honor = honor
        self._scrapes: list[dict[str, Any]] = []

    async def pass_minutes(self, minutes: int, scrape: Scrape) -> None:
        """Scrape once each minute."""
        for _ in range(minutes):
            self.now += MINUTE
            self._keep(self._target, await scrape())

    async def pass_minute_of_pods(
        self, scrapes: Mapping[str, Scrape], *, minutes: int = 1, **labels: str
    ) -> None:
        """Scrape several pods once, by name, as Prometheus does with a PodMonitor.

        `minutes` are 0 for further pods of the same instant, `labels` those of these pods.
        """
        self.now += MINUTE * minutes
        for pod, scrape in scrapes.items():
            self._keep({**self._target, **labels, "instance": pod, "pod": pod}, await scrape())

    def alerts(self, name: str) -> list[Alert]:
        """Return the alerts of this name now, evaluated each minute from the first scrape on."""
        minutes = int((self.now - self._begun) / MINUTE)
        instants = [self._begun + MINUTE * minute for minute in range(1, minutes + 1)]
        given = _ask(scrapes=self._scrapes, rules=self._rules, instants=instants)["alerts"]
        return [
            Alert(each["state"], each["labels"], each["annotations"])
            for each in given
            if each["name"] == name and each["at"] == instants[-1]
        ]

    def state(self, name: str) -> str:
        """Return "firing", "pending" or "" for an alert now."""
        states = {alert.state for alert in self.alerts(name)}
        return "firing" if "firing" in states else "pending" if states else ""

    def query(self, *expressions: str) -> list[list[dict[str, Any]]]:
        """Return the series that each expression finds now."""
        queries = [{"expr": each, "at": self.now} for each in expressions]
        results = _ask(scrapes=self._scrapes, queries=queries)["results"]
        return list(results)

    def _keep(self, labels: Mapping[str, str], text: str | None) -> None:
        self._scrapes.append({"at": self.now, "labels": labels, "text": text, "honor": self._honor})


@dataclass(frozen=True, slots=True)
class Shown:
    """One query of a panel, as Grafana asks it for everything over five minutes."""

    title: str
    expr: str
    legend: tuple[str, ...]


def shown_by(dashboard: Any, namespace: str = ".*") -> list[Shown]:
    """Return the queries of a dashboard's panels, with a namespace that was chosen."""
    return [
        Shown(
            panel["title"], _chosen(target["expr"], namespace), tuple(_LEGEND.findall(target["legendFormat"]))
        )
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


def _chosen(expr: str, namespace: str) -> str:
    expr = expr.replace("$namespace", namespace)
    return re.sub(r"\$domain\b", ".*", expr.replace("$__rate_interval", "5m"))


def without_series(dashboard: Any, history: History) -> list[str]:
    """Return the panels that find no series, or series without a label of their legend."""
    queries = shown_by(dashboard)
    results = history.query(*(each.expr for each in queries))
    return [
        f"{each.title}: {each.expr}"
        for each, found in zip(queries, results, strict=True)
        if not found or any(label not in one["labels"] for one in found for label in each.legend)
    ]


def _ask(**question: Any) -> Any:
    program = go_program("promql", ROOT / "tests" / "promql", "./cmd/promql")
    given = subprocess.run([program], input=json.dumps(question), capture_output=True, text=True, timeout=120)
    assert given.returncode == 0, given.stderr
    return json.loads(given.stdout)
