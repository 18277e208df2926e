"""Each alert about the operator fires on the metrics of an operator process in its fault, and is cleared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from support.faults.apiserver import Fault, Front, refusal
from support.faults.clock import StepClock
from support.operator.cluster import Place, domain, plan, until
from support.operator.process import Operator, roles
from support.promql import MINUTE, ROOT, History, Scrape, without_series
from support.statistics.process import statistics


def history_of(place: Place) -> History:
    """Return a history with the target's labels, as the chart's ServiceMonitor sets them."""
    return History(honor=True, namespace=place.namespace, pod="operator-1")


def of(operator: Operator, before: Callable[[], object] = lambda: None) -> Scrape:
    """Return the scrape of a running operator; `before` is called before each."""

    async def scrape() -> str | None:
        await asyncio.to_thread(before)
        return await asyncio.to_thread(operator.ask, "/metrics")

    return scrape


async def nothing() -> str | None:
    """Scrape a program that does not run."""
    return None


def value(operator: Operator, name: str) -> float:
    """Return the sum of an operator's series whose names begin so."""
    lines = [line for line in operator.ask("/metrics").splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_no_operator_leads(place: Place, tmp_path: Path) -> None:
    """WsedgeOperatorAbsent: none runs, or one runs that does not lead."""
    history = history_of(place)
    with Operator(place, tmp_path, "first") as first:
        first.await_event("leading")
        await history.pass_minutes(2, of(first))
        assert history.state("WsedgeOperatorAbsent") == ""
        with Operator(place, tmp_path, "second") as standby:
            until("the standby has read the cluster", standby.is_ready)
            await history.pass_minutes(6, of(standby))
            assert history.state("WsedgeOperatorAbsent") == "firing"
            assert first.stop() == 0
            standby.await_event("leading")
            await history.pass_minutes(1, of(standby))
            assert history.state("WsedgeOperatorAbsent") == ""
    await history.pass_minutes(7, nothing)
    assert history.state("WsedgeOperatorAbsent") == "firing"


async def test_statistics_that_get_no_directory(place: Place, front: Front, tmp_path: Path) -> None:
    """WsedgeDirectoryStale: the operator's clock is that of the alert."""
    clock, history = StepClock(tmp_path), history_of(place)
    names = iter(range(100))

    def ask_for_directory() -> None:
        """Claim another name, which changes the Directory; the test's clock goes on by a minute."""
        clock.step(clock.ahead + timedelta(seconds=MINUTE))
        place.apply(domain(f"d{next(names)}", host=f"d{next(names)}.{place.namespace}.example.com"))

    def sent(operator: Operator, result: str) -> float:
        return value(operator, f'wsedge_operator_reconciles_total{{kind="directory",result="{result}"}}')

    with statistics(tmp_path / "data") as ledger:
        spec = {"clusterIP": "127.0.0.1", "ports": [{"name": "http", "port": ledger.port}]}
        service = json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec})
        found = Fault(
            methods=frozenset({"GET"}),
            path="/services/statistics$",
            answer=(200, {"Content-Type": "application/json"}, service),
        )
        settings = {"statistics_service": f"{place.namespace}/statistics", "server": front.url}
        with front.fault(found), Operator(place, tmp_path, "one", clock=clock, **settings) as operator:
            place.apply(plan())
            operator.await_event("directory put")
            await history.pass_minutes(2, of(operator, ask_for_directory))
            assert history.state("WsedgeDirectoryStale") == ""
            ledger.stop()
            await history.pass_minutes(23, of(operator, ask_for_directory))
            assert sent(operator, "failed") > 0
            (alert,) = history.alerts("WsedgeDirectoryStale")
            assert alert.state == "firing"
            assert "no Directory for 2" in alert.annotations["summary"]
            with statistics(tmp_path / "data", "--listen", f"127.0.0.1:{ledger.port}"):
                before = sent(operator, "done")
                ask_for_directory()
                until("the Directory was sent", lambda: sent(operator, "done") > before)
                await history.pass_minutes(1, of(operator))
                assert history.state("WsedgeDirectoryStale") == ""


