"""Every reason of a condition or an Event that the operator writes, with its cause and its cure.

Reasons are API: scripts, alerts and `kubectl wait` match them. A release may add a reason, but not rename one
or change its meaning. Reasons of Kubernetes (ImagePullBackOff, Unschedulable, FailedCreate …) pass through
`domain.pods` as text and are not members here.

The tables below are the source of the tables in docs/status.md (`reconcile.status_page` writes them).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The reason of a condition or an Event: one word in CamelCase (Kubernetes API conventions)."""

    # Of both kinds.
    ACCEPTED = "Accepted"
    UNKNOWN_FIELDS = "UnknownFields"
    UNREADABLE = "Unreadable"
    ACCOUNT_DAMAGED = "AccountDamaged"
    NAMESPACE_NOT_SELECTED = "NamespaceNotSelected"
    EFFECTIVE = "Effective"
    ENDING = "Ending"
    SCHEDULED = "Scheduled"
    NO_PLAN = "NoPlan"
    PLAN_ENDED = "PlanEnded"
    APPLY_FAILED = "ApplyFailed"

    # Of a BillingPlan.
    PLAN_CONFLICT = "PlanConflict"
    INVALID_TIME_ZONE = "InvalidTimeZone"
    CANCELLED = "Cancelled"
    CHANGED = "Changed"
    ENDED = "Ended"
    RECORD_MOVED = "RecordMoved"

    # Of a WebSocketDomain: its name and its switch.
    DOMAIN_CONFLICT = "DomainConflict"
    HAS_BEEN_SERVED = "HasBeenServed"
    DISABLED = "Disabled"
    DRAINING = "Draining"
    REMOVING = "Removing"

    # Of a WebSocketDomain: what its spec refers to.
    SERVICE_NOT_FOUND = "ServiceNotFound"
    SERVICE_PORT_NOT_FOUND = "ServicePortNotFound"
    SERVICE_WITHOUT_ADDRESS = "ServiceWithoutAddress"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  a reason, not a secret
    SECRET_INVALID = "SecretInvalid"  # noqa: S105  a reason, not a secret
    CERTIFICATE_MISMATCH = "CertificateMismatch"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_NAME = "CertificateName"
    ORIGIN_DENIED = "OriginDenied"
    STATISTICS_NOT_FOUND = "StatisticsNotFound"

    # Of a WebSocketDomain: its entrance.
    EXPOSED = "Exposed"
    ADDRESSES_CHANGED = "AddressesChanged"
    API_NOT_INSTALLED = "APINotInstalled"
    API_FORBIDDEN = "APIForbidden"
    API_NOT_READABLE = "APINotReadable"
    DEFINITION_OUTDATED = "DefinitionOutdated"
    LOAD_BALANCER_PENDING = "LoadBalancerPending"
    LOAD_BALANCER_WITHOUT_ADDRESS = "LoadBalancerWithoutAddress"
    INGRESS_PENDING = "IngressPending"
    INGRESS_WITHOUT_ADDRESS = "IngressWithoutAddress"
    ROUTE_PENDING = "RoutePending"
    ROUTE_NOT_ANSWERED = "RouteNotAnswered"
    ROUTE_REFUSED = "RouteRefused"
    ROUTE_NOT_RESOLVED = "RouteNotResolved"
    LISTENERS_REFUSED = "ListenersRefused"
    CERTIFICATE_PENDING = "CertificatePending"
    CERTIFICATE_FAILED = "CertificateFailed"
    SECRET_OF_ANOTHER_OWNER = "SecretOfAnotherOwner"  # noqa: S105  a reason, not a secret

    # Of a WebSocketDomain: its relays.
    SERVING = "Serving"
    CURRENT = "Current"
    ROLLING_OUT = "RollingOut"
    REFUSED = "Refused"
    NO_RELAYS = "NoRelays"
    RELAYS_STARTING = "RelaysStarting"
    RELAYS_UPDATING = "RelaysUpdating"
    RELAYS_DRAINING = "RelaysDraining"
    WRITES_DO_NOT_LAST = "WritesDoNotLast"
    ROLLOUT_WAITING = "RolloutWaiting"
    ROLLOUT_PAUSED = "RolloutPaused"
    ROLLOUT_PROBED = "RolloutProbed"
    CHANGED_FROM_OUTSIDE = "ChangedFromOutside"
    SCALED_FROM_OUTSIDE = "ScaledFromOutside"

    # Of a WebSocketDomain: the number of its relays.
    SCALING = "Scaling"
    SCALED = "Scaled"
    AT_MAXIMUM = "AtMaximum"
    RELAYS_SILENT = "RelaysSilent"
    INVALID_SCHEDULE = "InvalidSchedule"
    REBALANCING = "Rebalancing"
    REBALANCED = "Rebalanced"
    REBALANCE_ENDED = "RebalanceEnded"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cause of reasons and their cure; an empty remedy means that there is nothing to do."""

    reasons: tuple[Reason, ...]
    meaning: str
    remedy: str = ""


# One table per section of docs/status.md. A reason has at most one row in a table.
DOMAIN_CONDITIONS: Final = (
    Explanation((Reason.SERVING,), "all relays are available and run the current configuration"),
    Explanation((Reason.ACCEPTED,), "the object is valid and owns its name"),
    Explanation(
        (Reason.UNKNOWN_FIELDS,),
        "accepted, except for fields that this version of the operator does not know and ignores",
        "remove the fields, or upgrade the operator",
    ),
    Explanation((Reason.EFFECTIVE,), "the namespace's BillingPlan is in force"),
    Explanation(
        (Reason.ENDING,),
        "the BillingPlan is in force until the instant in the message",
        "apply a plan before that, or let it end",
    ),
    Explanation(
        (Reason.DISABLED,),
        "switched off: all children are deleted except the Service, which keeps its address; ready",
        "set `spec.websocket.enabled: true`",
    ),
    Explanation(
        (Reason.SCHEDULED,),
        "the BillingPlan takes effect later; ready, and no child exists before",
        "wait until the instant in the message",
    ),
    Explanation(
        (Reason.NO_PLAN, Reason.PLAN_ENDED),
        "no BillingPlan is in force in this namespace",
        "apply a BillingPlan",
    ),
    Explanation(
        (Reason.ACCOUNT_DAMAGED,),
        "the account's [record](activation.md#the-record) cannot be read; the operator changes nothing",
        "restore the record, or ask the administrator of the operator to",
    ),
    Explanation(
        (Reason.DOMAIN_CONFLICT,),
        "another WebSocketDomain owns this name; the message names it if it is in this namespace",
        "delete one of them, or ask the administrator, who can list all with"
        " `kubectl get websocketdomains --all-namespaces`",
    ),
    Explanation(
        (Reason.NAMESPACE_NOT_SELECTED,),
        "the operator does not serve this namespace"
        " ([its labels](install.md#some-namespaces-by-their-labels)): no child is created, edits wait, and"
        " running relays continue with their last configuration",
        "ask the cluster's administrator; switching off, the end of the plan and deletion take effect",
    ),
    Explanation(
        (Reason.UNREADABLE,),
        "this version of the operator cannot read the spec and changes no child: running relays continue",
        "the message names a value of a newer version: revert it, or upgrade the operator",
    ),
    Explanation(
        (Reason.SERVICE_NOT_FOUND, Reason.SERVICE_PORT_NOT_FOUND, Reason.SERVICE_WITHOUT_ADDRESS),
        "an origin's Service, its port or its cluster IP does not exist",
        "correct the field that the message names, or the Service",
    ),
    Explanation(
        (Reason.SECRET_NOT_FOUND, Reason.SECRET_INVALID, Reason.CERTIFICATE_MISMATCH),
        "a Secret is missing, its content is invalid, or its key belongs to another certificate",
        "correct the field that the message names, or the Secret",
    ),
    Explanation(
        (Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_NAME),
        "the certificate is served, but it has expired or does not name the domain: clients may refuse it",
        "renew the certificate in the Secret that the message names",
    ),
    Explanation(
        (Reason.ORIGIN_DENIED,),
        "an origin has an address that relays [do not dial](relay/origins.md#where-origins-may-be)",
        "use another address, or ask the administrator to allow it",
    ),
    Explanation(
        (Reason.STATISTICS_NOT_FOUND,),
        "the Service of the statistics does not exist, and traffic must be counted",
        "repair the installation",
    ),
    Explanation(
        (Reason.NO_RELAYS, Reason.RELAYS_STARTING, Reason.RELAYS_UPDATING),
        "relay pods do not exist, start, or are replaced",
        "wait",
    ),
    Explanation(
        (Reason.ROLLOUT_WAITING,),
        "served, and ready; a change of the operator (an upgrade, a default for pods) replaces the pods when"
        " it is the domain's turn",
        "wait, or edit the pods' settings of the domain: an edit does not wait"
        " ([staged rollouts](pods.md#staged-rollouts))",
    ),
    Explanation(
        (Reason.ROLLOUT_PAUSED,),
        "served, and ready; a change of the operator waits, since the relays of another domain did not run"
        " with it; after failures in several accounts it continues by itself, one domain at a time",
        "wait, or correct the domain that failed, or the operator"
        " ([staged rollouts](pods.md#staged-rollouts))",
    ),
    Explanation(
        (Reason.RELAYS_DRAINING,),
        "the named relays were ordered to drain (`POST /drain`) and refuse new connections",
        "wait, or delete the pods",
    ),
    Explanation((Reason.CURRENT,), "every relay pod runs this configuration"),
    Explanation(
        (Reason.ROLLING_OUT,),
        "some relays do not run the new configuration yet",
        "wait; the message names a relay that does not answer",
    ),
    Explanation(
        (Reason.REFUSED,),
        "a relay refuses the configuration and continues with the last one",
        "report the message as a defect",
    ),
    Explanation(
        (Reason.APPLY_FAILED,),
        "the API server refused a write (a quota, a policy, a name that is in use), or a write failed four"
        " times in a row (a webhook that is down)",
        "the message has the API server's answer",
    ),
    Explanation(
        (Reason.WRITES_DO_NOT_LAST,),
        "a controller or a webhook reverts the operator's writes; the operator repeats them at most once a"
        " minute",
        "stop the other writer; the Events name the fields",
    ),
    Explanation(
        (Reason.DRAINING, Reason.REMOVING),
        "relays close their connections; after that all children are deleted",
        "wait",
    ),
    Explanation(
        (Reason.EXPOSED,),
        "each part of the [entrance](exposure.md) leads to the relays (condition `Exposed`)",
    ),
    Explanation(
        (Reason.API_NOT_INSTALLED,),
        "the cluster has no API for a part of the entrance; all else goes on",
        "install the API, which is found within ten seconds, or remove that part",
    ),
    Explanation(
        (Reason.API_FORBIDDEN, Reason.API_NOT_READABLE),
        "the operator may not read, or could not read, the objects of an API; they stay as they are",
        "the message has the API server's answer; upgrade the chart, whose Roles have the rights",
    ),
    Explanation(
        (Reason.DEFINITION_OUTDATED,),
        "a CustomResourceDefinition of an older release has dropped `spec.exposure`; the entrance stays until"
        " the next edit",
        "apply the CustomResourceDefinitions of the operator's release, and the object again",
    ),
    Explanation(
        (Reason.LOAD_BALANCER_PENDING, Reason.INGRESS_PENDING, Reason.ROUTE_PENDING),
        "the entrance waits for its controller, for five minutes",
        "wait",
    ),
    Explanation(
        (Reason.LOAD_BALANCER_WITHOUT_ADDRESS,),
        "the load balancer has had no address for five minutes",
        "`kubectl describe service`, and the log of its controller",
    ),
    Explanation(
        (Reason.INGRESS_WITHOUT_ADDRESS,),
        "the Ingress has had no address for five minutes; `Ready` does not depend on it",
        "check the class; a controller that publishes no address may serve nevertheless",
    ),
    Explanation(
        (Reason.ROUTE_NOT_ANSWERED,),
        "no controller has answered for the routes' Gateway for five minutes",
        "check `parentRefs` and the Gateway's class",
    ),
    Explanation(
        (Reason.ROUTE_REFUSED, Reason.ROUTE_NOT_RESOLVED, Reason.LISTENERS_REFUSED),
        "the Gateway refuses the route or the listeners, or does not find what they refer to",
        "the message has the Gateway's reason; its `allowedRoutes` and `allowedListeners` are its owner's",
    ),
    Explanation(
        (Reason.CERTIFICATE_PENDING, Reason.CERTIFICATE_FAILED),
        "cert-manager has not issued the certificate; relays that serve one continue with it",
        "the message has cert-manager's reason, and what the issuer says of the last request;"
        " `cmctl status certificate` has more",
    ),
    Explanation(
        (Reason.SECRET_OF_ANOTHER_OWNER,),
        "the Secret of `spec.tls` exists and is not cert-manager's for this domain, so it is not replaced",
        "name a Secret that does not exist, or remove `exposure.certificate`",
    ),
    Explanation(
        (Reason.HAS_BEEN_SERVED,),
        "the domain has been served: this object owns the name until it is deleted (condition `NameKept`)",
    ),
    Explanation(
        (Reason.SCALING,),
        "the number of relays follows their connections ([size](size.md), condition `ScalingActive`)",
    ),
    Explanation(
        (Reason.AT_MAXIMUM,),
        "the connections need more relays than `maxReplicas` (condition `ScalingActive`)",
        "raise `maxReplicas`, or `connectionsPerReplica`",
    ),
    Explanation(
        (Reason.RELAYS_SILENT,),
        "relays that run do not answer on their admin port: none is removed (condition `ScalingActive`)",
        "see the operator's log, and which network policies apply to the relays",
    ),
    Explanation(
        (Reason.INVALID_SCHEDULE,),
        "a schedule has no effect, and no relay is removed (condition `ScalingActive`)",
        "correct the field that the message names",
    ),
)

PLAN_CONDITIONS: Final = (
    Explanation((Reason.ACCEPTED,), "this plan counts for the namespace"),
    Explanation(
        (Reason.UNKNOWN_FIELDS,),
        "this plan counts, except for fields that this version of the operator does not know and ignores",
        "remove the fields, or upgrade the operator",
    ),
    Explanation((Reason.EFFECTIVE,), "its terms, or the terms before them, are in force"),
    Explanation(
        (Reason.SCHEDULED,), "the first terms, or a change of terms, take effect at a known date; ready"
    ),
    Explanation((Reason.ENDING,), "the account ends at the date in the message"),
    Explanation((Reason.NO_PLAN, Reason.PLAN_ENDED), "no terms are in force", "apply a valid plan"),
    Explanation(
        (Reason.PLAN_CONFLICT,), "an older plan of the namespace counts", "delete one of the two plans"
    ),
    Explanation(
        (Reason.NAMESPACE_NOT_SELECTED,),
        "the operator does not serve this namespace: the plan starts no terms, edits have no effect, and"
        " terms in force end only after the plan is deleted",
        "ask the cluster's administrator",
    ),
    Explanation(
        (Reason.INVALID_TIME_ZONE,),
        "the plan names an unknown time zone; the last valid request remains in force",
        "write a name of the IANA time zone database",
    ),
    Explanation(
        (Reason.UNREADABLE,),
        "this version of the operator cannot read the plan; the last valid request and the terms in force"
        " remain",
        "the message names a value of a newer version: revert it, or upgrade the operator",
    ),
    Explanation(
        (Reason.ACCOUNT_DAMAGED,),
        "the account's record cannot be read; nothing is changed until it is restored",
        "restore the [record](activation.md#the-record)",
    ),
)

# Beside these, each change of `Ready` and of `Exposed` is an Event of that condition's reason.
EVENTS: Final = (
    Explanation((Reason.SCHEDULED,), "a start, change or end of terms is scheduled"),
    Explanation((Reason.CANCELLED,), "a scheduled change was withdrawn before its date"),
    Explanation((Reason.EFFECTIVE,), "the first terms of the account are in force"),
    Explanation((Reason.CHANGED,), "other terms are in force"),
    Explanation((Reason.ENDED,), "the account has ended, and no terms are in force"),
    Explanation((Reason.RECORD_MOVED,), "an upgrade moved the account's record to the operator's namespace"),
    Explanation(
        (Reason.UNKNOWN_FIELDS,),
        "the object has fields that this version of the operator does not know and ignores",
        "remove the fields, or upgrade the operator",
    ),
    Explanation((Reason.ADDRESSES_CHANGED,), "the entrance has other addresses, which the message names"),
    Explanation(
        (Reason.CHANGED_FROM_OUTSIDE,),
        "another client changed a child, and the operator restores the fields that the message names",
        "configure relays in the WebSocketDomain",
    ),
    Explanation(
        (Reason.SCALED_FROM_OUTSIDE,),
        "an autoscaler or a person scaled the Deployment, and the operator respects the number",
        "let the autoscaler scale the WebSocketDomain, which has the subresource `scale`",
    ),
    Explanation(
        (Reason.ROLLOUT_PROBED,),
        "a change of the operator was paused, since relays of several accounts did not run with it; this"
        " domain is the next with which it continues",
    ),
    Explanation(
        (Reason.SCALED,), "`relay.autoscaling` changed the number of relays, for the reason in the message"
    ),
    Explanation(
        (Reason.REBALANCING,), "after a scale-out, relays close some connections (`relay.rebalance`)"
    ),
    Explanation((Reason.REBALANCED,), "the busiest relay is within `maxImbalancePercent` of the mean"),
    Explanation(
        (Reason.REBALANCE_ENDED,),
        "relays close no more connections, although the busiest exceeds `maxImbalancePercent`",
        "the message has the reason: clients return to the same relay, or a relay is of an older release",
    ),
    Explanation(
        (Reason.APPLY_FAILED,),
        "a write failed, and the status could not be written either",
        "the message has the API server's answer",
    ),
)
