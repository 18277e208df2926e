"""`kubectl wsedge report`: planted secrets are in none of its files, and what a case needs is."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path

from support.devcluster import pod, python
from support.kubectl_plugin import User, grant, may_not, stranger
from support.operator.cluster import Place, domain, until
from support.relay_process import certificate

PASSWORD, QUERY, WEB_TOKEN = (
    "hunter2-of-a-pod",
    "s3cr3t-of-a-query",
    "eyJhbGciOiJI.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
)


def contents(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        assert {entry.mode for entry in archive} == {0o600}
        return {entry.name: archive.extractfile(entry).read().decode() for entry in archive}  # type: ignore[union-attr]


def test_no_planted_secret_is_in_it(place: Place, user: User, tmp_path: Path) -> None:
    """Neither key, certificate's key, admin token, variable, query nor token; by the rights of `rbac`."""
    chain, key = certificate("report.example.com")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "report-tls"},
        "data": {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(key).decode()},
    }
    place.apply(secret, domain("report", host="report.example.com", tls={"secretName": "report-tls"}))
    place.await_reason("wsd/report", "Ready", "Serving")
    text = f"print('GET /?token={QUERY} {WEB_TOKEN}', flush=True); import signal; signal.pause()"
    container = python("relay", text)
    container["env"] = [*container["env"], {"name": "DB_PASSWORD", "value": PASSWORD}]
    labels = {"app.kubernetes.io/name": "wsedge-relay", "wsedge.io/domain-name": "report"}
    place.apply(pod("planted", container, labels=labels))
    place.kubectl("wait", "pod/planted", "--for=condition=Ready", "--timeout=90s")
    reporter = stranger(place, tmp_path, "reporter")
    grant(place, "reporter", user.wsedge("rbac", "report", "--domain=report").out)
    until("the right", lambda: reporter.wsedge("report", f"--file={tmp_path / 'first'}").code == 0)
    file = tmp_path / "report.tar.gz"
    said = reporter.wsedge("report", f"--file={file}")
    assert said.code == 0, said
    assert said.out.endswith(" of 1 domain. Look through it before you send it.\n")
    assert file.stat().st_mode & 0o077 == 0
    found = contents(file)
    live = place.get("secret/report-relay")
    assert live is not None
    token = base64.b64decode(live["data"]["admin-token"]).decode()
    everything = "\n".join(found.values())
    planted = (PASSWORD, QUERY, WEB_TOKEN, token, key.decode().splitlines()[1], live["data"]["admin-token"])
    assert [one for one in planted if one in everything] == []
    assert "PRIVATE KEY" not in everything
    assert "report.example.com" in found["report/domains/report/object.json"]
    about = json.loads(found["report/about.json"])
    assert about["namespace"] == place.namespace
    assert "GET /?token=(masked)" in found["report/relays/planted/log.txt"]
    relay = next(name for name in found if name.endswith("/config.txt") and "planted" not in name)
    assert json.loads(found[relay])["draining"] is False
    again = reporter.wsedge("report", f"--file={file}")
    assert (again.code, again.err) == (1, f"kubectl-wsedge: {file} cannot be written: File exists.\n")
    for verb, resource in (("list", "secrets"), ("create", "pods/proxy"), ("delete", "pods")):
        may_not(place, "reporter", verb, resource)


def test_what_may_not_be_read_is_named(place: Place, tmp_path: Path) -> None:
    """A report with less is better than none."""
    few = stranger(place, tmp_path, "fewreporter")
    place.kubectl("create", "role", "fewr", "--verb=get,list", "--resource=websocketdomains.wsedge.io,pods")
    place.kubectl(
        "create", "rolebinding", "fewr", "--role=fewr", f"--serviceaccount={place.namespace}:fewreporter"
    )
    until("the right", lambda: few.wsedge("status").code in (0, 8))
    file = tmp_path / "few.tar.gz"
    said = few.wsedge("report", f"--file={file}")
    assert said.code == 0, said
    assert "parts could not be read; about.json names them." in said.out
    missed = json.loads(contents(file)["report/about.json"])["missed"]
    assert any(one.startswith("billingplans: `kubectl wsedge report` lacks a right") for one in missed)
