"""Settings: arguments, variables, and messages for errors."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from wsedge_relay.contract import Listen, RelayConfig
from wsedge_relay.errors import SettingsError
from wsedge_relay.settings import Settings, read_settings


def test_the_configuration_file_is_all_that_is_needed() -> None:
    """Certificates are in the same folder, and all other settings have defaults."""
    settings = read_settings(["--config", "etc/relay.json"])
    assert settings is not None
    assert settings.config == Path("etc/relay.json")
    assert settings.certificates == Path("etc")
    assert (settings.spool_dir, settings.host, settings.report_seconds) == (None, None, 10.0)
    assert settings.pod_name.startswith("local/")


def test_a_random_uid_stands_in_for_a_pods() -> None:
    """Two processes outside of a cluster are two sources."""
    first, second = read_settings(["--config", "x"]), read_settings(["--config", "x"])
    assert first is not None
    assert second is not None
    assert first.pod_uid != second.pod_uid


def test_an_argument_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is for pods, the command line for people."""
    monkeypatch.setenv("WSEDGE_RELAY_CONFIG", "from-env.json")
    monkeypatch.setenv("WSEDGE_RELAY_HOST", "127.0.0.2")
    monkeypatch.setenv("WSEDGE_RELAY_SPOOL_DIR", "")
    settings = read_settings(["--host", "127.0.0.3"])
    assert settings is not None
    assert (settings.config, settings.host, settings.spool_dir) == (Path("from-env.json"), "127.0.0.3", None)


def test_schema_asks_for_no_configuration() -> None:
    """--schema needs no other argument."""
    assert read_settings(["--schema"]) is None


WRONG = {
    "no configuration": ([], "--config (or WSEDGE_RELAY_CONFIG): is required"),
    "an interval of nothing": (
        ["--config", "x", "--report-seconds", "0"],
        "--report-seconds (or WSEDGE_RELAY_REPORT_SECONDS): Input should be greater than or equal to 0.1",
    ),
    "a word for a number": (
        ["--config", "x", "--report-seconds", "ten"],
        "--report-seconds (or WSEDGE_RELAY_REPORT_SECONDS): Input should be a valid number, unable to parse"
        " string as a number",
    ),
    "no worker": (
        ["--config", "x", "--workers", "0"],
        "--workers (or WSEDGE_RELAY_WORKERS): Input should be greater than or equal to 1",
    ),
    "an unknown log format": (
        ["--config", "x", "--log-format", "xml"],
        "--log-format (or WSEDGE_RELAY_LOG_FORMAT): Input should be 'auto', 'json' or 'human'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_invalid_setting_is_named(case: str) -> None:
    """The message names the argument, its variable and the rule."""
    arguments, message = WRONG[case]
    with pytest.raises(SettingsError) as caught:
        read_settings(arguments)
    assert str(caught.value) == message


def test_every_setting_has_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists each argument."""
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in text


def test_the_host_overrides_the_listen_address() -> None:
    """The ports stay those of the configuration."""
    config = RelayConfig.model_validate({"version": 1, "generation": "g", "listen": {"http": 81}})
    own = read_settings(["--config", "x"])
    other = read_settings(["--config", "x", "--host", "::"])
    assert own is not None
    assert other is not None
    assert own.listen_of(config) == Listen(http=81, adminHost="127.0.0.1")
    assert other.listen_of(config) == Listen(host="::", http=81, adminHost="127.0.0.1")


# Arguments, `listen` of the configuration, and the admin port's address.
ADMIN_HOSTS: Final[dict[str, tuple[tuple[str, ...], dict[str, str], str]]] = {
    "by default": ((), {}, "127.0.0.1"),
    "all addresses for clients": ((), {"host": "0.0.0.0"}, "127.0.0.1"),
    "one address for clients": (("--host", "192.0.2.1"), {}, "127.0.0.1"),
    "a name for clients": ((), {"host": "relay-1.example.com"}, "127.0.0.1"),
    "loopback for clients": ((), {"host": "::1"}, "::1"),
    "another loopback address for clients": ((), {"host": "127.0.0.2"}, "127.0.0.2"),
    "localhost for clients": ((), {"host": "localhost"}, "localhost"),
    "a configured address": (("--host", "192.0.2.1"), {"adminHost": "10.0.0.5"}, "10.0.0.5"),
    "an argument": (("--admin-host", "10.0.0.6"), {"adminHost": "10.0.0.5"}, "10.0.0.6"),
    "a pod": (("--host", "10.1.2.3", "--pod-uid", "7d1f"), {}, "10.1.2.3"),
    "a pod with an address for metrics": (
        ("--host", "10.1.2.3", "--pod-uid", "7d1f"),
        {"adminHost": "0.0.0.0"},
        "0.0.0.0",
    ),
}


@pytest.mark.parametrize(("arguments", "listen", "host"), ADMIN_HOSTS.values(), ids=ADMIN_HOSTS)
def test_the_admin_ports_address(arguments: tuple[str, ...], listen: dict[str, str], host: str) -> None:
    """It stays on the machine unless it is set; only a pod is reached at its address by all its users."""
    config = RelayConfig.model_validate({"version": 1, "generation": "g", "listen": listen})
    settings = read_settings(["--config", "x", *arguments])
    assert settings is not None
    assert settings.listen_of(config).adminHost == host


def test_the_operators_pods_have_the_admin_port_at_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this operator and of the last release: both pass the pod's address and UID by the environment."""
    for name, value in (("CONFIG", "x"), ("HOST", "10.1.2.3"), ("POD_UID", "7d1f")):
        monkeypatch.setenv(f"WSEDGE_RELAY_{name}", value)
    settings = read_settings([])
    assert settings is not None
    config = RelayConfig.model_validate({"version": 1, "generation": "g", "listen": {"admin": 9090}})
    listen = settings.listen_of(config)
    assert (listen.host, listen.adminHost) == ("10.1.2.3", "10.1.2.3")


def test_a_given_uid_marks_a_pod() -> None:
    """An operator passes its pod's UID; the random UID of a relay on a machine does not count."""
    own = read_settings(["--config", "x"])
    in_pod = read_settings(["--config", "x", "--pod-uid", "7d1f"])
    assert own is not None
    assert in_pod is not None
    assert (own.is_in_pod, in_pod.is_in_pod) == (False, True)
