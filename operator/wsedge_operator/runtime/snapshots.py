"""Gather the snapshot of a decision: from the cache, and by calls where the cache has not all of it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any, Final

import aiohttp
import structlog

from wsedge_operator.api.reading import part_at
from wsedge_operator.api.spec.pod import NO_POD_SETTINGS, RelayPod
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.desired.exact import parts
from wsedge_operator.desired.names import admin_name, child_key, child_name
from wsedge_operator.desired.ownership import Ownership, ownership
from wsedge_operator.errors import ForbiddenError, NamespaceGoneError, NotFoundError, OperatorError
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import (
    CERTIFICATE_REQUEST,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    DOMAIN,
    GATEWAY,
    NAMESPACE,
    NETWORK_POLICY,
    REPLICA_SET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from wsedge_operator.peers.relays import fetch_reports
from wsedge_operator.reconcile.account import decide as account_decision
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad, load_of
from wsedge_operator.reconcile.domain.claims import (
    DomainClaim,
    can_be_served,
    claim_of,
    claimed_name,
    served_since,
)
from wsedge_operator.reconcile.domain.entrance.children import KINDS as ENTRANCE_KINDS
from wsedge_operator.reconcile.domain.memory import NO_MEMORY, Memory, ShedFailure
from wsedge_operator.reconcile.domain.pods import has_own_address, is_replica_set_of, replica_set_of, restarts
from wsedge_operator.reconcile.domain.references import gateway_names, secret_names, service_names
from wsedge_operator.reconcile.domain.rollout import pods_to_query
from wsedge_operator.reconcile.domain.scale_in import is_scale_in
from wsedge_operator.reconcile.domain.scaling import scaled_from_outside
from wsedge_operator.reconcile.domain.snapshot import Admitted, DomainSnapshot, RelayReport
from wsedge_operator.reconcile.outcome import Exact, Manifest
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache, Object, name_of
from wsedge_operator.runtime.optional import OptionalKinds
from wsedge_operator.runtime.triggers import Key

log = structlog.get_logger()

_NOT_ASKED: Final = "it does not belong to the Deployment, or is on its node's network, and is not asked"
# A Deployment has two ReplicaSets in a rollout, seldom more; a tenant's pods may name many that do not exist.
_MOST_REPLICA_SETS: Final = 8
_DECLARED_AGAIN: Final = timedelta(seconds=10)
_NO_CHILDREN: Final = frozenset({GATEWAY, CERTIFICATE_REQUEST})
_CHILDREN = (CONFIG_MAP, SERVICE_ACCOUNT, SERVICE, DISRUPTION_BUDGET, NETWORK_POLICY, DEPLOYMENT)


@dataclass
class Gatherer:
    """Gathers snapshots of WebSocketDomains.

    `statistics_url`, `cluster`, `admin_peers`, `denied_networks`, `pod_default`, `is_exposure_declared`: as
    in DomainSnapshot; StatisticsDiscovery updates the first. Without `optional` no API of an entrance is
    installed. `load_period` is the time between two measurements of a domain's load.
    """

    client: Client
    cache: Cache
    session: aiohttp.ClientSession
    image: RelayImage
    accounts: Accounts
    statistics_url: str | None = None
    admin_peers: tuple[Object, ...] | None = None
    cluster: str | None = None
    denied_networks: tuple[str, ...] | None = None
    pod_default: RelayPod = NO_POD_SETTINGS
    optional: OptionalKinds | None = None
    is_exposure_declared: bool = True
    _declared_at: datetime | None = None
    failures: dict[Key, str] = field(default_factory=dict)
    contested: dict[Key, str] = field(default_factory=dict)
    shed_failures: dict[Key, dict[str, ShedFailure]] = field(default_factory=dict)
    load_period: timedelta = timedelta(seconds=15)
    _memories: dict[Key, Memory] = field(default_factory=dict)
    _loads: dict[Key, tuple[int, RelayLoad]] = field(default_factory=dict)
    _admitted: dict[Key, dict[str, Admitted]] = field(default_factory=dict)
    _secrets: dict[tuple[str, str], Object] = field(default_factory=dict)
    _relays: dict[Key, dict[str, RelayReport]] = field(default_factory=dict)
    _listed_sets: dict[tuple[str, str], Object] = field(default_factory=dict)
    _replica_sets: dict[Key, tuple[str, Set[tuple[str, str]]]] = field(default_factory=dict)

    async def domain(self, key: Key, live: Object, now: datetime) -> DomainSnapshot:
        """Return the snapshot of a WebSocketDomain, with fresh reports of relays that lag."""
        namespace, child = key.namespace, child_name(key.name)
        children = {
            kind.kind: found
            for kind in _CHILDREN
            if (found := self._child(kind, namespace, child, live)) is not None
        }
        for name in (child, admin_name(key.name)):
            if (secret := await self._secret(namespace, name)) is not None and _is_child(secret, live):
                children[child_key({"kind": SECRET.kind, **secret}, key.name)] = secret
        kinds = self.optional.kinds(namespace) if self.optional is not None else {}
        for kind in kinds.values():
            if kind not in _NO_CHILDREN and (found := self._child(kind, namespace, child, live)) is not None:
                children[kind.kind] = found
        services, secrets = await self._references(live)
        pods = self._pods(key)
        if (account := await self.accounts.current(namespace)) is None:
            call = f"GET Namespace {namespace}"
            raise NamespaceGoneError(call, 404, "NotFound", "the namespace of the domain is deleted")
        there = self.cache.get(NAMESPACE, "", namespace)
        if there is not None and there["metadata"].get("deletionTimestamp"):
            # Each deletion of a child would cause an attempt to create it again, which is refused.
            call = f"GET Namespace {namespace}"
            raise NamespaceGoneError(call, 403, "Forbidden", "the namespace of the domain is being deleted")
        account_state = account_decision.account_state(account, now, served="Deployment" in children)
        return DomainSnapshot(
            live=live,
            account_state=account_state,
            image=self.image,
            pod_default=self.pod_default,
            new_token=token_urlsafe(32),
            selected=account.selected,
            claims=await self.claims(claimed_name(live), now),
            services=services,
            secrets=secrets,
            children=children,
            pods=pods,
            relays=await self._reports(key, pods, children, live, now),
            statistics_url=self.statistics_url,
            admin_peers=self.admin_peers,
            cluster=self.cluster,
            denied_networks=self.denied_networks,
            failure=self.failures.get(key),
            contested=self.contested.get(key),
            admitted=dict(self._admitted.get(key, {})),
            apis=self.optional.apis(namespace) if self.optional is not None else {},
            gateways={
                name: gateway
                for name in gateway_names(live)
                if (gateway := self.cache.get(GATEWAY, *name)) is not None
            },
            certificate_requests=tuple(self.cache.certificate_requests_of(namespace, key.name)),
            is_exposure_declared=await self._is_exposure_declared(live, children, now),
            load=self._loads[key][1] if key in self._loads else None,
            memory=self._memories.get(key, NO_MEMORY),
            shed_failures=self.shed_failures.get(key, {}),
        )

    async def _is_exposure_declared(
        self, live: Object, children: Mapping[str, Object], now: datetime
    ) -> bool:
        """Return whether the definition in the cluster has `spec.exposure` and `status.addresses`.

        An older one (a rollback) drops both, and then a spec without an entrance does not ask to delete it.
        So the API server is asked before that. While it has refused a status for its addresses, it is asked
        again, at most every ten seconds.
        """
        has_entrance = not children.keys().isdisjoint(ENTRANCE_KINDS) or (
            part_at(children.get("Service"), "spec", "type") not in {None, "ClusterIP"}
        )
        is_asked_for = part_at(live, "spec", "exposure") is not None
        if not has_entrance and not is_asked_for:
            return self.is_exposure_declared
        is_due = self._declared_at is None or now - self._declared_at >= _DECLARED_AGAIN
        if (not is_asked_for) if self.is_exposure_declared else is_due:
            self.is_exposure_declared = await self.client.declares(DOMAIN, live, {"addresses": []})
            self._declared_at = now
        return self.is_exposure_declared

    async def list_replica_sets(self, namespace: str | None) -> None:
        """List the ReplicaSets of relays in a namespace (None: in the cluster), for the first decisions.

        A call for each of a thousand domains would cost as much as their decisions. What this list lacks is
        read by name.
        """
        try:
            async for page in self.client.pages(REPLICA_SET, namespace):
                for live in page.items:
                    if part_at(live, "spec", "replicas"):
                        kept = {key: live["metadata"].get(key) for key in ("uid", "ownerReferences")}
                        self._listed_sets[name_of(live)] = {"metadata": kept}
        except OperatorError as error:  # The Role of an older chart has no right to list them.
            log.info("replica sets not listed", served=namespace or "*", error=str(error))

    def remember(self, key: Key, memory: Memory) -> None:
        """Keep the memory of a decision for the next one about the same WebSocketDomain."""
        if memory == NO_MEMORY:
            self._memories.pop(key, None)
        else:
            self._memories[key] = memory
        if not memory.needs_load:
            self.shed_failures.pop(key, None)

    def note_admitted(self, key: Key, exact: Exact, live: Object) -> None:
        """Record exact parts of a child of a WebSocketDomain as they are after admission."""
        self._admitted.setdefault(key, {})[exact.ref.kind] = Admitted(exact.digest, parts(live))

    async def claims(self, domain: str | None, now: datetime) -> tuple[DomainClaim, ...]:
        """Return all claims on a domain; `can_be_served` is evaluated only where there are several."""
        found = self.cache.claims(domain) if domain is not None else []
        if len(found) < 2:
            return tuple(claim_of(live, can_be_served=True) for live in found)
        return tuple([await self._claim(live, now) for live in found])

    async def _claim(self, live: Object, now: datetime) -> DomainClaim:
        account = await self.accounts.current(live["metadata"]["namespace"])
        if account is None:
            return claim_of(live, can_be_served=False)
        account_state = account_decision.account_state(account, now, served=served_since(live) is not None)
        return claim_of(live, can_be_served=can_be_served(live, account_state, selected=account.selected))

    def forget(self, key: Key) -> None:
        """Drop all data about a WebSocketDomain that is deleted."""
        self._relays.pop(key, None)
        self._replica_sets.pop(key, None)
        self.failures.pop(key, None)
        self.contested.pop(key, None)
        self._admitted.pop(key, None)
        self._memories.pop(key, None)
        self._loads.pop(key, None)
        self.shed_failures.pop(key, None)
        for name in (child_name(key.name), admin_name(key.name)):
            self._secrets.pop((key.namespace, name), None)

    def _child(self, kind: Kind, namespace: str, name: str, owner: Object) -> Object | None:
        found = self.cache.get(kind, namespace, name)
        # A foreign object of that name is neither compared nor deleted; applying then fails with a conflict.
        return found if found is not None and _is_child(found, owner) else None

    async def _references(self, live: Object) -> tuple[dict[str, Object], dict[str, Object]]:
        """Return the Services and Secrets that a domain names: no decision reads those of an invalid spec."""
        namespace = live["metadata"]["namespace"]
        services = {name: self.cache.get(SERVICE, namespace, name) for name in service_names(live)}
        secrets = {name: await self._secret(namespace, name) for name in secret_names(live)}
        return _present(services), _present(secrets)

    async def _secret(self, namespace: str, name: str) -> Object | None:
        """Return a Secret with its contents; those that the cache lacks are read when it has changed."""
        known = self.cache.get(SECRET, namespace, name)
        if known is None:
            self._secrets.pop((namespace, name), None)
            return None
        if "data" in known:
            return known
        kept = self._secrets.get((namespace, name))
        if kept is None or kept["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
            kept = await self._fetch(SECRET, namespace, name)
            if kept is None:
                self._secrets.pop((namespace, name), None)
                return None
            self._secrets[namespace, name] = kept
        return kept

    async def _fetch(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return await self.client.get(kind, namespace, name)
        except NotFoundError:
            return None

    async def _reports(
        self, key: Key, pods: tuple[Object, ...], children: dict[str, Object], live: Object, now: datetime
    ) -> dict[str, RelayReport]:
        known = {pod["metadata"]["uid"]: pod for pod in pods}
        before = {uid: report for uid, report in self._relays.get(key, {}).items() if uid in known}
        # A spec without a number, which the API server's default prevents, leaves it to whatever scales.
        replicas = part_at(live, "spec", "relay", "replicas")
        # With autoscaling the number in the spec is a default without meaning.
        is_autoscaled = part_at(live, "spec", "relay", "autoscaling") is not None
        replicas = replicas if isinstance(replicas, int) and not is_autoscaled else None
        if replicas is not None and scaled_from_outside(children.get("Deployment"), replicas) is not None:
            replicas = None
        counting = self._is_load_due(key, live, now, is_autoscaled=is_autoscaled)
        asked = pods_to_query(
            pods,
            before,
            children.get("ConfigMap"),
            scaling_in=is_scale_in(children.get("Deployment"), replicas),
            counting=counting,
        )
        own = await self._own_pods(key, asked, children.get("Deployment"))
        uids = {pod["metadata"]["uid"] for pod in own}
        not_asked = {
            pod["metadata"]["uid"]: RelayReport(restarts(pod), None, _NOT_ASKED)
            for pod in asked
            if pod["metadata"]["uid"] not in uids
        }
        fresh = await fetch_reports(self.session, own)
        if counting:
            answers = {uid: one.state.openConnections for uid, one in fresh.items() if one.state is not None}
            load = load_of(pods, answers, now, now + self.load_period)
            self._loads[key] = int(live["metadata"].get("generation") or 0), load
        for uid, report in fresh.items():
            if report.error and report != before.get(uid):
                log.info("relay did not answer", pod=known[uid]["metadata"]["name"], reason=report.error)
        self._relays[key] = {**before, **not_asked, **fresh}
        return self._relays[key]

    def _is_load_due(self, key: Key, live: Object, now: datetime, *, is_autoscaled: bool) -> bool:
        """Return whether to measure the load now: after each period, and after an edit of the object."""
        if not is_autoscaled and not self._memories.get(key, NO_MEMORY).needs_load:
            self._loads.pop(key, None)
            return False
        generation, load = self._loads.get(key, (0, None))
        is_edited = generation != live["metadata"].get("generation")
        return load is None or is_edited or not load.at <= now < load.again

    async def has_new_reports(self, key: Key, live: Object, now: datetime) -> bool:
        """Query the relays of a WebSocketDomain that lag; return whether any of them answered otherwise."""
        namespace, child = key.namespace, child_name(key.name)
        children = {
            kind.kind: found
            for kind in (CONFIG_MAP, DEPLOYMENT)
            if (found := self._child(kind, namespace, child, live)) is not None
        }
        before = self._relays.get(key)
        return await self._reports(key, self._pods(key), children, live, now) != before

    def _pods(self, key: Key) -> tuple[Object, ...]:
        return tuple(
            pod
            for pod in self.cache.pods_of(key.namespace, key.name)
            if replica_set_of(pod) is not None  # a tenant's own pod may have the same labels
        )

    async def _own_pods(
        self, key: Key, asked: list[Manifest], deployment: Object | None
    ) -> list[dict[str, Any]]:
        """Return the pods that belong to the Deployment, by owner references and uids.

        A tenant may create a pod with any labels and owner references. It cannot forge that the ReplicaSet
        exists, has this uid and belongs to this Deployment, so each ReplicaSet is read.
        """
        if deployment is None:
            return []
        addressed = [pod for pod in asked if has_own_address(pod)]
        named = {found for pod in addressed if (found := replica_set_of(pod)) is not None}
        owner = deployment["metadata"]["uid"]
        before, known = self._replica_sets.get(key, (owner, frozenset()))
        known = known & named if before == owner else frozenset()
        known |= await self._replica_sets_of(key.namespace, named - known, deployment)
        self._replica_sets[key] = owner, known
        return [dict(pod) for pod in addressed if replica_set_of(pod) in known]

    async def _replica_sets_of(
        self, namespace: str, named: Set[tuple[str, str]], deployment: Object
    ) -> Set[tuple[str, str]]:
        """Return the named ReplicaSets that exist and belong to the Deployment."""
        live: dict[str, Object | None] = {}
        try:
            for name in sorted({name for name, _ in named})[:_MOST_REPLICA_SETS]:
                listed = self._listed_sets.pop((namespace, name), None)
                is_named = listed is not None and (name, listed["metadata"]["uid"]) in named
                live[name] = listed if is_named else await self._fetch(REPLICA_SET, namespace, name)
        except ForbiddenError as error:  # The Role of an older chart: relays run, and their state is unknown.
            log.error("relays not queried", error=str(error))
        return {
            (name, uid)
            for name, uid in named
            if (found := live.get(name)) is not None and is_replica_set_of(found, uid, deployment)
        }


def _is_child(child: Object, owner: Object) -> bool:
    metadata = owner["metadata"]
    return ownership(child, metadata["name"], metadata["uid"]) is not Ownership.FOREIGN


def _present(found: dict[str, Object | None]) -> dict[str, Object]:
    return {name: live for name, live in found.items() if live is not None}
