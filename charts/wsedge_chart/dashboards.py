"""Grafana's JSON of the dashboards, from their panels and the programs' tables of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wsedge_chart.metrics import Described
from wsedge_chart.panels import Dashboard, Panel

_COLUMNS: Final = 24  # of Grafana's grid
_WIDTH, _HEIGHT = 6, 7
_ACROSS: Final = _COLUMNS // _WIDTH
# The most series of a query about relays: a browser draws no thousands, and a tenant can make as many.
_MOST: Final = 50
_QUANTILES: Final = (0.5, 0.95, 0.99)
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(wanted: Dashboard, metrics: Mapping[str, Described]) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it; raises KeyError for a metric that no program has."""
    return {
        "uid": wanted.uid,
        "title": wanted.title,
        "tags": ["wsedge"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables(wanted))},
        "panels": list(_panels(wanted, metrics)),
    }


def _variables(wanted: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    for place, label in enumerate(wanted.variables):
        chosen_from = f"{wanted.chosen_from}{_of(wanted, wanted.variables[:place])}"
        yield {
            "name": label,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": f"label_values({chosen_from}, {label})",
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "refresh": 2,
            "sort": 1,
            "current": {"text": "All", "value": "$__all"},
        }


def _panels(wanted: Dashboard, metrics: Mapping[str, Described]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in wanted.rows:
        number += 1
        head = {"type": "row", "title": title, "collapsed": False, "panels": []}
        yield {**head, "id": number, "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1}}
        y += 1
        for place, panel in enumerate(panels):
            number += 1
            down, right = divmod(place, _ACROSS)
            position = {"x": right * _WIDTH, "y": y + down * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            yield {**_panel(panel, wanted, metrics[panel.metric]), "id": number, "gridPos": position}
        y += -(-len(panels) // _ACROSS) * _HEIGHT


def _panel(panel: Panel, wanted: Dashboard, metric: Described) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
        for number, (expr, legend) in enumerate(_queries(panel, wanted, metric))
    ]
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": f"{metric.text} ({metric.name})",
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def _queries(panel: Panel, wanted: Dashboard, metric: Described) -> Iterator[tuple[str, str]]:
    """Yield the queries of a panel with their legends, by the type of its metric."""
    legend = " ".join(f"{{{{{label}}}}}" for label in panel.by)
    chosen = _chosen(panel, wanted)
    by = f" by ({', '.join(panel.by)})" if panel.by else ""
    if metric.type == "histogram":
        grouped = ", ".join(("le", *panel.by))
        for quantile in _QUANTILES:
            inner = f"rate({metric.name}_bucket{chosen}[$__rate_interval])"
            query = f"histogram_quantile({quantile}, sum by ({grouped}) ({inner}))"
            yield _bounded(panel, wanted, query), f"{legend} p{quantile * 100:g}".strip()
        return
    inner = f"{metric.name}{chosen}"
    if metric.type == "counter":
        inner = f"rate({inner}[$__rate_interval])"
    if panel.beside:
        inner += f" and on (namespace, pod) {panel.beside}{_of(wanted, ('namespace',))}"
    total = f"{panel.over}{by} ({inner})"
    yield f"time() - {total}" if panel.since else _bounded(panel, wanted, total), legend or panel.title


def _bounded(panel: Panel, wanted: Dashboard, query: str) -> str:
    """Return a query for the most series that a panel has, where labels are what pods of tenants answer."""
    if not panel.by or "namespace" not in wanted.variables:
        return query
    return f"{'bottomk' if panel.over == 'min' else 'topk'}({_MOST}, {query})"


def _chosen(panel: Panel, wanted: Dashboard) -> str:
    """Return the selector of what the variables choose; a series of a pod as a whole has no domain."""
    by_domain = panel.metric.startswith("wsedge_relay_") and not {"pod"} & set(panel.by)
    return _of(wanted, ("namespace", "domain") if by_domain else ("namespace",))


def _of(wanted: Dashboard, labels: tuple[str, ...]) -> str:
    matchers = [f'{label}=~"${label}"' for label in labels if label in wanted.variables]
    return f"{{{', '.join(matchers)}}}" if matchers else ""
