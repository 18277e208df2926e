"""The kinds of objects that the operator reads or writes, with the verbs that it needs on each.

`VERBS` is the whole of the operator's rights, but for its own Lease; the chart's Roles grant exactly these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MANAGED_BY: Final = "app.kubernetes.io/managed-by=wsedge"


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of the API, and the objects of it that are watched.

    `labels` and `fields` are selectors that the API server applies to what is listed and watched.
    """

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    watched: bool = True
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


PLAN: Final = Kind("BillingPlan", "billingplans", "wsedge.io", "v1alpha1")
DOMAIN: Final = Kind("WebSocketDomain", "websocketdomains", "wsedge.io", "v1alpha1")
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
CONFIG_MAP: Final = Kind("ConfigMap", "configmaps", labels=MANAGED_BY)
SERVICE_ACCOUNT: Final = Kind("ServiceAccount", "serviceaccounts", labels=MANAGED_BY)
DEPLOYMENT: Final = Kind("Deployment", "deployments", "apps", labels=MANAGED_BY)
DISRUPTION_BUDGET: Final = Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy", labels=MANAGED_BY)
POD: Final = Kind("Pod", "pods", labels=MANAGED_BY)
EVENT: Final = Kind("Event", "events", "events.k8s.io", watched=False)
LEASE: Final = Kind("Lease", "leases", "coordination.k8s.io", watched=False)

WATCHED: Final = (
    PLAN,
    DOMAIN,
    SERVICE,
    SECRET,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    POD,
)
BY_NAME: Final[Mapping[tuple[str, str], Kind]] = {
    (kind.api_version, kind.kind): kind for kind in (*WATCHED, EVENT, LEASE)
}

_CHILD = ("get", "list", "watch", "create", "patch", "delete")
# Rights in every namespace that is served. Server-side apply is `patch`, and `create` when the object is new.
VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("wsedge.io", "billingplans"): ("get", "list", "watch"),
    ("wsedge.io", "billingplans/status"): ("patch",),
    ("wsedge.io", "websocketdomains"): ("get", "list", "watch"),
    ("wsedge.io", "websocketdomains/status"): ("patch",),
    # The owner of a child is named with blockOwnerDeletion, which is checked as this right.
    ("wsedge.io", "websocketdomains/finalizers"): ("update",),
    ("", "configmaps"): _CHILD,
    ("", "secrets"): _CHILD,
    ("", "services"): _CHILD,
    ("", "serviceaccounts"): _CHILD,
    ("apps", "deployments"): _CHILD,
    ("policy", "poddisruptionbudgets"): _CHILD,
    ("", "pods"): ("get", "list", "watch", "patch"),
    ("events.k8s.io", "events"): ("create",),
}
# Rights in the operator's own namespace, beside VERBS where that namespace is served: the election, and the
# address of the statistics (a Role in the statistics' namespace, were it another).
OWN_VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("coordination.k8s.io", "leases"): ("get", "create", "update"),
    ("", "services"): ("get", "list", "watch"),
}
