"""Settings: command line, then environment, then defaults."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from support.statistics.cluster import ISSUER, Signer
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.errors import SettingsError
from wsedge_statistics.ledger.clickhouse.server import Address
from wsedge_statistics.opening import address_of
from wsedge_statistics.settings import is_loopback, parser, read_settings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment names the data folder, which each start needs."""
    monkeypatch.setenv("WSEDGE_STATISTICS_DATA", str(tmp_path))


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A list in the environment is separated by commas; on the command line the option is repeated."""
    monkeypatch.setenv("WSEDGE_STATISTICS_TIME_ZONE", "Asia/Shanghai")
    monkeypatch.setenv("WSEDGE_STATISTICS_ADMIN_SUBJECT", "one, two,,")
    monkeypatch.setenv("WSEDGE_STATISTICS_OPERATOR_SUBJECT", "three")
    settings = read_settings(
        ["--time-zone", "UTC", "--operator-subject", "four", "--operator-subject", "five"]
    )
    assert (settings.data, settings.time_zone) == (tmp_path, "UTC")
    assert settings.admin_subject == ("one", "two")
    assert settings.operator_subject == ("four", "five")


def test_defaults_serve_a_laptop() -> None:
    """Loopback, without tokens; a bucket is complete a minute after its end."""
    settings = read_settings([])
    assert settings.address == ("127.0.0.1", 8080)
    assert (settings.jwks_url, settings.grace.total_seconds()) == (None, 60)


def test_statements_are_computed_as_the_product_does_by_default() -> None:
    """GB of 1024, bytes sent, no overhead, idle days count, a day of grace, no prices."""
    settings = read_settings([])
    assert settings.rules == Rules(1024, "sent", Decimal(1), True)
    assert (settings.statement_grace_seconds, settings.price_book) == (86_400, None)


def test_each_rule_of_statements_is_a_setting() -> None:
    """All of them together."""
    given = ["--gb-base", "1000", "--billed-direction", "both", "--overhead-factor", "1.10"]
    settings = read_settings([*given, "--count-idle-days", "false", "--statement-grace-seconds", "7200"])
    assert settings.rules == Rules(1000, "both", Decimal("1.10"), False)
    assert settings.statement_grace_seconds == 7200


CLICKHOUSE = ["--ledger", "clickhouse", "--clickhouse-url", "https://ch.example:9443"]


def test_a_server_of_clickhouse_needs_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its password is in a file, without the newline that editors add, and never in the settings."""
    monkeypatch.delenv("WSEDGE_STATISTICS_DATA")
    password = tmp_path / "password"
    password.write_text("secret\n")
    given = ["--clickhouse-password-file", str(password), "--clickhouse-user", "wsedge"]
    settings = read_settings([*CLICKHOUSE, *given])
    place = Address("https://ch.example:9443", "wsedge", "wsedge", "secret", password_file=password)
    assert address_of(settings) == place
    assert "secret" not in f"{settings} {address_of(settings)}"
    password.unlink()
    with pytest.raises(SettingsError, match=r"^--clickhouse-password-file: .*password"):
        address_of(settings)


BAD_SERVERS = {
    "no server": (["--ledger", "clickhouse"], "--clickhouse-url: must be given"),
    "another ledger": (["--ledger", "postgres"], "--ledger: "),
    "no URL": (["--clickhouse-url", "ch.example:8123"], "give http://HOST:8123"),
    "a password that would be logged": (["--clickhouse-url", "http://u:p@ch.example"], "without user and"),
    "a path": (["--clickhouse-url", "http://ch.example/db"], "neither path nor parameters"),
    "a database that would end its quotes": (["--clickhouse-database", "a`b"], "--clickhouse-database: "),
    "a cluster that would end its quotes": (["--clickhouse-cluster", "a'b"], "--clickhouse-cluster: "),
}


@pytest.mark.parametrize(("given", "text"), BAD_SERVERS.values(), ids=list(BAD_SERVERS))
def test_a_wrong_server_is_refused(given: list[str], text: str) -> None:
    """With the name of the option."""
    with pytest.raises(SettingsError) as refused:
        read_settings(given)
    assert text in str(refused.value)


ADDRESSES = {
    "127.0.0.1:0": ("127.0.0.1", 0),
    "[::1]:8080": ("::1", 8080),
    "localhost:65535": ("localhost", 65535),
}


@pytest.mark.parametrize(("listen", "address"), ADDRESSES.items(), ids=ADDRESSES.keys())
def test_an_address_is_a_host_and_a_port(listen: str, address: tuple[str, int]) -> None:
    """Brackets around an IPv6 address are removed."""
    assert read_settings(["--listen", listen]).address == address


