"""Settings: command line, then environment (WSEDGE_STATISTICS_...), then defaults. Read once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.contract import zone_named
from wsedge_statistics.errors import SettingsError, TokenRefusedError
from wsedge_statistics.identity.tokens import issuer_of

ENV_PREFIX = "WSEDGE_STATISTICS_"
Subjects = Annotated[tuple[str, ...], NoDecode]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
ClusterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.{}-]{1,63}$")]
_LISTS = ("operator_subject", "admin_subject", "access_key_namespace")


class Settings(BaseSettings):
    """The program's settings. Lists in the environment are separated by commas."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    data: Path | None = Field(
        None, description="folder of the SQLite ledger, on a local disk; created when missing"
    )
    ledger: Literal["sqlite", "clickhouse"] = Field(
        "sqlite", description="sqlite: one file, one process; clickhouse: a server, several processes"
    )
    clickhouse_url: str | None = Field(None, description="URL of the ClickHouse server's HTTP interface")
    clickhouse_database: DatabaseName = Field(
        "wsedge", description="the ledger's database on the ClickHouse server; created when missing"
    )
    clickhouse_user: str = Field("default", min_length=1, description="user of the ClickHouse server")
    clickhouse_password_file: Path | None = Field(
        None, description="file with the password of the ClickHouse server, read at the start"
    )
    clickhouse_ca_file: Path | None = Field(None, description="CA certificates of the ClickHouse server")
    clickhouse_cluster: ClusterName | None = Field(
        None, description="name of the ClickHouse cluster on whose servers tables are replicated by Keeper"
    )
    listen: str = Field("127.0.0.1:8080", description="HOST:PORT; port 0 is chosen by the kernel and logged")
    issuer: str | None = Field(
        None,
        description="issuer of ServiceAccount tokens; default: the issuer of this program's own token",
    )
    jwks_url: str | None = Field(
        None,
        description="URL of the cluster's public keys (https); "
        "without it no token is required, on loopback only",
    )
    ca_file: Path | None = Field(None, description="CA certificates of the server of --jwks-url")
    api_token_file: Path | None = Field(None, description="own token for --jwks-url, read for each request")
    operator_subject: Subjects = Field(
        (),
        description="subject that may write the Directory: system:serviceaccount:NAMESPACE:NAME (repeatable)",
    )
    admin_subject: Subjects = Field((), description="subject that may read every account (repeatable)")
    dcdn_listen: str | None = Field(
        None, description="HOST:PORT of the DCDN-compatible RPC; without it there is none. Needs --api-server"
    )
    dcdn_tls_cert: Path | None = Field(
        None, description="PEM file with the RPC's certificate chain, loaded again when it changes"
    )
    dcdn_tls_key: Path | None = Field(None, description="PEM file with the key of --dcdn-tls-cert")
    api_server: str | None = Field(
        None,
        description="URL of the API server (https), from which the Secrets with access keys are read, by "
        "--api-token-file and --ca-file",
    )
    review_tokens: bool = Field(
        False,
        description="let users of the cluster read, whose tokens and rights the API server reviews. "
        "Needs --api-server and --jwks-url",
    )
    access_key_namespace: Subjects = Field(
        (), description="namespace whose access keys are read; default: all namespaces (repeatable)"
    )
    time_zone: str = Field("UTC", description="time zone of accounts that the Directory does not list")
    grace_seconds: int = Field(
        60, ge=0, le=3600, description="seconds after a bucket's end until the bucket counts as complete"
    )
    max_body_bytes: int = Field(8 << 20, ge=1024, description="largest request body, as sent")
    max_inflated_bytes: int = Field(16 << 20, ge=1024, description="largest request body after gunzip")
    question_seconds: float = Field(
        10.0, gt=0, le=600, description="longest time that a question may take; then it is 503"
    )
    account_bucket_rows: int = Field(
        50_000, ge=100, description="most rows of counts that one account may have in five minutes"
    )
    account_rows: int = Field(
        20_000_000, ge=1000, description="most five-minute rows of counts that are retained for one account"
    )
    account_keys: int = Field(
        50_000, ge=100, description="most keys (domain, region, ISP and area) that one account may have"
    )
    statement_grace_seconds: int = Field(
        86_400,
        ge=3600,
        le=30 * 86_400,
        description="seconds after a period's end until its statement closes; later counts adjust it",
    )
    gb_base: int = Field(1024, description="1024 or 1000: a GB is its third power in bytes")
    billed_direction: Literal["sent", "both"] = Field(
        "sent", description="bytes that are billed: sent to clients, or both directions"
    )
    overhead_factor: Decimal = Field(
        Decimal(1), ge=1, le=2, decimal_places=4, description="billed bytes per counted byte"
    )
    count_idle_days: bool = Field(
        True, description="false: days without traffic neither count in monthly methods nor cost a fee"
    )
    price_book: Path | None = Field(None, description="JSON file with prices, read again when it changes")
    log_format: Literal["auto", "json", "human"] = Field("auto", description="auto: human on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level")

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def split_commas(cls, value: Any) -> Any:
        """Split a list that the environment gives as text."""
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("time_zone")
    @classmethod
    def zone_exists(cls, value: str) -> str:
        """Refuse a zone that the IANA database does not have."""
        if zone_named(value) is None:
            raise ValueError("not an IANA time zone such as Asia/Shanghai")
        return value

    @field_validator("gb_base")
    @classmethod
    def base_is_known(cls, value: int) -> int:
        """Refuse a GB that nobody bills by."""
        if value not in (1000, 1024):
            raise ValueError("must be 1024 or 1000")
        return value

    @field_validator("clickhouse_url")
    @classmethod
    def names_a_server(cls, value: str | None) -> str | None:
        """Refuse what is no server's address, and a password in it, which would be logged."""
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("give http://HOST:8123 or https://HOST:8443, without user and password")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("give neither path nor parameters")
        return value

    @field_validator("jwks_url", "api_server")
    @classmethod
    def keys_by_https(cls, value: str | None) -> str | None:
        """Refuse a URL without TLS: an attacker on the network could replace or read the keys."""
        if value is not None and not value.startswith("https://"):
            raise ValueError("must begin with https://")
        return value

    @model_validator(mode="after")
    def belongs_together(self) -> Self:
        """Refuse combinations that would let any caller read the numbers."""
        host, _ = self.address
        if self.ledger == "sqlite" and self.data is None:
            raise ValueError(f"--data: must be given (or {ENV_PREFIX}DATA)")
        if self.ledger == "clickhouse" and self.clickhouse_url is None:
            raise ValueError("--clickhouse-url: must be given with --ledger=clickhouse")
        if self.dcdn_listen is not None and (self.api_server is None or self.api_token_file is None):
            raise ValueError(
                "dcdn-listen needs api-server and api-token-file: without access keys none can call"
            )
        if (self.dcdn_tls_cert is None) != (self.dcdn_tls_key is None):
            raise ValueError("dcdn-tls-cert and dcdn-tls-key belong together: give both")
        if self.review_tokens and (
            self.api_server is None or self.api_token_file is None or not self.jwks_url
        ):
            raise ValueError("review-tokens needs api-server, api-token-file and jwks-url")
        if self.dcdn_address is not None and self.dcdn_address[1] == self.address[1] != 0:
            raise ValueError("dcdn-listen: give another port than that of listen, which has other paths")
        if self.issuer is not None and self.jwks_url is None:
            raise ValueError("issuer needs jwks-url: without the keys no token can be verified")
        if self.jwks_url is not None and self.issuer is None and self.api_token_file is None:
            raise ValueError("jwks-url needs issuer, or api-token-file, whose token names the issuer")
        if self.jwks_url is None and not is_loopback(host):
            raise ValueError(
                f"listen: {host} can be reached from other machines, and without jwks-url every caller "
                "could read and write the numbers; set jwks-url, or listen on 127.0.0.1"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return _host_and_port("listen", self.listen)

    @property
    def dcdn_address(self) -> tuple[str, int] | None:
        """Host and port of the RPC; None without it."""
        return _host_and_port("dcdn-listen", self.dcdn_listen) if self.dcdn_listen is not None else None

    @property
    def grace(self) -> timedelta:
        """The time after a bucket's end until the bucket counts as complete."""
        return timedelta(seconds=self.grace_seconds)

    @property
    def rules(self) -> Rules:
        """The rules that statements are computed by."""
        return Rules(self.gb_base, self.billed_direction, self.overhead_factor, self.count_idle_days)


def _host_and_port(option: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{option}: give HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: one option per setting."""
    answer = argparse.ArgumentParser(
        prog="wsedge-statistics",
        description="Store the relays' counts in a ledger and answer questions about them.",
        epilog=f"Each option can be given in the environment as {ENV_PREFIX}NAME. "
        "Commands: wsedge-statistics backup, restore and verify (each with --help).",
    )
    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        text = (field.description or "").replace("%", "%%")
        if field.default and not field.is_required():
            text += f" (default {field.default})"
        if name in _LISTS:
            answer.add_argument(flag, action="append", help=text, metavar=name.rpartition("_")[2].upper())
        else:
            answer.add_argument(flag, help=text, metavar=name.rpartition("_")[2].upper())
    answer.add_argument("--openapi", action="store_true", help="print the OpenAPI description and exit")
    answer.add_argument("--version", action="version", version=f"%(prog)s {version('wsedge')}")
    return answer


def read_settings(arguments: Sequence[str]) -> Settings:
    """Return the settings. Raises SettingsError with the name of the option."""
    given = {key: value for key, value in vars(parser().parse_args(arguments)).items() if value is not None}
    given.pop("openapi")
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_text(fault) for fault in error.errors())) from None
    if settings.jwks_url is not None and settings.issuer is None and settings.api_token_file is not None:
        return settings.model_copy(update={"issuer": _issuer_in(settings.api_token_file)})
    return settings


def _issuer_in(token_file: Path) -> str:
    """Return the issuer of this program's own token: a cluster issues all its tokens under one name."""
    try:
        return issuer_of(token_file.read_text().strip())
    except (OSError, TokenRefusedError) as error:
        raise SettingsError(f"--api-token-file: no issuer in the token ({error}); give --issuer") from None


def _text(fault: Any) -> str:
    option = "".join(f"--{str(part).replace('_', '-')}" for part in fault["loc"][:1])
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{option}: must be given (or {ENV_PREFIX}{str(fault['loc'][0]).upper()})"
    return f"{option}: {reason}" if option else reason
