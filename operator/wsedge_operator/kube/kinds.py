"""The kinds of objects that the operator reads or writes, with the verbs that it needs on each.

`VERBS` is the whole of the operator's rights, but for its own Lease; the chart's Roles grant exactly these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wsedge_operator.api import billing_plan, websocket_domain
from wsedge_operator.api.meta import GROUP, VERSION
from wsedge_operator.billing import record as account_record
from wsedge_operator.desired.names import MANAGED_BY, MANAGED_BY_LABEL

_MANAGED: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of the API.

    `labels` and `fields` are selectors that the API server applies to what is listed and watched.
    """

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    labels: str = ""
    fields: str = ""

    @property
    def api_version(self) -> str:
        """The `apiVersion` of an object of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The URL path of one object, or of all in a namespace, or (namespace None) in the cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "".join(
            [root, scope, f"/{self.plural}", *(f"/{part}" for part in (name, subresource) if part)]
        )


PLAN: Final = Kind(billing_plan.KIND, billing_plan.PLURAL, GROUP, VERSION)
DOMAIN: Final = Kind(websocket_domain.KIND, websocket_domain.PLURAL, GROUP, VERSION)
SERVICE: Final = Kind("Service", "services")
# Big Secrets that no domain can mean are kept from ever reaching the operator's memory.
SECRET: Final = Kind(
    "Secret",
    "secrets",
    fields=(
        "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,"
        "type!=kubernetes.io/dockerconfigjson"
    ),
)
CONFIG_MAP: Final = Kind("ConfigMap", "configmaps", labels=_MANAGED)
SERVICE_ACCOUNT: Final = Kind("ServiceAccount", "serviceaccounts", labels=_MANAGED)
NAMESPACE: Final = Kind("Namespace", "namespaces")
# The records of accounts as the last release kept them, in the accounts' own namespaces; whatever labels they
# have.
OLD_RECORD: Final = Kind("ConfigMap", "configmaps", fields=f"metadata.name={account_record.COPY_NAME}")
DEPLOYMENT: Final = Kind("Deployment", "deployments", "apps", labels=_MANAGED)
DISRUPTION_BUDGET: Final = Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy", labels=_MANAGED)
NETWORK_POLICY: Final = Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io", labels=_MANAGED)
POD: Final = Kind("Pod", "pods", labels=_MANAGED)
# Read by name, to see whose pods are: a pod names its ReplicaSet, and that its Deployment.
REPLICA_SET: Final = Kind("ReplicaSet", "replicasets", "apps")
EVENT: Final = Kind("Event", "events", "events.k8s.io")
LEASE: Final = Kind("Lease", "leases", "coordination.k8s.io")
# Of all namespaces but that of the nodes, which has one for each.
FOREIGN_LEASE: Final = Kind(
    "Lease", "leases", "coordination.k8s.io", fields="metadata.namespace!=kube-node-lease"
)
ACCESS_REVIEW: Final = Kind("SubjectAccessReview", "subjectaccessreviews", "authorization.k8s.io")

WATCHED: Final = (
    PLAN,
    DOMAIN,
    SERVICE,
    SECRET,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
)
BY_NAME: Final[Mapping[tuple[str, str], Kind]] = {
    (kind.api_version, kind.kind): kind for kind in (*WATCHED, EVENT, LEASE)
}

# Deleted by the operator is what goes while its owner stays: all when a domain is switched off, a Secret or a
# budget when nothing needs it any more. The garbage collector does the rest.
_CHILD = ("get", "list", "watch", "create", "patch", "delete")
# Rights in every namespace that is served. Server-side apply is `patch`, and `create` when the object is new.
#
# Secrets of a whole cluster are listed and watched because a renewed certificate must be noticed, and RBAC
# selects neither by label nor by names that are not known yet; a `get` in all namespaces would show as much
# to a thief who can guess names. What is written is bounded by the chart's admission policies; an operator
# that may read only some namespaces has `watchNamespaces`.
VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("wsedge.io", "billingplans"): ("list", "watch"),
    ("wsedge.io", "billingplans/status"): ("patch",),
    ("wsedge.io", "websocketdomains"): ("list", "watch"),
    ("wsedge.io", "websocketdomains/status"): ("patch",),
    # The owner of a child is named with blockOwnerDeletion, which is checked as this right.
    ("wsedge.io", "websocketdomains/finalizers"): ("update",),
    ("", "configmaps"): _CHILD,
    ("", "secrets"): _CHILD,
    ("", "services"): _CHILD,
    ("", "serviceaccounts"): _CHILD,
    ("apps", "deployments"): _CHILD,
    ("apps", "replicasets"): ("get",),
    ("policy", "poddisruptionbudgets"): _CHILD,
    ("networking.k8s.io", "networkpolicies"): _CHILD,
    ("", "pods"): ("list", "watch", "patch"),
    # Which life of a namespace this is: one that was deleted and made again is a new account.
    ("", "namespaces"): ("get", "list", "watch"),
    ("events.k8s.io", "events"): ("create",),
}
# Rights beside VERBS in all of the cluster, where all of it is served: to find another release that does so.
CLUSTER_VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("coordination.k8s.io", "leases"): ("list",),
    ("authorization.k8s.io", "subjectaccessreviews"): ("create",),
}
# Rights in the operator's own namespace, beside VERBS where that namespace is served: the election, the
# address of the statistics (a Role in the statistics' namespace, were it another), and the records of
# accounts, with the events about those whose namespace is gone.
OWN_VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("coordination.k8s.io", "leases"): ("get", "create", "update"),
    ("", "services"): ("get",),
    ("", "configmaps"): ("get", "list", "create", "patch"),
    ("events.k8s.io", "events"): ("create",),
}
