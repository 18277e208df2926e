"""The official SDKs of DCDN, in virtual environments of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from support.clients.tools import unavailable

ROOT: Final = Path(__file__).parents[3]
_SDK: Final = ROOT / "tests" / "sdk"

Call = tuple[str, dict[str, Any]]


def sdk_calls(
    port: int, key: tuple[str, str], *calls: tuple[str, str, dict[str, Any]], ca: Path | None = None
) -> list[Any]:
    """Return what calls gave; each has an SDK (old, new, new-v2), an operation and its parameters.

    `ca` has the certificate of the server's authority: calls are by https.
    """
    return _run(ROOT / ".venv-sdk", _SDK / "calls.py", {"port": port, "key": key, "calls": calls}, ca)


def early_sdk_calls(port: int, key: tuple[str, str], *calls: Call) -> list[Any]:
    """Return what calls of the first new SDK gave; each has an operation and its parameters."""
    asked = {"port": port, "key": key, "calls": calls}
    return _run(ROOT / ".venv-sdk-early", _SDK / "early.py", asked, None)


def _run(place: Path, program: Path, asked: dict[str, Any], ca: Path | None) -> list[Any]:
    if not (place / "ready").exists():
        unavailable("the official SDKs are not installed: make test does it")
    # All SDKs obey proxies of the environment, which would get calls to this machine.
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    if ca is not None:
        environment["ALIBABA_CLOUD_CA_BUNDLE"] = str(ca)
    done = subprocess.run(
        [str(place / "bin" / "python"), str(program)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))
