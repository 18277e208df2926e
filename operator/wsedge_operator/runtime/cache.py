"""The objects of the cluster that the operator watches.

Of two versions of an object the newer one stays, in whatever order lists and watches deliver them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from typing import Any, Final, TypeVar

from wsedge_operator.desired.names import DOMAIN_LABEL, admin_name, child_name
from wsedge_operator.kube.kinds import (
    CERTIFICATE_REQUEST,
    DEPLOYMENT,
    DOMAIN,
    GATEWAY,
    NAMESPACE,
    PLAN,
    POD,
    SECRET,
    SERVICE,
    Kind,
)
from wsedge_operator.reconcile.domain.claims import claimed_name
from wsedge_operator.reconcile.domain.references import secret_names, service_names

Object = dict[str, Any]
Name = tuple[str, str]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

# Of the Secret of a domain's relays, in characters of base64: a larger one is read when it is needed.
_MOST_CONTENTS: Final = 16 * 1024
# Kinds of which a domain has several objects, with names that others choose.
_LABELLED: Final = frozenset({POD, CERTIFICATE_REQUEST})
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Cache:
    """Objects by kind and by (namespace, name), without the fields that no decision reads."""

    def __init__(self, records_in: str = "") -> None:
        """Begin empty; the records of accounts are ConfigMaps of the namespace `records_in`."""
        self.records_in = records_in
        self._objects: dict[Kind, dict[str, dict[str, Object]]] = defaultdict(dict)
        self._claims: dict[str, set[Name]] = defaultdict(set)
        # One namespace may have thousands of domains: a change of one pod must not ask all of them.
        self._named_by: dict[tuple[Kind, str, str], set[str]] = defaultdict(set)
        self._labelled: dict[tuple[Kind, Name], dict[str, Object]] = defaultdict(dict)
        self._deleted_during_list: set[tuple[Kind, str]] = set()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects[kind].get(namespace, {}).get(name)

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Return the objects of a kind, in a namespace or everywhere."""
        if namespace is not None:
            return list(self._objects[kind].get(namespace, {}).values())
        return [live for named in self._objects[kind].values() for live in named.values()]

    def has(self, kind: Kind, namespace: str) -> bool:
        """Return whether there is any object of a kind in a namespace."""
        return bool(self._objects[kind].get(namespace))

    def count(self, kind: Kind) -> int:
        """Return how many objects of a kind there are."""
        return sum(map(len, self._objects[kind].values()))

    def claims(self, domain: str) -> list[Object]:
        """Return all WebSocketDomains that name a domain."""
        found = (self.get(DOMAIN, *name) for name in self._claims.get(domain, ()))
        return [live for live in found if live is not None]

    def pods_of(self, namespace: str, domain: str) -> list[Object]:
        """Return the pods with the label of a WebSocketDomain."""
        return self._labelled_with(POD, namespace, domain)

    def certificate_requests_of(self, namespace: str, domain: str) -> list[Object]:
        """Return the CertificateRequests with the label of a WebSocketDomain."""
        return self._labelled_with(CERTIFICATE_REQUEST, namespace, domain)

    def _labelled_with(self, kind: Kind, namespace: str, domain: str) -> list[Object]:
        return list(self._labelled.get((kind, (namespace, domain)), {}).values())

    def naming(self, kind: Kind, namespace: str, name: str) -> list[Object]:
        """Return the WebSocketDomains whose spec names a Service or a Secret of their namespace."""
        named_by = self._named_by.get((kind, namespace, name), ())
        found = (self.get(DOMAIN, namespace, domain) for domain in sorted(named_by))
        return [live for live in found if live is not None]

    def put(self, kind: Kind, live: Object) -> bool:
        """Add or replace an object; return False when this or a newer version of it is there already.

        An object of an equal version may have other contents: a changed CustomResourceDefinition gives stored
        objects other defaults and prunes other fields, without a write.
        """
        (namespace, name), slimmed = name_of(live), slim(kind, live)
        known = self.get(kind, namespace, name)
        if known is not None and (_version(live) < _version(known) or slimmed == known):
            return False
        if known is not None:
            self._unlink(kind, known)
        self._objects[kind].setdefault(namespace, {})[name] = slimmed
        self._link(kind, slimmed)
        # A Gateway's controller counts its routes in its status: a write for each route of any owner.
        return not (kind is GATEWAY and known is not None and _content(known) == _content(slimmed))

    def remove(self, kind: Kind, live: Object) -> bool:
        """Remove an object; return False when it is not there, or an object of another uid has its name."""
        self._deleted_during_list.add((kind, live["metadata"]["uid"]))
        namespace, name = name_of(live)
        known = self.get(kind, namespace, name)
        if known is None or known["metadata"]["uid"] != live["metadata"]["uid"]:
            return False
        self._unlink(kind, known)
        named = self._objects[kind][namespace]
        del named[name]
        if not named:
            del self._objects[kind][namespace]
        return True

    def drop(self, kind: Kind) -> None:
        """Remove all objects of a kind, whose API was removed."""
        for live in self.all(kind):
            self._unlink(kind, live)
        self._objects.pop(kind, None)

    def _link(self, kind: Kind, live: Object) -> None:
        if kind is DOMAIN:
            if (domain := claimed_name(live)) is not None:
                self._claims[domain].add(name_of(live))
            for key in _naming_keys(live):
                self._named_by[key].add(name_of(live)[1])
        elif kind in _LABELLED and (owner := _owner_of(live)) is not None:
            self._labelled[kind, owner][name_of(live)[1]] = live

    def _unlink(self, kind: Kind, known: Object) -> None:
        if kind is DOMAIN:
            if (domain := claimed_name(known)) is not None:
                _discard(self._claims, domain, name_of(known))
            for key in _naming_keys(known):
                _discard(self._named_by, key, name_of(known)[1])
        elif kind in _LABELLED and (owner := _owner_of(known)) is not None:
            self._labelled[kind, owner].pop(name_of(known)[1], None)
            if not self._labelled[kind, owner]:
                del self._labelled[kind, owner]

    def begin_listing(self) -> None:
        """Record deletions from now on: a list that was read before a deletion still has the object."""
        self._deleted_during_list = set()

    def was_deleted_since(self, kind: Kind, live: Object) -> bool:
        """Return whether an object of a list was deleted since the list was begun."""
        return (kind, live["metadata"]["uid"]) in self._deleted_during_list

    def remove_unlisted(
        self, kind: Kind, namespace: str | None, names: Container[Name], version: str
    ) -> list[Object]:
        """Remove and return the objects (of `namespace`; None: of all) that a list of that version lacks."""
        # An object newer than the list is missing in it for that reason.
        gone = [
            live
            for live in self.all(kind, namespace)
            if name_of(live) not in names and _version(live) <= int(version)
        ]
        for live in gone:
            self.remove(kind, live)
        return gone


