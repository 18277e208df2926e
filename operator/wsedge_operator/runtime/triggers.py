"""Which keys a change of an object concerns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from wsedge_operator.billing.record import COPY_NAME, identity_of
from wsedge_operator.desired.names import DOMAIN_LABEL
from wsedge_operator.kube.kinds import CONFIG_MAP, DOMAIN, GATEWAY, NAMESPACE, PLAN, SECRET, SERVICE, Kind
from wsedge_operator.reconcile.domain.claims import claimed_name
from wsedge_operator.reconcile.domain.references import gateway_names
from wsedge_operator.runtime.cache import Cache, name_of


@dataclass(frozen=True, slots=True)
class Key:
    """The unit of reconciliation: an account, a domain, the Directory, or the turns of all domains."""

    kind: Literal["account", "domain", "directory", "rollouts"]
    namespace: str = ""
    name: str = ""

    @property
    def log_context(self) -> dict[str, str]:
        """The fields of each log event of its reconciliation."""
        named = {"reconciling": self.kind, "namespace": self.namespace, "domain": self.name}
        return {field: value for field, value in named.items() if value}


DIRECTORY: Final = Key("directory")
ROLLOUTS: Final = Key("rollouts")


def keys_of(cache: Cache, kind: Kind, live: dict[str, Any]) -> Iterator[Key]:
    """Yield the keys that a change of `live` concerns; the cache has the change already."""
    namespace, name = name_of(live)
    if kind is PLAN:
        yield Key("account", namespace)
        yield from _domains(cache, namespace)
    elif kind is DOMAIN:
        yield Key("domain", namespace, name)
        yield from _rivals(cache, live)
        yield DIRECTORY
    elif kind is NAMESPACE:
        yield Key("account", name)
        yield from _domains(cache, name)  # the selector may match its new labels, or not any more
        yield DIRECTORY
    elif kind is CONFIG_MAP and namespace == cache.records_in and (identity := identity_of(name)):
        yield Key("account", identity[0])
        yield from _domains(cache, identity[0])
        yield DIRECTORY
    elif kind is CONFIG_MAP and name == COPY_NAME:
        yield Key("account", namespace)
    elif kind is GATEWAY:
        yield from (
            Key("domain", *name_of(domain))
            for domain in cache.all(DOMAIN)
            if (namespace, name) in gateway_names(domain)
        )
    else:
        yield from _owner(live, namespace)
        if kind is SERVICE or kind is SECRET:
            yield from (Key("domain", *name_of(domain)) for domain in cache.naming(kind, namespace, name))


def has_user_objects(cache: Cache, namespace: str) -> bool:
    """Return whether a namespace has objects of a user: plans or domains."""
    return cache.has(DOMAIN, namespace) or cache.has(PLAN, namespace)


def _domains(cache: Cache, namespace: str) -> Iterator[Key]:
    """Yield the domains of an account and all other claims on the same names, whose owner may change."""
    for domain in cache.all(DOMAIN, namespace):
        yield Key("domain", *name_of(domain))
        yield from _rivals(cache, domain)


def _rivals(cache: Cache, domain: dict[str, Any]) -> Iterator[Key]:
    name = claimed_name(domain)
    return (Key("domain", *name_of(claim)) for claim in (cache.claims(name) if name is not None else ()))


def _owner(live: dict[str, Any], namespace: str) -> Iterator[Key]:
    """Yield the domain that the label of a child or a relay pod names."""
    name = (live["metadata"].get("labels") or {}).get(DOMAIN_LABEL)
    if name:
        yield Key("domain", namespace, name)
