"""`wsedge-operator explain`: the operator's decisions on files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.operator.manifests.manifest import DOMAIN, PLAN, Manifest, changed
from support.operator.story import MONTH_95, at
from wsedge_operator.billing.activation import Account, Period
from wsedge_operator.billing.record import to_data
from wsedge_operator.cli.explain import main

Explain = Callable[..., tuple[int, str, str]]
NOON = "2026-11-22T12:00:00+08:00"


@pytest.fixture
def explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Write the manifests to a file, explain it, and return the exit code, stdout and stderr."""

    def explain(*manifests: Manifest) -> tuple[int, str, str]:
        path = tmp_path / "all.yaml"
        path.write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
        code = main([str(path), f"--at={NOON}"])
        return code, *capsys.readouterr()

    return explain


def test_new_customer(explained: Explain) -> None:
    """A first plan is in force at once, and its domain gets its children."""
    code, out, _ = explained(PLAN, DOMAIN)
    assert code == 0
    assert "BillingPlan default/plan\n    Accepted=True" in out
    assert "Effective=True (Effective): in force since 2026-11-22T04:00:00Z: Month95Bandwidth" in out
    assert "applies: Secret, ConfigMap, ServiceAccount, Service, PodDisruptionBudget, Deployment" in out
    assert out.count("At 2026") == 1


def test_scheduled_customer(explained: Explain) -> None:
    """A plan with existingCycle waits; the output also has what happens at the boundary."""
    _, out, _ = explained(changed(PLAN, {"spec.existingCycle": "Daily"}), DOMAIN)
    now, later = out.split("At 2026-11-22T16:00:00Z:")
    assert "Effective=False (Scheduled): the BillingPlan takes effect at 2026-11-22T16:00:00Z" in now
    assert "Ready=True (Scheduled)" in now
    assert "applies" not in now
    assert "Effective=True" in later
    assert "applies: Secret, ConfigMap" in later


def test_with_the_record(explained: Explain) -> None:
    """With the account's record in the files a change waits for the boundary in force."""
    account = Account(periods=(Period(MONTH_95, at("2026-11-01 00:00+08:00")),))
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "wsedge-account"},
        "data": to_data(account),
    }
    _, out, _ = explained(record, changed(PLAN, {"spec.meteringMethod": "Traffic"}))
    assert "At 2026-11-30T16:00:00Z:" in out
    assert "in force since 2026-11-30T16:00:00Z: Traffic" in out


def test_no_plan(explained: Explain) -> None:
    """The output names what a domain without a plan lacks."""
    _, out, _ = explained(DOMAIN)
    assert "PlanEffective=False (NoPlan): this namespace has no BillingPlan in force; apply one" in out


def test_unknown_zone(explained: Explain) -> None:
    """An unknown zone is a condition, as in the cluster."""
    _, out, _ = explained(changed(PLAN, {"spec.timeZone": "Mars/Olympus"}))
    assert "Accepted=False (InvalidTimeZone): spec.timeZone: 'Mars/Olympus' is no time zone" in out


def test_references(explained: Explain) -> None:
    """Services and Secrets are read from the files; a Service without an address gets one."""
    wanting = changed(
        DOMAIN,
        {"spec.origins.0": {"service": {"name": "room", "port": 9000}}, "spec.tls": {"secretName": "t"}},
    )
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "room"},
        "spec": {"ports": [{"port": 9000}]},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "t"},
        "stringData": {"tls.crt": "no", "tls.key": "PEM"},
    }
    _, without, _ = explained(PLAN, wanting)
    assert 'spec.origins[0].service.name: Service "room" not found' in without
    _, out, _ = explained(PLAN, wanting, service, secret)
    assert "spec.origins" not in out
    assert "spec.tls.secretName" in out


def test_two_claims_in_the_files(explained: Explain) -> None:
    """Of two domains of one name the older is served."""
    older = changed(DOMAIN, {"metadata.name": "first", "metadata.creationTimestamp": "2026-01-01T00:00:00Z"})
    items = {"apiVersion": "v1", "kind": "List", "items": [PLAN, older, DOMAIN]}
    _, out, _ = explained(items)
    assert "Accepted=False (DomainConflict): spec.domain: chat.example.com belongs to" in out


def test_refusals(explained: Explain) -> None:
    """A manifest that the API server would refuse is refused by field, with exit code 1."""
    bad = changed(DOMAIN, {"spec.origins.0.host": "10.0.0.7:80", "spec.websocket.heartbeatSeconds": "60"})
    code, out, err = explained(bad, PLAN)
    assert (code, out) == (1, "")
    assert "WebSocketDomain chat: spec.origins[0].host: give a name or an address without scheme" in err
    assert "WebSocketDomain chat: spec.websocket.heartbeatSeconds: Input should be a valid integer" in err


def test_another_version(explained: Explain) -> None:
    """An object of a kind of ours in another version is refused."""
    code, _, err = explained({**PLAN, "apiVersion": "wsedge.io/v2"})
    assert (code, "apiVersion: write wsedge.io/v1alpha1" in err) == (1, True)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("{", 1, "not YAML"),
        ("just text", 1, "a document is no object with apiVersion, kind and metadata.name"),
        ("kind: BillingPlan\nmetadata: {}\n", 1, "a document is no object"),
        (b"\xff", 2, "can't decode"),
        (None, 2, "file.yaml: No such file or directory\n"),
    ],
    ids=["not YAML", "no object", "no name", "no text", "no file"],
)
def test_unreadable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes | None, code: int, says: str
) -> None:
    """A file without manifests is named with the reason."""
    path = tmp_path / "file.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main([str(path)]) == code
    err = capsys.readouterr().err
    assert str(path) in err
    assert says in err


def test_a_folder_is_read_as_kubectl_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its manifests in the order of their names, and nothing else in it."""
    kind = "apiVersion: wsedge.io/v1alpha1\nkind: BillingPlan\nmetadata: {name: plan-%s}\n"
    spec = "spec: {billingCycle: Daily, meteringMethod: Traffic}\n"
    for suffix in ("yml", "yaml", "json", "txt"):
        (tmp_path / f"plan.{suffix}").write_text(kind % suffix + spec)
    (tmp_path / "folder.d").mkdir()
    assert main([str(tmp_path), "--namespace=team-a"]) == 0
    found = re.findall(r"BillingPlan team-a/plan-(\w+)", capsys.readouterr().out)
    assert sorted(found) == ["json", "yaml", "yml"]


def test_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`-` reads stdin; times without quotes are read as times."""
    path = tmp_path / "stdin"
    path.write_text(
        "apiVersion: wsedge.io/v1alpha1\nkind: BillingPlan\n"
        "metadata: {name: plan, creationTimestamp: 2026-11-22T03:00:00Z}\n"
        "spec: {billingCycle: Daily, meteringMethod: Traffic}\n"
    )
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert main(["-", f"--at={NOON}", "--namespace=team-a"]) == 0
    out = capsys.readouterr().out
    assert "BillingPlan team-a/plan" in out
    assert "in force since 2026-11-22T03:00:00Z" in out


def test_an_instant_needs_an_offset(capsys: pytest.CaptureFixture[str]) -> None:
    """An instant without an offset is refused, since its zone would be a guess."""
    with pytest.raises(SystemExit):
        main(["x", "--at=2026-11-22T12:00:00"])
    assert "give an offset" in capsys.readouterr().err


def test_a_malformed_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the variable, and no file is read."""
    monkeypatch.setenv("WSEDGE_OPERATOR_LEASE_SECONDS", "soon")
    assert main(["x.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("WSEDGE_OPERATOR_LEASE_SECONDS: ")
