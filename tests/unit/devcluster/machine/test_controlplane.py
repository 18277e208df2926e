"""Command lines of the control plane."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from wsedge_devcluster.machine import controlplane
from wsedge_devcluster.machine.ranges import Pair


def test_every_request_is_authenticated(tmp_path: Path) -> None:
    """RBAC is on, etcd wants client certificates, and no token file or anonymous etcd is configured."""
    ports = controlplane.Ports(1, 2, 3)
    files = controlplane.write_files(tmp_path, ports, Pair(0), dt.datetime.now(dt.UTC))
    server = controlplane.apiserver(tmp_path, ports, files, Pair(0))
    assert "--authorization-mode=RBAC" in server
    assert not any("token-auth-file" in flag for flag in server)
    store = controlplane.etcd(tmp_path, ports, files, fsync=True)
    assert "--client-cert-auth=true" in store
    assert "--unsafe-no-fsync" not in store
    assert files.admin.stat().st_mode & 0o077 == 0