async def test_reconciliations_that_fail(place: Place, front: Front, tmp_path: Path) -> None:
    """WsedgeReconcilesFail: while the API server refuses a write, a quota for example."""
    history = history_of(place)
    with Operator(place, tmp_path, "one", server=front.url) as operator:
        operator.await_event("leading")
        await history.pass_minutes(2, of(operator))
        assert history.state("WsedgeReconcilesFail") == ""
        with front.fault(
            Fault(methods=frozenset({"PATCH"}), path="/deployments/", answer=refusal(403, "exceeded quota"))
        ):
            place.apply(plan(), domain(host=f"a.{place.namespace}.example.com"))
            until("it fails", lambda: value(operator, "wsedge_operator_failing_objects") >= 1)
            await history.pass_minutes(17, of(operator))
            assert history.state("WsedgeReconcilesFail") == "firing"
        until("it succeeds", lambda: value(operator, "wsedge_operator_failing_objects") == 0)
        await history.pass_minutes(1, of(operator))
        assert history.state("WsedgeReconcilesFail") == ""


async def test_watches_that_do_not_last(place: Place, front: Front, tmp_path: Path) -> None:
    """WsedgeWatchesFail: while the API server answers watches with 500; a restart of it alone is none."""
    history, counted = history_of(place), [0.0]
    name = "wsedge_operator_watch_restarts_total{"

    def failures(operator: Operator) -> float:
        lines = operator.ask("/metrics").splitlines()
        failed = [line for line in lines if line.startswith(name) and 'reason="failed"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in failed)

    with Operator(place, tmp_path, "one", server=front.url) as operator:
        operator.await_event("leading")
        await history.pass_minutes(2, of(operator))
        with front.away():
            until("watches are repeated", lambda: failures(operator) > 0)
        await history.pass_minutes(11, of(operator))
        assert history.state("WsedgeWatchesFail") != "firing"

        def fails_on() -> None:
            until("a watch is repeated", lambda: failures(operator) > counted[0] + 2)
            counted[0] = failures(operator)

        with front.fault(Fault(methods=frozenset({"GET"}), answer=refusal(500, "etcd"), watches=True)):
            counted[0] = failures(operator)
            front.reset()  # the watches that are open would go on
            await history.pass_minutes(15, of(operator, fails_on))
            (alert,) = history.alerts("WsedgeWatchesFail")
            assert (alert.state, alert.labels["reason"]) == ("firing", "failed")
        await history.pass_minutes(7, of(operator))
        assert history.state("WsedgeWatchesFail") == ""


async def test_every_panel_finds_series(place: Place, front: Front, tmp_path: Path) -> None:
    """Of the operator's dashboard, after a domain was served and the API server was away for a moment."""
    history = history_of(place)
    with Operator(place, tmp_path, "one", server=front.url) as operator:
        operator.await_event("leading")
        with front.away():
            until("watches are repeated", lambda: value(operator, "wsedge_operator_watch_restarts_total") > 0)
        place.apply(plan(), domain(host=f"p.{place.namespace}.example.com", enabled=False))
        place.await_reason("wsd/chat", "Ready", "Disabled")
        await history.pass_minutes(3, of(operator))
    dashboard = json.loads((ROOT / "charts/wsedge/dashboards/wsedge-operator.json").read_text("utf-8"))
    assert without_series(dashboard, history) == []


async def test_a_namespace_that_cannot_be_read(place: Place, tmp_path: Path) -> None:
    """WsedgeNamespaceUnreadable: with its name, until it exists and the operator has its rights there."""
    history, lost = history_of(place), f"{place.namespace}-lost"
    cluster = place.cluster
    with Operator(place, tmp_path, "one", namespaces=f"{place.namespace},{lost}") as operator:
        operator.await_event("namespace not readable")
        await history.pass_minutes(17, of(operator))
        (alert,) = history.alerts("WsedgeNamespaceUnreadable")
        assert (alert.state, alert.labels["namespace"]) == ("firing", lost)
        assert lost in alert.annotations["summary"]
        cluster.kubectl("create", "namespace", lost)
        Place(cluster, lost).apply(*roles(place.namespace))
        operator.await_event("namespace readable again")
        await history.pass_minutes(1, of(operator))
        assert history.state("WsedgeNamespaceUnreadable") == ""
        cluster.kubectl("delete", "namespace", lost, "--wait=false")
