"""`wsedge-operator explain FILE...`: what the operator would do with these manifests, when, and why.

The operator's own decisions run on objects from files, without a cluster. The files may also have the objects
that the manifests refer to (Services, Secrets) and an account's record (the ConfigMap `wsedge-account-…` of
the operator's namespace, or its copy `wsedge-account`), as `kubectl get -o yaml` prints them. An object that
is not in the files does not exist for the decisions, and every API of an entrance counts as installed.
"""

from __future__ import annotations

import argparse
import base64
import copy
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

import yaml
from pydantic import ValidationError

from wsedge_operator.api import billing_plan, websocket_domain
from wsedge_operator.api.meta import API_VERSION, Resource, instant_text
from wsedge_operator.api.reading import refused
from wsedge_operator.api.spec.pod import NO_POD_SETTINGS, RelayPod
from wsedge_operator.billing.record import COPY_NAME, Life, identity_of
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.errors import ManifestError
from wsedge_operator.kube.kinds import OPTIONAL
from wsedge_operator.reconcile.account import decide as account_decision
from wsedge_operator.reconcile.account.decide import AccountSnapshot
from wsedge_operator.reconcile.account.state import AccountState
from wsedge_operator.reconcile.domain import decide as domain_decision
from wsedge_operator.reconcile.domain.claims import can_be_served, claim_of
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.settings import Settings, problems

Object = dict[str, Any]

_MODELS: Final[dict[str, type[Resource]]] = {
    billing_plan.KIND: billing_plan.BillingPlan,
    websocket_domain.KIND: websocket_domain.WebSocketDomain,
}
_SUFFIXES: Final = (".json", ".yaml", ".yml")
# In place of the cluster IP that the API server would assign to a Service of a file (RFC 5737:
# documentation).
_EXAMPLE_ADDRESS: Final = "192.0.2.1"