def _naming_keys(domain: Object) -> Iterator[tuple[Kind, str, str]]:
    namespace = domain["metadata"].get("namespace", "")
    yield from ((SERVICE, namespace, name) for name in service_names(domain))
    yield from ((SECRET, namespace, name) for name in secret_names(domain))


def _owner_of(live: Object) -> Name | None:
    """Return namespace and name of the WebSocketDomain in the label of an object."""
    label = (live["metadata"].get("labels") or {}).get(DOMAIN_LABEL)
    return (live["metadata"].get("namespace", ""), label) if label else None


def _discard(index: dict[_Key, set[_Value]], key: _Key, value: _Value) -> None:
    index[key].discard(value)
    if not index[key]:
        del index[key]


def _content(live: Object) -> Object:
    metadata = {key: value for key, value in live["metadata"].items() if key != "resourceVersion"}
    return {**live, "metadata": metadata}


def name_of(live: Object) -> Name:
    """Return namespace and name of an object; the namespace of a Namespace is empty."""
    return live["metadata"].get("namespace", ""), live["metadata"]["name"]


def _version(live: Object) -> int:
    # Resource versions are comparable integers (guaranteed since Kubernetes 1.35, KEP-5504; before, they were
    # etcd's revisions).
    return int(live["metadata"].get("resourceVersion") or 0)


def slim(kind: Kind, live: Object) -> Object:
    """Return an object without the parts that no decision reads.

    A plan keeps its managedFields (the times of edits), a Deployment the names of its managers and the fields
    of the manager that scaled it.
    """
    kept, metadata = dict(live), dict(live["metadata"])
    if kind is GATEWAY:
        names = ("namespace", "name", "uid", "resourceVersion")
        metadata = {name: metadata[name] for name in names if name in metadata}
        addresses = (live.get("status") or {}).get("addresses") or []
        kept = {**{key: live[key] for key in ("apiVersion", "kind") if key in live}, "metadata": metadata}
        kept["status"] = {"addresses": addresses}
    if kind is NAMESPACE:
        kept.pop("status", None)
    if kind is POD:
        # Of a pod's spec, most of its bytes, only its network is read.
        kept["spec"] = {key: value for key, value in (live.get("spec") or {}).items() if key == "hostNetwork"}
    if kind is CERTIFICATE_REQUEST:
        # Neither the request nor the certificate: only what the issuer says of it.
        kept["spec"] = {}
        kept["status"] = {"conditions": (live.get("status") or {}).get("conditions") or []}
    if kind is SECRET and not _is_of_relays(live):
        # Contents are read by name where a domain refers to them: a core dump has no other secrets.
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


def _is_of_relays(secret: Object) -> bool:
    """Return whether a Secret has the name and label of a domain's child, whose contents each decision needs.

    A user can give both to another Secret, which costs little memory.
    """
    domain = (secret["metadata"].get("labels") or {}).get(DOMAIN_LABEL)
    return (
        domain is not None
        and secret["metadata"]["name"] in (child_name(domain), admin_name(domain))
        and sum(map(len, (secret.get("data") or {}).values())) <= _MOST_CONTENTS
    )


def _slim_entry(entry: Object) -> Object:
    """Return the manager of an entry; its fields, which are most of the bytes, only of a scaling manager."""
    kept: Object = {key: entry[key] for key in ("manager", "operation", "subresource") if key in entry}
    if entry.get("subresource") == "scale" and "fieldsV1" in entry:
        kept["fieldsV1"] = entry["fieldsV1"]
    return kept
