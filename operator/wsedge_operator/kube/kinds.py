"""The kinds of objects that the operator reads or writes, with the verbs that it needs on each.

`VERBS`, `CLUSTER_VERBS` and `OWN_VERBS` are all rights of the operator; the chart's Roles grant exactly
these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wsedge_operator.api import billing_plan, websocket_domain
from wsedge_operator.api.meta import GROUP, VERSION
from wsedge_operator.billing import record as account_record
from wsedge_operator.desired.names import MANAGED_BY, MANAGED_BY_LABEL
from wsedge_statistics.contract import ACCESS_KEYS_TYPE

_MANAGED: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of the API.

    `labels` and `fields` are selectors that the API server applies to lists and watches.
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
        """Return the URL path of an object, or of all objects in a namespace (None: in the cluster)."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "".join(
            [root, scope, f"/{self.plural}", *(f"/{part}" for part in (name, subresource) if part)]
        )


PLAN: Final = Kind(billing_plan.KIND, billing_plan.PLURAL, GROUP, VERSION)
DOMAIN: Final = Kind(websocket_domain.KIND, websocket_domain.PLURAL, GROUP, VERSION)
SERVICE: Final = Kind("Service", "services")
# No domain can refer to a Secret of these types, those of Helm are large, and access keys are for the
# statistics alone: they never reach the operator.
SECRET: Final = Kind(
    "Secret",
    "secrets",
    fields=(
        "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,"
        f"type!=kubernetes.io/dockerconfigjson,type!={ACCESS_KEYS_TYPE}"
    ),
)
CONFIG_MAP: Final = Kind("ConfigMap", "configmaps", labels=_MANAGED)
SERVICE_ACCOUNT: Final = Kind("ServiceAccount", "serviceaccounts", labels=_MANAGED)
NAMESPACE: Final = Kind("Namespace", "namespaces")
# Records of accounts where the last release kept them, in the accounts' own namespaces, with any labels.
OLD_RECORD: Final = Kind("ConfigMap", "configmaps", fields=f"metadata.name={account_record.COPY_NAME}")
DEPLOYMENT: Final = Kind("Deployment", "deployments", "apps", labels=_MANAGED)
DISRUPTION_BUDGET: Final = Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy", labels=_MANAGED)
NETWORK_POLICY: Final = Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io", labels=_MANAGED)
POD: Final = Kind("Pod", "pods", labels=_MANAGED)
# Read to find the Deployment of a pod: the pod names its ReplicaSet, which names the Deployment. Listed once.
REPLICA_SET: Final = Kind("ReplicaSet", "replicasets", "apps", labels=_MANAGED)
EVENT: Final = Kind("Event", "events", "events.k8s.io")
LEASE: Final = Kind("Lease", "leases", "coordination.k8s.io")
# Not of kube-node-lease, which has a Lease for each node of the cluster.
FOREIGN_LEASE: Final = Kind(
    "Lease", "leases", "coordination.k8s.io", fields="metadata.namespace!=kube-node-lease"
)
# Kinds of an entrance (`spec.exposure`), of APIs that a cluster may have or not. Where there are several
# versions of one kind, the first one that is served is used.
GATEWAY: Final = Kind("Gateway", "gateways", "gateway.networking.k8s.io")
# cert-manager copies the labels of a Certificate to its requests.
CERTIFICATE_REQUEST: Final = Kind(
    "CertificateRequest", "certificaterequests", "cert-manager.io", labels=_MANAGED
)
OPTIONAL: Final[tuple[tuple[Kind, ...], ...]] = (
    (Kind("Ingress", "ingresses", "networking.k8s.io", labels=_MANAGED),),
    (GATEWAY,),
    (Kind("HTTPRoute", "httproutes", "gateway.networking.k8s.io", labels=_MANAGED),),
    tuple(
        Kind("TLSRoute", "tlsroutes", "gateway.networking.k8s.io", version, labels=_MANAGED)
        for version in ("v1", "v1alpha3", "v1alpha2")
    ),
    (Kind("ListenerSet", "listenersets", "gateway.networking.k8s.io", labels=_MANAGED),),
    (Kind("XListenerSet", "xlistenersets", "gateway.networking.x-k8s.io", "v1alpha1", labels=_MANAGED),),
    (Kind("Certificate", "certificates", "cert-manager.io", labels=_MANAGED),),
    (CERTIFICATE_REQUEST,),
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
    (kind.api_version, kind.kind): kind
    for kind in (*WATCHED, *(kind for versions in OPTIONAL for kind in versions), EVENT, LEASE)
}

