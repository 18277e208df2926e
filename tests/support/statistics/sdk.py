"""The official SDKs of DCDN, in a virtual environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from support.clients.tools import unavailable

ROOT: Final = Path(__file__).parents[3]
_READY: Final = ROOT / ".venv-sdk" / "ready"
_CALLS: Final = ROOT / "tests" / "sdk" / "calls.py"


def sdk_calls(
    port: int, key: tuple[str, str], *calls: tuple[str, str, dict[str, Any]], ca: Path | None = None
) -> list[Any]:
    """Return what calls gave; each has an SDK (old, new, new-v2), an operation and its parameters.

    `ca` has the certificate of the server's authority: calls are by https.
    """
    if not _READY.exists():
        unavailable("the official SDKs are not installed: make test does it")
    # Both SDKs obey proxies of the environment, which would get calls to this machine.
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    if ca is not None:
        environment["ALIBABA_CLOUD_CA_BUNDLE"] = str(ca)
    done = subprocess.run(
        [str(ROOT / ".venv-sdk" / "bin" / "python"), str(_CALLS)],
        input=json.dumps({"port": port, "key": list(key), "calls": calls}),
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))
