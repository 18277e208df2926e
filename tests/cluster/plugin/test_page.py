"""The commands of docs/kubectl.md, typed as they are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from support.kubectl_plugin import User
from support.operator.cluster import Place, domain

PAGE = (Path(__file__).parents[3] / "docs" / "kubectl.md").read_text()


def test_the_commands_of_the_page_work(place: Place, user: User, tmp_path: Path) -> None:
    """In the namespace of the context, as a person has it."""
    place.apply(domain("chat", host="page.example.com"))
    place.await_reason("wsd/chat", "Ready", "Serving")
    config = tmp_path / "config"
    config.write_text(user.kubeconfig.read_text())
    environment = {**user.environment, "KUBECONFIG": str(config)}
    context = ["kubectl", "config", "set-context", "--current", f"--namespace={place.namespace}"]
    subprocess.run(context, env=environment, check=True, capture_output=True)
    typed = [
        line.strip().partition(" #")[0] for line in re.findall(r"^    (kubectl .*)$", PAGE, re.MULTILINE)
    ]
    assert len(typed) >= 7
    for line in typed:
        done = subprocess.run(
            ["bash", "-c", line], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        # the origin of this domain does not listen, which `status` may have noticed
        assert done.returncode in ((0, 8) if "status" in line else (0,)), (line, done)
    place.kubectl("delete", "wsd/chat", "--wait=false")
