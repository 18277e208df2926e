"""The rights that each verb of `kubectl wsedge` needs, and the Role that gives them. Pure.

`pods/proxy` and `pods/log` cannot be limited to relays, whose names are not known in advance: a Role with
`pods/proxy` reaches every port of every pod of its namespace. So no Role of the chart has it; the built-in
roles `edit` and `admin` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from wsedge_operator.desired.names import admin_name, child_name
from wsedge_statistics.contract import ACCESS_KEYS_NAME

_WSEDGE: Final = "wsedge.io"
_CHILDREN: Final = "{children}"  # stands for the name of a domain's children
_ADMIN: Final = "{admin}"  # stands for the name of its Secret for people
ELSEWHERE: Final = "{statistics}"  # stands for the namespace of the release
STATISTICS_NAMESPACE: Final = "wsedge-system"  # by default
STATISTICS_POD: Final = "wsedge-statistics-0:8080"  # with a ledger of its own


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on a resource, of all objects or of those with a name; in `namespace` if that is another one."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    namespace: str = ""

    def rule(self) -> dict[str, Any]:
        """Return the rule of a Role."""
        rule: dict[str, Any] = {
            "apiGroups": [self.group],
            "resources": [self.resource],
            "verbs": list(self.verbs),
        }
        return rule | ({"resourceNames": list(self.names)} if self.names else {})

    def sentence(self) -> str:
        """Return the right as words: get pods/proxy."""
        resource = self.resource if not self.group else f"{self.resource}.{self.group}"
        return f"{' and '.join(self.verbs)} {resource}" + (
            f" ({', '.join(self.names)})" if self.names else ""
        )


DOMAINS: Final = Right(_WSEDGE, "websocketdomains", ("get", "list"))
DOMAIN: Final = Right(_WSEDGE, "websocketdomains", ("get",))
PLANS: Final = Right(_WSEDGE, "billingplans", ("list",))
PODS: Final = Right("", "pods", ("list",))
POD: Final = Right("", "pods", ("get",))
ASK: Final = Right("", "pods/proxy", ("get",))
ORDER: Final = Right("", "pods/proxy", ("create",))
LOG: Final = Right("", "pods/log", ("get",))
TOKEN: Final = Right("", "secrets", ("get",), (_ADMIN,))
CONFIG: Final = Right("", "configmaps", ("get",), (_CHILDREN,))
EVENTS: Final = Right("", "events", ("list",))
DEPLOYMENTS: Final = Right("apps", "deployments", ("list",))
REPLICA_SETS: Final = Right("apps", "replicasets", ("list",))
SERVICES: Final = Right("", "services", ("list",))
READER: Final = Right("", "serviceaccounts/token", ("create",), ("default",))
STATISTICS: Final = Right("", "pods/proxy", ("get",), (STATISTICS_POD,), ELSEWHERE)
KEYS: Final = Right("", "secrets", ("get", "patch"), (ACCESS_KEYS_NAME,))
NEW_KEYS: Final = Right("", "secrets", ("create",))

# Which pods are relays: those alone get the token.
_OWNERS: Final = (DEPLOYMENTS, REPLICA_SETS)

OF_VERBS: Final[dict[str, tuple[Right, ...]]] = {
    "status": (DOMAINS, PODS, *_OWNERS, ASK, TOKEN),
    "explain": (),
    "connections": (DOMAIN, PODS, *_OWNERS, ASK, TOKEN),
    "close": (POD, DOMAIN, *_OWNERS, ORDER, TOKEN),
    "drain": (DOMAIN, PODS, POD, *_OWNERS, ORDER, TOKEN),
    "logs": (DOMAIN, PODS, LOG),
    "statement": (READER, STATISTICS),
    "report": (DOMAINS, PLANS, PODS, *_OWNERS, ASK, TOKEN, CONFIG, LOG, EVENTS, SERVICES),
    "accesskey": (KEYS, NEW_KEYS),
}
# Without these a verb still answers, with less.
OPTIONAL: Final[dict[str, tuple[Right, ...]]] = {
    "status": (*_OWNERS, ASK, TOKEN),
    "report": (PLANS, *_OWNERS, ASK, TOKEN, CONFIG, LOG, EVENTS, SERVICES),
}


def rights_of(verb: str, *, domain: str, statistics: str = STATISTICS_NAMESPACE) -> list[Right]:
    """Return the rights of a verb for one domain; `statistics` as `of_statistics` takes it."""
    needed = [
        of_statistics(statistics)
        if right.namespace == ELSEWHERE
        else replace(right, names=tuple(_named(name, domain) for name in right.names))
        for right in OF_VERBS[verb]
    ]
    places = [
        replace(PODS, namespace=right.namespace) for right in needed if right.namespace and not right.names
    ]
    return [*needed, *places]


def _named(name: str, domain: str) -> str:
    return {_CHILDREN: child_name(domain), _ADMIN: admin_name(domain)}.get(name, name)


def of_statistics(place: str) -> Right:
    """Return the right to ask the statistics at NAMESPACE, NAMESPACE/POD:PORT, or NAMESPACE/*: any pod there.

    A ledger on ClickHouse needs the last, since the names of a Deployment's pods are not known in advance.
    """
    namespace, _, pod = place.partition("/")
    return replace(STATISTICS, namespace=namespace, names=() if pod == "*" else (pod or STATISTICS_POD,))


def roles(
    verbs: Sequence[str], *, namespace: str, domain: str = "", statistics: str = STATISTICS_NAMESPACE
) -> list[dict[str, Any]]:
    """Return the Roles that give the rights of `verbs` and no other, one for each namespace.

    For all namespaces (empty) it is a ClusterRole, without Secrets: those of a whole cluster are too much for
    what they show, the end of a certificate.

    Without a domain all Secrets of the namespace are included, which have private keys.
    """
    needed = [
        right if domain or not {child_name(""), admin_name("")} & {*right.names} else replace(right, names=())
        for verb in verbs
        for right in rights_of(verb, domain=domain, statistics=statistics)
    ]
    name = f"kubectl-wsedge-{verbs[0]}" if len(verbs) == 1 else "kubectl-wsedge"
    places = dict.fromkeys((namespace, *(right.namespace for right in needed if right.namespace)))
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role" if place else "ClusterRole",
            "metadata": {"name": name, "namespace": place} if place else {"name": name},
            "rules": [right.rule() for right in _joined(of_place)],
        }
        for place in places
        if (of_place := [right for right in needed if _is_in(place, right, namespace)])
    ]


def _is_in(place: str, right: Right, namespace: str) -> bool:
    """Return whether the Role of a place has a right; `namespace` is that of rights without one."""
    return (right.namespace or namespace) == place and (place != "" or right.resource != "secrets")


def as_yaml(manifests: Iterable[dict[str, Any]]) -> str:
    """Return manifests that `kubectl apply -f -` takes."""
    return str(yaml.safe_dump_all(manifests, sort_keys=False))


def optional_of(verb: str, *, domain: str) -> list[Right]:
    """Return the rights without which a verb still answers, with less; for one domain."""
    return [
        replace(right, names=tuple(_named(name, domain) for name in right.names))
        for right in OPTIONAL.get(verb, ())
    ]


def _joined(rights: Iterable[Right]) -> list[Right]:
    """Return one right for each resource and its names, with the verbs of all."""
    joined: dict[tuple[str, str, tuple[str, ...]], Right] = {}
    for right in rights:
        at = (right.group, right.resource, right.names)
        before = joined.get(at)
        verbs = right.verbs if before is None else tuple(dict.fromkeys((*before.verbs, *right.verbs)))
        joined[at] = replace(right, verbs=verbs, namespace="")
    return list(joined.values())