REFUSED: dict[str, tuple[list[str], str]] = {
    "a GB of nobody": (["--gb-base", "1023"], "--gb-base: must be 1024 or 1000"),
    "a grace within which counts are not late": (
        ["--statement-grace-seconds", "60"],
        "--statement-grace-seconds",
    ),
    "an overhead that doubles and more": (["--overhead-factor", "11"], "--overhead-factor"),
    "a direction that is none": (["--billed-direction", "received"], "--billed-direction"),
    "no port": (["--listen", "127.0.0.1"], "listen: give HOST:PORT"),
    "no host": (["--listen", ":8080"], "listen: give HOST:PORT"),
    "a port with a sign": (["--listen", "127.0.0.1:+80"], "listen: give HOST:PORT"),
    "a port beyond the last": (["--listen", "127.0.0.1:65536"], "listen: give HOST:PORT"),
    "digits of another script": (["--listen", "127.0.0.1:\u0663"], "listen: give HOST:PORT"),
    "a public address without tokens": (["--listen", "0.0.0.0:80"], "every caller could read and write"),
    "a name that others may reach": (["--listen", "host.example:80"], "every caller could read and write"),
    "an issuer without keys": (["--issuer", "https://x"], "issuer needs jwks-url"),
    "keys without an issuer": (["--jwks-url", "https://x"], "jwks-url needs issuer"),
    "keys without TLS": (["--jwks-url", "http://x", "--issuer", "i"], "--jwks-url: must begin with https://"),
    "an API server without TLS": (["--api-server", "http://x"], "--api-server: must begin with https://"),
    "an RPC without keys": (["--dcdn-listen", "127.0.0.1:1"], "dcdn-listen needs api-server"),
    "an RPC without a token": (
        ["--dcdn-listen", "127.0.0.1:1", "--api-server", "https://x"],
        "dcdn-listen needs api-server and api-token-file",
    ),
    "an RPC without a port": (
        ["--dcdn-listen", "127.0.0.1", "--api-server", "https://x", "--api-token-file", "t"],
        "dcdn-listen: give HOST:PORT",
    ),
    "a certificate without its key": (["--dcdn-tls-cert", "c"], "dcdn-tls-cert and dcdn-tls-key belong"),
    "an RPC on the port of the native API": (
        ["--dcdn-listen", "[::1]:8080", "--api-server", "https://x", "--api-token-file", "t"],
        "dcdn-listen: give another port",
    ),
    "an unknown time zone": (["--time-zone", "Mars"], "--time-zone: not an IANA time zone"),
    "a number out of range": (["--grace-seconds", "3601"], "--grace-seconds: Input should be less than"),
}


@pytest.mark.parametrize(("arguments", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_settings_are_refused_with_the_option(arguments: list[str], text: str) -> None:
    """The text names the option, for a person."""
    with pytest.raises(SettingsError, match=r".") as refused:
        read_settings(arguments)
    assert text in str(refused.value)


def test_a_missing_setting_names_both_ways_to_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option and the environment variable."""
    monkeypatch.delenv("WSEDGE_STATISTICS_DATA")
    with pytest.raises(SettingsError, match=r"^--data: must be given \(or WSEDGE_STATISTICS_DATA\)$"):
        read_settings([])


def test_the_issuer_is_that_of_the_own_token(tmp_path: Path) -> None:
    """A cluster issues all its tokens under one name; --issuer wins."""
    file = tmp_path / "token"
    file.write_text(Signer("first").token() + "\n")
    arguments = ["--jwks-url", "https://x", "--api-token-file", str(file)]
    assert read_settings(arguments).issuer == ISSUER
    assert read_settings([*arguments, "--issuer", "https://other"]).issuer == "https://other"


@pytest.mark.parametrize("content", [None, "hello"])
def test_an_own_token_without_an_issuer_is_refused(tmp_path: Path, content: str | None) -> None:
    """The file is missing, or is not a token."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=r"--api-token-file: no issuer in the token .*; give --issuer"):
        read_settings(["--jwks-url", "https://x", "--api-token-file", str(file)])


def test_an_rpc_has_an_address_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are read from all namespaces, or from those of a list."""
    assert read_settings([]).dcdn_address is None
    monkeypatch.setenv("WSEDGE_STATISTICS_ACCESS_KEY_NAMESPACE", "team-a, team-b")
    given = ["--dcdn-listen", "0.0.0.0:8090", "--api-server", "https://x", "--api-token-file", "t"]
    assert read_settings(given).dcdn_address == ("0.0.0.0", 8090)
    assert read_settings(given).access_key_namespace == ("team-a", "team-b")
    free = ["--dcdn-listen", "127.0.0.1:0", *given[2:], "--listen", "127.0.0.1:0"]
    assert read_settings(free).dcdn_address == ("127.0.0.1", 0)


LOOPBACK = {"127.9.9.9": True, "::1": True, "localhost": True, "0.0.0.0": False, "example.com": False}


@pytest.mark.parametrize(("host", "expected"), LOOPBACK.items(), ids=LOOPBACK.keys())
def test_loopback(host: str, expected: bool) -> None:
    """Only this machine reaches 127.0.0.0/8, ::1 and localhost."""
    assert is_loopback(host) is expected


def test_every_setting_is_an_option_with_a_description() -> None:
    """--help lists the default and the name in the environment."""
    text = " ".join(parser().format_help().split())
    assert "--account-bucket-rows ROWS most rows of counts that one account may have in five minutes" in text
    assert "(default 50000)" in text
    assert "WSEDGE_STATISTICS_NAME" in text
