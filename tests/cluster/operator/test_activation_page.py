"""The commands of docs/activation.md, typed as they are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from support.kubectl_plugin import PROGRAMS
from support.operator.cluster import Place, plan
from wsedge_devcluster.cluster.cluster import Cluster

PAGE = (Path(__file__).parents[3] / "docs" / "activation.md").read_text("utf-8")


def test_explain_with_the_accounts_history_shows_the_boundary(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    """With the copy of the record a change waits for its date; without it the account would be a new one."""
    place = Place(installed, namespace)
    place.apply(plan())
    place.await_reason("bp/plan", "Ready", "Effective")
    place.await_created("configmap/wsedge-account")
    change = plan(meteringMethod="DailyPeakBandwidth")
    change["metadata"]["namespace"] = namespace
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(change))
    config = tmp_path / "config"
    config.write_text(installed.kubeconfig.read_text())
    environment = {**installed.environment(), "KUBECONFIG": str(config)}
    environment["PATH"] = f"{PROGRAMS}:{environment['PATH']}"

    def types(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (line, done)
        return done.stdout

    types(f"kubectl config set-context --current --namespace={namespace}")
    intro = PAGE.split("\n## ")[0]
    printed = [types(line) for line in re.findall(r"^    (\S.*)$", intro, re.MULTILINE)]
    assert len(printed) == 4
    first, after = printed[-1].split("\nAt ")
    assert "Ready=True (Scheduled)" in first
    assert ": Traffic, settled Daily; from " in first
    assert "Ready=True (Effective)" in after
    assert "DailyPeakBandwidth" in after
    # What the same program says about a new account.
    assert "Scheduled" not in types("wsedge-operator explain plan.yaml")
