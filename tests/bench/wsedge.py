"""Starts the relay of the bench, in its two forms, from a copy of the sources."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Collection, Iterator
from pathlib import Path

from proxy import HOST, PROXY_CORE, TIMEOUT, Proxy, Setting, folder_of, pinned, put, running

FORMS = ("plain", "compiled")
ROOT = Path(__file__).parents[2]


def copy_of_the_relay(folder: Path, python: str, forms: Collection[str]) -> dict[str, str]:
    """Copy the relay's package, compile its pump there if requested; return the environment to run it in.

    A copy, so that an edit during a run does not change the measured code. A Python without the relay's
    packages uses those of the Python that runs this, if both are of one version.
    """
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for part in ("proxy/wsedge_relay", "statistics/wsedge_statistics"):
        shutil.copytree(_checkout(python) / part, folder / Path(part).name, ignore=ignore)
    paths = [str(folder)]
    if subprocess.run([python, "-c", "import pydantic"], capture_output=True).returncode:
        paths.append(sysconfig.get_path("platlib"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "WSEDGE_RELAY_LOG_FORMAT": "json"}
    if "compiled" in forms:
        build = [python, "-m", "wsedge_relay.pump.build"]
        subprocess.run(build, env=environment, check=True, stdout=subprocess.DEVNULL)
    return environment


def _checkout(python: str) -> Path:
    """Return the checkout whose relay this Python imports: another version, to compare two; else this one."""
    located = subprocess.run(
        [python, "-c", "import wsedge_relay; print(wsedge_relay.__file__)"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    return Path(located.stdout).parents[2] if located.returncode == 0 else ROOT


@contextlib.contextmanager
def relay(
    setting: Setting, name: str, *, python: str, environment: dict[str, str], form: str
) -> Iterator[Proxy]:
    """Run wsedge-relay with one domain; a new file changes its configuration."""
    folder = folder_of(setting, name)
    config, log = folder / "relay.json", folder / "log"

    current: list[int] = []

    def change(timeout: int) -> None:
        current[:] = [timeout]
        put(config, _document(setting, timeout))

    def changed() -> bool:
        return f'"{_generation(current[0])}"' in log.read_text()

    change(TIMEOUT)
    program = "from wsedge_relay.main import main; raise SystemExit(main())"
    command = pinned(PROXY_CORE, python, "-c", program, "--config", str(config), "--pump", form)
    with log.open("w") as stderr, running(command, stderr=stderr, env=environment) as process:
        ports = _ports(log, process)
        yield Proxy(name, ports["http"], ports["https"], process.pid, change, changed)


def _generation(timeout: int) -> str:
    return f"bench/relay@{timeout}"


def _document(setting: Setting, timeout: int) -> str:
    domain = {
        "domain": HOST,
        "account": "bench",
        "heartbeatSeconds": 300,
        "originProtocol": "HTTP",
        "origins": [{"host": "127.0.0.1", "httpPort": setting.origin}],
        "originRequest": {"connectTimeoutSeconds": timeout},
        "lifecycle": {"drainSeconds": 0},
        "tls": {"certificateFile": str(setting.certificate), "keyFile": str(setting.key), "http2": True},
    }
    document = {
        "version": 1,
        "generation": _generation(timeout),
        "listen": {"host": "127.0.0.1", "http": 0, "https": 0, "admin": 0},
        "domains": [domain],
    }
    return json.dumps(document)


def _ports(log: Path, process: subprocess.Popen[str]) -> dict[str, int]:
    """Return the relay's ports from its log."""
    ports: dict[str, int] = {}
    with log.open() as lines:
        while process.poll() is None and not {"http", "https"} <= set(ports):
            line = lines.readline()
            if '"listening"' in line:
                event = json.loads(line)
                ports[event["listener"]] = int(event["port"])
    if process.poll() is not None:
        raise SystemExit(f"the relay did not start:\n{log.read_text()}")
    return ports
