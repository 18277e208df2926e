"""A worker process gets all settings of its supervisor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.material import KeyPair, Material
from wsedge_relay.contract import Listen, RelayConfig
from wsedge_relay.process.assignment import Assignment, loaded_from_json, loaded_to_json
from wsedge_relay.process.supervisor import pause_before
from wsedge_relay.settings import Settings

CONFIG = RelayConfig.model_validate(
    {
        "version": 1,
        "generation": "team-a/chat@7",
        "domains": [
            {
                "domain": "chat.example.com",
                "account": "team-a",
                "originProtocol": "HTTP",
                "origins": [{"host": "127.0.0.1"}],
                "limits": {"connections": 5},
            }
        ],
    }
)
MATERIAL = Material({("a.crt", "a.key"): KeyPair(b"\x00\xff", b"key")}, {"ca.crt": "authority"})


def test_an_assignment_comes_back_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, address, configuration and certificates are equal; the worker's environment has no effect."""
    settings = Settings(config=Path("relay.json"), spool_dir=Path("spool"), workers=3, report_seconds=0.5)
    told = Assignment(2, settings, Listen(http=80), LoadedConfig(CONFIG, MATERIAL), in_pod=True)
    monkeypatch.setenv("WSEDGE_RELAY_HOST", "192.0.2.1")
    monkeypatch.setenv("WSEDGE_RELAY_REPORT_SECONDS", "300")
    assert Assignment.from_json(json.loads(json.dumps(told.to_json()))) == told


def test_a_configuration_comes_back_from_json() -> None:
    """The configuration equals the checked one, so that a worker loads no files."""
    loaded = LoadedConfig(CONFIG, MATERIAL)
    assert loaded_from_json(json.loads(json.dumps(loaded_to_json(loaded)))) == loaded


def test_restarts_in_a_row_wait_longer_and_longer() -> None:
    """The delay begins at a tenth of a second and ends at half a minute."""
    assert [pause_before(number) for number in (1, 2, 3, 9, 10, 1000)] == [0.1, 0.2, 0.4, 25.6, 30.0, 30.0]
