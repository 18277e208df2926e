"""The administrator's settings for relays: peers of their admin port, denied networks, their pods."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from wsedge_operator.api.spec.pod import RelayPod
from wsedge_operator.settings import Settings, problems
from wsedge_relay.contract import DENIED_NETWORKS

PEERS = ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "wsedge-system"}}},)


def test_the_setting_of_denied_networks() -> None:
    """Networks between commas, a word for the default list, a word for none; else an error."""
    assert Settings().denied_origin_networks is None
    assert Settings(denied_origin_networks="none").denied_origin_networks == ()
    read = Settings(denied_origin_networks="default, 10.0.0.0/8").denied_origin_networks
    assert read == (*DENIED_NETWORKS, "10.0.0.0/8")
    for wrong in ("10.0.0.0", "none,10.0.0.0/8", "", "all"):
        with pytest.raises(ValidationError) as refused:
            Settings(denied_origin_networks=wrong)
        assert "WSEDGE_OPERATOR_DENIED_ORIGIN_NETWORKS" in next(iter(problems(refused.value)))


def test_the_setting_of_admin_peers() -> None:
    """The operator's own pods and the added peers; without the setting there is no policy."""
    assert Settings(relay_metrics_from=PEERS).admin_peers is None
    peers = Settings(relay_network_policy=True, relay_metrics_from=PEERS, namespace="ops").admin_peers
    assert peers is not None
    assert peers[0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ops"}
    assert peers[1:] == PEERS


def test_settings_of_relay_pods_are_json_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default for pods is JSON; an unknown field or a reserved label ends the operator with its path."""
    monkeypatch.setenv("WSEDGE_OPERATOR_RELAY_POD", '{"labels": {"team": "a"}, "priorityClassName": "edge"}')
    assert Settings().relay_pod == RelayPod(labels={"team": "a"}, priorityClassName="edge")
    for text, path in (('{"label": {}}', "label: "), ('{"labels": {"wsedge.io/x": "y"}}', "labels: these")):
        monkeypatch.setenv("WSEDGE_OPERATOR_RELAY_POD", text)
        with pytest.raises(ValidationError) as refused:
            Settings()
        assert f"WSEDGE_OPERATOR_RELAY_POD: Value error, {path}" in next(problems(refused.value))
