"""Settings of the operator: environment variables `WSEDGE_OPERATOR_…`, read once when it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from wsedge_operator.api.meta import RELEASE, refusals
from wsedge_operator.api.spec.pod import NO_POD_SETTINGS, RelayPod
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.reconcile.selection import EVERYTHING, LabelSelector, parse_selector
from wsedge_relay.contract import DENIED_NETWORKS, Network
from wsedge_statistics.contract import known_zones

DEFAULT_RELAY_IMAGE: Final = f"ghcr.io/wsedge/wsedge:{RELEASE}"
LABEL_NAME: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_NAME)]


class Settings(BaseSettings):
    """The settings of one operator process. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="WSEDGE_OPERATOR_", extra="forbid", frozen=True)

    namespace: Namespace = Field("wsedge-system", description="Namespace of the operator and of its Lease.")
    pod_name: str = Field("", description="Name of the operator's pod; empty: host name and process id.")
    pod_uid: str = Field(
        "", description="Uid of that pod, which then owns the Lease. Empty: the Lease has no owner."
    )
    namespaces: Annotated[tuple[Namespace, ...], NoDecode] = Field(
        (), description="Namespaces to serve, separated by commas; empty: all, which needs cluster rights."
    )
    namespace_selector: str = Field(
        "",
        description="Label selector of the namespaces to serve, where the cluster is watched; empty: all.",
    )
    relay_image: str = Field(DEFAULT_RELAY_IMAGE, min_length=1, description="Image of the relays.")
    relay_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    relay_user: int | None = Field(
        65532, ge=1, le=2**32 - 2, description="User and group of the relays; none: the cluster chooses them."
    )
    relay_pod: RelayPod = Field(
        NO_POD_SETTINGS,
        description="Settings of relay pods, in JSON, where a WebSocketDomain has none: the fields of its"
        " spec.relay.pod.",
    )
    max_parallel_rollouts: int = Field(
        10,
        ge=1,
        le=1000,
        description="Domains whose pods are replaced at the same time because of a change of the operator.",
    )
    rollout_pause_seconds: int = Field(
        600,
        ge=1,
        le=86400,
        description="How long all domains wait after such replacements failed in several accounts.",
    )
    relay_network_policy: bool = Field(
        False, description="Whether each domain has a NetworkPolicy that closes the relays' admin port."
    )
    relay_metrics_from: tuple[dict[str, Any], ...] = Field(
        (),
        max_length=64,
        description="NetworkPolicyPeers, in JSON, that may connect to the relays' admin port, besides the"
        " operator.",
    )
    denied_origin_networks: Annotated[tuple[Network, ...] | None, NoDecode] = Field(
        None,
        max_length=256,
        description="Networks in which relays dial no origin, separated by commas; `default` stands for the"
        " networks that are denied when this is not set, `none` for no network.",
    )
    default_time_zone: str = Field("Asia/Shanghai", description="IANA zone of BillingPlans that name none.")
    statistics_service: str = Field(
        "",
        pattern=r"^$|^[a-z0-9-]+/[a-z0-9.-]+$",
        description="Service of the statistics, `namespace/name`; empty: relays report no usage.",
    )
    cluster: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Label of this installation in the reports of its relays.",
    )
    statistics_token_file: str = Field(
        "", description="File with the token for the statistics (audience wsedge-statistics)."
    )
    listen: str = Field(
        "127.0.0.1:8080", pattern=r"^(\S+):\d+$", description="HOST:PORT of health and metrics."
    )
    lease_name: str = Field("wsedge-operator", pattern=LABEL_NAME)
    lease_seconds: float = Field(
        15, ge=1, le=600, description="Duration of the Lease: a leader that does not renew it is replaced."
    )
    call_seconds: float = Field(10, ge=0.5, le=120, description="Deadline of one call to the API server.")
    resync_seconds: float = Field(
        3600, ge=1, le=86400, description="Time between two full lists, which find what a watch missed."
    )
    # A ledger that is new or restored accepts no report before it has a Directory, so relays wait for it.
    directory_seconds: float = Field(
        60, ge=1, le=86400, description="Time after which an unchanged Directory is sent again."
    )
    load_seconds: float = Field(
        15,
        ge=1,
        le=60,
        description="Time between two measurements of the open connections of a domain with autoscaling.",
    )
    workers: int = Field(8, ge=1, le=64, description="Keys that are reconciled at the same time.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "human"] = "auto"

    @field_validator("namespaces", mode="before")
    @classmethod
    def splits_at_commas(cls, value: object) -> object:
        """Parse `a,b` as two namespaces."""
        if isinstance(value, str):
            return tuple(sorted({part.strip() for part in value.split(",") if part.strip()}))
        return value

    @field_validator("namespace_selector")
    @classmethod
    def selects_in_a_cluster(cls, value: str, info: ValidationInfo) -> str:
        """Refuse a text that is no label selector, and a selector beside a list of namespaces."""
        if parse_selector(value) != EVERYTHING and info.data.get("namespaces"):
            raise ValueError(
                "a label selector needs the whole cluster to select from, and"
                " WSEDGE_OPERATOR_NAMESPACES lists namespaces: leave out one of the two"
            )
        return value

    @property
    def selected_labels(self) -> LabelSelector:
        """The selector of the namespaces to serve."""
        return parse_selector(self.namespace_selector)

    @field_validator("denied_origin_networks", mode="before")
    @classmethod
    def names_networks(cls, value: object) -> object:
        """Parse networks between commas; `default` stands for DENIED_NETWORKS, `none` for no network."""
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts:
            raise ValueError("name networks, or none")
        if parts == ["none"]:
            return ()
        return tuple(
            network for part in parts for network in (DENIED_NETWORKS if part == "default" else (part,))
        )

    @field_validator("relay_pod", mode="before")
    @classmethod
    def has_known_settings(cls, value: object) -> object:
        """Refuse an unknown field, which a WebSocketDomain of a newer version may have."""
        try:
            return RelayPod.model_validate(value, extra="forbid")
        except ValidationError as error:
            raise ValueError("; ".join(refusals(error))) from None

    @property
    def admin_peers(self) -> tuple[dict[str, Any], ...] | None:
        """The NetworkPolicyPeers of the relays' admin port; None when there are no NetworkPolicies."""
        if not self.relay_network_policy:
            return None
        operator = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "wsedge-operator"}},
        }
        return (operator, *self.relay_metrics_from)

    @field_validator("default_time_zone")
    @classmethod
    def is_a_known_zone(cls, value: str) -> str:
        """Refuse a zone that the IANA database does not have."""
        if value not in known_zones():
            raise ValueError(f"{value!r} is not a time zone of the IANA data base")
        return value

    @property
    def relays(self) -> RelayImage:
        """The image of the relays, its pull policy and its user."""
        return RelayImage(self.relay_image, self.relay_image_pull_policy, self.relay_user)

    @field_validator("relay_user", mode="before")
    @classmethod
    def parses_none(cls, value: object) -> object:
        """Parse `none` as None."""
        return None if value == "none" else value

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of health and metrics."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def problems(error: ValidationError) -> Iterator[str]:
    """Yield a line for each malformed setting, with the name of its variable."""
    for part in error.errors():
        name = "_".join(map(str, part["loc"])).upper()
        yield f"WSEDGE_OPERATOR_{name}: {part['msg']}\n"
