"""Settings of a relay process: command line arguments, or variables WSEDGE_RELAY_… of the environment.

An argument has precedence over its variable. The configuration file (contract.RelayConfig) has the domains.
"""

from __future__ import annotations

import argparse
import platform
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from wsedge_relay.contract import Listen, RelayConfig
from wsedge_relay.errors import SettingsError

ENV_PREFIX = "WSEDGE_RELAY_"
LOOPBACK: Final = "127.0.0.1"


class Settings(BaseSettings):
    """Settings of one relay process. None of them is a secret: the token is in a file."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    config: Path = Field(description="the configuration file: a RelayConfig in JSON")
    host: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="address of the listeners for clients; overrides the configuration's listen.host"
    )
    admin_host: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="address of the admin port; overrides the configuration's listen.adminHost"
    )
    secrets_dir: Path | None = Field(
        None, description="folder of certificate and key files (default: the folder of the configuration)"
    )
    spool_dir: Path | None = Field(
        None, description="folder that stores unreported usage over a crash (default: no storage)"
    )
    token_file: Path | None = Field(
        None, description="file with the bearer token for the statistics service, read for each report"
    )
    pod_name: Annotated[str, StringConstraints(min_length=1, max_length=317)] = Field(
        default_factory=lambda: f"local/{platform.node() or 'relay'}"[:317],
        description="the pod that reports usage, as namespace/name (default: local/ and the host's name)",
    )
    pod_uid: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        default_factory=lambda: str(uuid.uuid4()),
        description="the pod's UID, which identifies a source of usage reports (default: a random UID)",
    )
    report_seconds: Annotated[float, Field(ge=0.1, le=300)] = Field(
        10.0, description="interval of usage reports, in seconds"
    )
    final_report_seconds: Annotated[float, Field(ge=0, le=300)] = Field(
        10.0, description="time for the last usage report at the end, in seconds"
    )
    drain_stay_seconds: Annotated[float, Field(ge=0, le=86400)] = Field(
        60.0,
        description="time after a requested drain until the relay serves again, unless a signal stops it",
    )
    pump: Literal["auto", "compiled", "plain"] = Field(
        "auto", description="form of the pump: auto is compiled if that form is installed, else plain Python"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="processes that serve connections, one core each; 1 is this process only"
    )
    geo_ip2region: Path | None = Field(
        None, description="ip2region database (xdb, IPv4) for the region and network of clients"
    )
    geo_city: Path | None = Field(
        None, description="MaxMind City or Country database (mmdb) for the region and country of clients"
    )
    geo_isp: Path | None = Field(
        None, description="MaxMind ISP or ASN database (mmdb) for the network of clients"
    )
    log_format: Literal["auto", "json", "human"] = Field(
        "auto", description="auto is human on a terminal, else json: one object per line on stderr"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level of logged events"
    )

    @property
    def certificates(self) -> Path:
        """The folder to which file names of certificates are relative."""
        return self.secrets_dir or self.config.parent

    @property
    def is_in_pod(self) -> bool:
        """Whether `pod_uid` is set, as by an operator that runs relays for other users."""
        return "pod_uid" in self.model_fields_set

    def listen_of(self, config: RelayConfig) -> Listen:
        """Return the configuration's listeners with the settings' addresses; `adminHost` is set."""
        listen = config.listen
        host = self.host or listen.host
        admin = self.admin_host or listen.adminHost or self._usual_admin_host(host)
        return listen.model_copy(update={"host": host, "adminHost": admin})

    def _usual_admin_host(self, host: str) -> str:
        """Return the admin port's address where none is set; `host` is that of the listeners for clients.

        The kubelet, the operator and a scraper reach a pod at its address only. Elsewhere the port stays on
        this machine: `host` is often an address that clients reach.
        """
        return host if self.is_in_pod or _is_loopback(host) else LOOPBACK


def read_settings(arguments: Sequence[str]) -> Settings | None:
    """Return the settings, or None for `--schema`, which prints RelayConfig's JSON Schema instead.

    Raises SettingsError. `--help` and unknown arguments end the program as argparse does (exit code 0 or 2).
    """
    given = {
        name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None
    }
    if given.pop("schema"):
        return None
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError([_problem(problem) for problem in error.errors()]) from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsedge-relay",
        description="Forwards WebSocket connections to their origins and counts their usage.",
        epilog=f"Each argument has an environment variable, such as {ENV_PREFIX}SPOOL_DIR."
        " `wsedge-relay drain` drains a running relay.",
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=field.description, metavar=_metavar(name))
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of RelayConfig and exit")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('wsedge')}")
    return parser


def _metavar(name: str) -> str:
    if name == "config" or name.endswith("_file") or name.startswith("geo_"):
        return "FILE"
    return {"dir": "DIR", "host": "ADDRESS", "seconds": "SECONDS", "workers": "N"}.get(
        name.rpartition("_")[2], "VALUE"
    )


def _problem(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0])
    message = "is required" if problem["type"] == "missing" else problem["msg"]
    return f"--{name.replace('_', '-')} (or {ENV_PREFIX}{name.upper()}): {message}"