class _Loader(yaml.SafeLoader):
    """YAML as kubectl parses it: a timestamp is a string, not a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Files:
    """The objects of all files, and the operator's settings that decisions depend on."""

    objects: tuple[Object, ...]
    default_zone: str
    image: RelayImage
    pod_default: RelayPod = NO_POD_SETTINGS

    def of(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return all objects of a kind, in one namespace or in all."""
        return [
            item
            for item in self.objects
            if item["kind"] == kind and namespace in (None, item["metadata"]["namespace"])
        ]

    def by_name(self, kind: str, namespace: str) -> dict[str, Object]:
        """Return the objects of a kind in a namespace by name."""
        return {item["metadata"]["name"]: item for item in self.of(kind, namespace)}


def read_objects(text: str, *, source: str, namespace: str, now: datetime) -> list[Object]:
    """Return the objects of a file, as they would be stored.

    Raises ManifestError with every reason for which the API server would refuse one of them.
    """
    try:
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document]
    except yaml.YAMLError as error:
        raise ManifestError(source, f"not YAML: {error}") from None
    objects: list[Object] = []
    refused: list[str] = []
    for document in _flat(documents):
        name = _name(document)
        if name is None:
            raise ManifestError(source, "a document is no object with apiVersion, kind and metadata.name")
        refused += [f"{document['kind']} {name}: {line}" for line in _refusals(document)]
        objects.append(_completed(document, namespace, now))
    if refused:
        raise ManifestError(source, "\n  ".join(["refused", *refused]))
    return objects


def explain(files: Files, now: datetime) -> str:
    """Return the conditions and children of each object at `now` and at each later instant with a change."""
    records = dict(_records(files))
    printed: dict[str, list[str]] = {}
    lines: list[str] = []
    moment: datetime | None = now
    while moment is not None:
        views = dict(_views(files, records, moment))
        news = {title: view for title, (view, _) in views.items() if printed.get(title) != view}
        lines += [f"At {instant_text(moment)}:"]
        lines += [line for title, view in news.items() for line in (f"  {title}", *view)]
        printed |= news
        moment = min((again for _, again in views.values() if again is not None), default=None)
    return "\n".join(lines) + "\n"


# The lines about an object, and the instant at which its account's decision changes next.
View = tuple[list[str], datetime | None]


def _views(files: Files, records: dict[str, Object], now: datetime) -> Iterator[tuple[str, View]]:
    """Yield the title and the view of each object at `now`; update `records` as the operator would."""
    namespaces = sorted({item["metadata"]["namespace"] for item in files.objects if item["kind"] in _MODELS})
    accounts = {
        namespace: AccountSnapshot(
            _life(namespace, records.get(namespace)),
            tuple(files.of(billing_plan.KIND, namespace)),
            records.get(namespace),
            files.default_zone,
        )
        for namespace in namespaces
    }
    account_states = {
        namespace: account_decision.account_state(account, now, served=False)
        for namespace, account in accounts.items()
    }
    for namespace, account in accounts.items():
        outcome = account_decision.decide(account, now)
        for title, lines in _conditions(outcome):
            yield title, (lines, outcome.reconcile_at)
        for domain in files.of(websocket_domain.KIND, namespace):
            decided = domain_decision.decide(_domain_snapshot(files, domain, account_states), now)
            for title, lines in _conditions(decided):
                yield title, ([*lines, *_children(decided)], None)
        for record in outcome.apply:
            records[namespace] = dict(record)


def _domain_snapshot(
    files: Files, domain: Object, account_states: Mapping[str, AccountState]
) -> DomainSnapshot:
    namespace = domain["metadata"]["namespace"]
    rivals = [
        item for item in files.of(websocket_domain.KIND) if item["spec"]["domain"] == domain["spec"]["domain"]
    ]
    return DomainSnapshot(
        live=domain,
        account_state=account_states[namespace],
        image=files.image,
        pod_default=files.pod_default,
        new_token=token_urlsafe(32),
        claims=tuple(
            claim_of(item, can_be_served=can_be_served(item, account_states[item["metadata"]["namespace"]]))
            for item in rivals
        ),
        services=files.by_name("Service", namespace),
        apis={versions[0].kind: versions[0].api_version for versions in OPTIONAL},
        secrets=files.by_name("Secret", namespace),
    )


def _conditions(outcome: Outcome) -> Iterator[tuple[str, list[str]]]:
    for status in outcome.status:
        conditions = status.status["conditions"]
        yield (
            f"{status.kind} {status.namespace}/{status.name}",
            [f"    {c['type']}={c['status']} ({c['reason']}): {c['message']}" for c in conditions],
        )


def _children(outcome: Outcome) -> list[str]:
    kinds = ", ".join(item["kind"] for item in (*outcome.apply, *outcome.entrance))
    return [f"    applies: {kinds}"] if kinds else []


def _flat(documents: Iterable[Any]) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind")).endswith("List") and "items" in document:
            yield from _flat(document["items"] or ())
        else:
            yield document


def _name(document: Any) -> str | None:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return None
    name = document["metadata"].get("name")
    return str(name) if name and document.get("kind") and document.get("apiVersion") else None


def _refusals(document: Object) -> Iterator[str]:
    """Yield the API server's reasons to refuse an object; none for a kind that is not wsedge's."""
    model = _MODELS.get(document["kind"])
    if model is None:
        return
    if document["apiVersion"] != API_VERSION:
        yield f"apiVersion: write {API_VERSION}"
        return
    yield from refused(model, document)


def _completed(document: Object, namespace: str, now: datetime) -> Object:
    """Return the object with the fields that the API server would set; without a time it is created `now`."""
    item = copy.deepcopy(document)
    meta = item["metadata"]
    meta.setdefault("namespace", namespace)
    meta.setdefault("uid", f"{item['kind']}/{meta['namespace']}/{meta['name']}")
    meta.setdefault("creationTimestamp", instant_text(now))
    meta.setdefault("generation", 1)
    meta.setdefault("resourceVersion", "1")
    if item["kind"] in _MODELS:
        item.pop("status", None)  # A decision reports only changes of a status: without one it reports all.
    if item["kind"] == "Service":
        item.setdefault("spec", {}).setdefault("clusterIP", _EXAMPLE_ADDRESS)
    if item["kind"] == "Secret":
        plain = item.pop("stringData", None) or {}
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        item["data"] = {**(item.get("data") or {}), **encoded}
    return item


def _records(files: Files) -> Iterator[tuple[str, Object]]:
    """Yield each namespace with its record; where there is none, with the copy in the namespace.

    Copies are first, so that a record replaces them in a dict.
    """
    for item in files.of("ConfigMap"):
        if item["metadata"]["name"] == COPY_NAME:
            yield item["metadata"]["namespace"], item
    for item in files.of("ConfigMap"):
        if (identity := identity_of(item["metadata"]["name"])) is not None:
            yield identity[0], item


def _life(namespace: str, known: Object | None) -> Life:
    """Return the life of a namespace that its record names; without a record, one of uid `file`."""
    identity = identity_of(known["metadata"]["name"]) if known is not None else None
    uid = identity[1] if identity is not None else "file"
    return Life(namespace, uid, None, known["metadata"]["namespace"] if known is not None else namespace)


def main(arguments: Sequence[str] | None = None) -> int:
    """Explain the files on stdout; return the exit code.

    1: the API server would refuse a manifest. 2: a file cannot be read, or a setting is malformed.
    """
    parser = argparse.ArgumentParser(prog="wsedge-operator explain", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="manifests in YAML or JSON, or a folder; - is stdin"
    )
    parser.add_argument("--namespace", default="default", help="of manifests without one (default: default)")
    parser.add_argument("--at", type=_instant, help="the instant to explain, RFC 3339 (default: now)")
    options = parser.parse_args(arguments)
    now = options.at or datetime.now(UTC).replace(microsecond=0)
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.writelines(problems(error))
        return 2
    objects: list[Object] = []
    refused = False
    for name in _sources(options.files):
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
            objects += read_objects(text, source=name, namespace=options.namespace, now=now)
        except (OSError, UnicodeDecodeError) as error:
            sys.stderr.write(f"{name}: {error.strerror if isinstance(error, OSError) else error}\n")
            return 2
        except ManifestError as error:
            sys.stderr.write(f"{error}\n")
            refused = True
    if objects:
        files = Files(tuple(objects), settings.default_time_zone, settings.relays, settings.relay_pod)
        sys.stdout.write(explain(files, now))
    return int(refused)


def _sources(names: Iterable[str]) -> Iterator[str]:
    """Yield the files; of a folder those that `kubectl apply -f` reads, in their order."""
    for name in names:
        if name != "-" and Path(name).is_dir():
            yield from sorted(str(path) for path in Path(name).iterdir() if path.suffix in _SUFFIXES)
        else:
            yield name


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("give an offset, for example 2026-11-22T10:00:00+08:00")
    return instant.astimezone(UTC)
