"""What the cluster holds, as far as the operator watches it.

Newer versions win, whatever order they come in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from wsedge_operator.kube.kinds import DEPLOYMENT, DOMAIN, NAMESPACE, PLAN, SECRET, Kind
from wsedge_operator.reconcile.domain.claims import claimed_name

Object = dict[str, Any]
Name = tuple[str, str]

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Cache:
    """Objects by kind and by (namespace, name), slimmed to what decisions are made from."""

    def __init__(self, records_in: str = "") -> None:
        """Hold the records of accounts among the ConfigMaps of the namespace `records_in`."""
        self.records_in = records_in
        self._objects: dict[Kind, dict[Name, Object]] = defaultdict(dict)
        self._claims: dict[str, set[Name]] = defaultdict(set)
        self._gone_meanwhile: set[tuple[Kind, str]] = set()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Return the objects of a kind, in a namespace or everywhere."""
        return [
            live
            for (where, _), live in self._objects[kind].items()
            if namespace is None or where == namespace
        ]

    def has(self, kind: Kind, namespace: str) -> bool:
        """Tell whether there is any object of a kind in a namespace."""
        return any(where == namespace for where, _ in self._objects[kind])

    def count(self, kind: Kind) -> int:
        """Return how many objects of a kind there are."""
        return len(self._objects[kind])

    def claims(self, domain: str) -> list[Object]:
        """Return all WebSocketDomains that name a domain."""
        return [self._objects[DOMAIN][name] for name in self._claims.get(domain, ())]

    def put(self, kind: Kind, live: Object) -> bool:
        """Take in an object; False when it, or a newer version of it, is known already.

        One of an equal version may have other contents: another CustomResourceDefinition gives stored objects
        other defaults, and takes other fields out of them, without a write.
        """
        name, known, slimmed = name_of(live), self._objects[kind].get(name_of(live)), slim(kind, live)
        if known is not None and (_version(live) < _version(known) or slimmed == known):
            return False
        if known is not None:
            self._forget_claim(kind, known)
        self._objects[kind][name] = slimmed
        if kind is DOMAIN and (domain := claimed_name(slimmed)) is not None:
            self._claims[domain].add(name)
        return True

    def remove(self, kind: Kind, live: Object) -> bool:
        """Forget an object; False when it was not known, or another of its name has taken its place."""
        self._gone_meanwhile.add((kind, live["metadata"]["uid"]))
        known = self._objects[kind].get(name_of(live))
        if known is None or known["metadata"]["uid"] != live["metadata"]["uid"]:
            return False
        self._forget_claim(kind, known)
        del self._objects[kind][name_of(live)]
        return True

    def _forget_claim(self, kind: Kind, known: Object) -> None:
        if kind is DOMAIN and (domain := claimed_name(known)) is not None:
            self._claims[domain].discard(name_of(known))
            if not self._claims[domain]:
                del self._claims[domain]

    def begin_listing(self) -> None:
        """Note what goes from now on: a list that began before would bring it back."""
        self._gone_meanwhile = set()

    def take_list(
        self, kind: Kind, namespace: str | None, listed: Iterable[Object], version: str
    ) -> Iterator[tuple[bool, Object]]:
        """Take in a whole list (of `namespace`; None: of all); give what differed: whether gone, object."""
        names = set()
        for live in listed:
            names.add(name_of(live))
            if (kind, live["metadata"]["uid"]) not in self._gone_meanwhile and self.put(kind, live):
                yield False, live
        for live in self.all(kind, namespace):
            # What is newer than the list may well be missing in it.
            if name_of(live) not in names and _version(live) <= int(version):
                self.remove(kind, live)
                yield True, live


def name_of(live: Object) -> Name:
    """Return namespace and name of an object; a Namespace itself is in none."""
    return live["metadata"].get("namespace", ""), live["metadata"]["name"]


def _version(live: Object) -> int:
    # Resource versions of one API server are ordered (Kubernetes 1.35, KEP-5504); they always were of etcd.
    return int(live["metadata"].get("resourceVersion") or 0)


def slim(kind: Kind, live: Object) -> Object:
    """Return an object without what no decision reads.

    Of managedFields a plan keeps all (the times of its edits), a Deployment who wrote it and who scaled it.
    """
    kept, metadata = dict(live), dict(live["metadata"])
    if kind is NAMESPACE:
        kept.pop("status", None)
    if kind is SECRET:
        # Contents are fetched by name where a domain refers to them; the cache shall not hoard secrets.
        kept.pop("data", None)
    if kind is DEPLOYMENT and metadata.get("managedFields"):
        metadata["managedFields"] = [_slim_entry(entry) for entry in metadata["managedFields"]]
    elif kind is not PLAN:
        metadata.pop("managedFields", None)
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {
            key: value for key, value in metadata["annotations"].items() if key != _LAST_APPLIED
        }
    return {**kept, "metadata": metadata}


def _slim_entry(entry: Object) -> Object:
    """Return who wrote; the fields, which are most of it, only of who scaled."""
    kept: Object = {key: entry[key] for key in ("manager", "operation", "subresource") if key in entry}
    if entry.get("subresource") == "scale" and "fieldsV1" in entry:
        kept["fieldsV1"] = entry["fieldsV1"]
    return kept