# The operator deletes children only while their owner stays: most of them when a domain is switched off, a
# Secret or a budget when it is needed no more. The garbage collector deletes the others with the owner.
_CHILD = ("get", "list", "watch", "create", "patch", "delete")
# Rights in every namespace that is served. Server-side apply is `patch`, and `create` when the object is new.
#
# Secrets of the whole cluster are listed and watched because a renewed certificate must be noticed, and RBAC
# selects neither by label nor by a name that is not known yet; with `get` alone a stolen token would show as
# much to anyone who guesses names. The chart's admission policies bound the writes; `watchNamespaces` bounds
# the reads.
VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("wsedge.io", "billingplans"): ("list", "watch"),
    ("wsedge.io", "billingplans/status"): ("patch",),
    ("wsedge.io", "websocketdomains"): ("list", "watch"),
    ("wsedge.io", "websocketdomains/status"): ("patch",),
    # A child's owner reference has blockOwnerDeletion, for which some clusters check this right
    # (admission plugin OwnerReferencesPermissionEnforcement).
    ("wsedge.io", "websocketdomains/finalizers"): ("update",),
    ("", "configmaps"): _CHILD,
    ("", "secrets"): _CHILD,
    ("", "services"): _CHILD,
    ("", "serviceaccounts"): _CHILD,
    ("apps", "deployments"): _CHILD,
    ("apps", "replicasets"): ("get", "list"),
    ("policy", "poddisruptionbudgets"): _CHILD,
    ("networking.k8s.io", "networkpolicies"): _CHILD,
    # The entrances that a domain may ask for. A right on a kind that is not installed is harmless.
    ("networking.k8s.io", "ingresses"): _CHILD,
    ("gateway.networking.k8s.io", "httproutes"): _CHILD,
    ("gateway.networking.k8s.io", "tlsroutes"): _CHILD,
    ("gateway.networking.k8s.io", "listenersets"): _CHILD,
    ("gateway.networking.x-k8s.io", "xlistenersets"): _CHILD,
    ("cert-manager.io", "certificates"): _CHILD,
    # What an issuer says of a Certificate that waits, which the Certificate itself does not.
    ("cert-manager.io", "certificaterequests"): ("list", "watch"),
    # The addresses of the Gateways to which routes attach.
    ("gateway.networking.k8s.io", "gateways"): ("list", "watch"),
    ("", "pods"): ("list", "watch", "patch"),
    # A namespace that was deleted and created again has another uid, and is another account.
    ("", "namespaces"): ("get", "list", "watch"),
    ("events.k8s.io", "events"): ("create",),
}
# Further rights where the whole cluster is served: to find another release that serves it.
CLUSTER_VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("coordination.k8s.io", "leases"): ("list",),
    ("authorization.k8s.io", "subjectaccessreviews"): ("create",),
}
# Rights in the operator's own namespace: the election, the address of the statistics, the records of
# accounts, and Events about records whose namespace is deleted.
OWN_VERBS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("coordination.k8s.io", "leases"): ("get", "create", "update"),
    ("", "services"): ("get",),
    ("", "configmaps"): ("get", "list", "create", "patch"),
    ("events.k8s.io", "events"): ("create",),
}
