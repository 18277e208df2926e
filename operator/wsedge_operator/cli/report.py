"""`kubectl wsedge report`: an archive for a support case: no Secrets, and what looks like one is masked.

report/about.json          what was collected, by which version, and what could not be read
report/domains/NAME/…      the object, its status as `kubectl wsedge status` has it, RelayConfig
report/relays/POD/…        the pod, /config, /metrics, the end of its log
report/objects/…           plans, Deployments, Services, Events of the namespace
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final

from wsedge_operator.cli import redaction
from wsedge_operator.cli.concurrency import Progress
from wsedge_operator.cli.diagnosis import Domain, diagnose
from wsedge_operator.cli.exit_codes import FORBIDDEN, NOT_FOUND
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.json_text import parse
from wsedge_operator.cli.objects import WSEDGE, key_of, namespace_path, read_domains, read_labelled
from wsedge_operator.cli.observation import Observed, observe
from wsedge_operator.cli.rights import CONFIG, DEPLOYMENTS, EVENTS, LOG, PLANS, SERVICES, Right
from wsedge_operator.cli.status import as_document
from wsedge_operator.desired.names import APP, APP_LABEL, child_name
from wsedge_operator.errors import PluginError

_LOG_BYTES: Final = 4 * 1024 * 1024
_MANAGED: Final = f"labelSelector={urllib.parse.quote(f'{APP_LABEL}={APP}')}"
_LINE: Final = re.compile(r'("client":\s*)"[^"]*"')


@dataclass
class _Archive:
    """The files of a report, and what could not be read."""

    files: dict[str, bytes] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any) -> None:
        """Add a document as JSON."""
        content = json.dumps(redaction.document(value), indent=2)
        self.files[name] = content.encode()

    def add_text(self, name: str, text: str) -> None:
        """Add a text."""
        self.files[name] = redaction.text(text).encode()

    def try_to(self, what: str, read: Callable[[], Any]) -> Any:
        """Return what `read` returns; None, with a note, where a right or the object is missing."""
        try:
            return read()
        except PluginError as error:
            self.missed.append(f"{what}: {error}")
            return None


def run(
    gateway: Gateway, target: Path | None, *, lines: int, clients: bool, now: datetime | None = None
) -> str:
    """Write the archive and return a sentence; raises PluginError.

    `lines` is the number of log lines of each relay; `clients`: the log lines keep clients' addresses.
    """
    moment = now or datetime.now(UTC)
    archive = _Archive()
    lives = read_domains(gateway)
    seen = observe(gateway, lives, Progress(sys.stderr))
    labelled = archive.try_to("pods", partial(read_labelled, gateway)) or {}
    for one in seen:
        _add_domain(gateway, archive, one.domain, moment)
        for pod in labelled.get(key_of(one.domain.live), ()):
            _add_pod(gateway, archive, one, pod, lines=lines, clients=clients)
    for name, path, right in _objects(gateway.namespace):
        found = archive.try_to(name, partial(gateway.get, path, right))
        if found is not None:
            archive.add(f"objects/{name}.json", found)
    archive.add(
        "about.json",
        {
            "version": version("wsedge"),
            "made": moment.isoformat(),
            "namespace": gateway.namespace,
            "domains": len(lives),
            "missed": archive.missed,
        },
    )
    file = target or Path(f"wsedge-report-{moment:%Y%m%d-%H%M%S}.tar.gz")
    _write(file, archive.files, moment)
    number = "1 domain" if len(lives) == 1 else f"{len(lives)} domains"
    text = f"{file}: {len(archive.files)} files of {number}."
    if archive.missed:
        text += f" {len(archive.missed)} parts could not be read; about.json names them."
    return f"{text} Look through it before you send it.\n"


def _objects(namespace: str) -> Iterator[tuple[str, str, Right]]:
    core, apps = namespace_path(namespace), namespace_path(namespace, "apis/apps/v1")
    yield "billingplans", f"{namespace_path(namespace, WSEDGE)}/billingplans", PLANS
    yield "deployments", f"{apps}/deployments?{_MANAGED}", DEPLOYMENTS
    yield "services", f"{core}/services?{_MANAGED}", SERVICES
    yield "events", f"{core}/events?limit=500", EVENTS


def _add_domain(gateway: Gateway, archive: _Archive, domain: Domain, now: datetime) -> None:
    name = domain.name
    archive.add(f"domains/{name}/object.json", domain.live)
    archive.add(f"domains/{name}/status.json", as_document(domain, diagnose(domain, now)))
    path = f"{namespace_path(gateway.namespace)}/configmaps/{child_name(name)}"
    config = archive.try_to(f"configuration of {name}", partial(gateway.get, path, CONFIG))
    if config is not None:
        texts = {key: _parsed(text) for key, text in (config.get("data") or {}).items()}
        archive.add(f"domains/{name}/configuration.json", config | {"data": texts})


def _add_pod(
    gateway: Gateway,
    archive: _Archive,
    seen: Observed,
    pod: Mapping[str, Any],
    *,
    lines: int,
    clients: bool,
) -> None:
    """Add a pod with the labels of a relay and its log; of a relay also its answers."""
    name = str(pod["metadata"]["name"])
    archive.add(f"relays/{name}/pod.json", pod)
    if any(relay.name == name for relay in seen.domain.relays):
        for path in ("config", "metrics"):
            text = archive.try_to(f"{path} of {name}", partial(seen.ports.text, name, path))
            if text is not None:
                archive.add_text(f"relays/{name}/{path}.txt", text)
    for file, query in (("log", ""), ("log-before-restart", "&previous=true")):
        if query and not _has_restarted(pod):
            continue
        text = archive.try_to(f"{file} of {name}", partial(_log, gateway, name, lines, query))
        if text is not None:
            archive.add_text(f"relays/{name}/{file}.txt", text if clients else without_clients(text))


def without_clients(text: str) -> str:
    """Return log lines without the addresses of clients, which are personal data."""
    return _LINE.sub(rf'\1"{redaction.MASK}"', text)


def _log(gateway: Gateway, pod: str, lines: int, query: str) -> str:
    place = f"{namespace_path(gateway.namespace)}/pods/{pod}/log"
    answer = gateway.call("GET", f"{place}?tailLines={lines}&limitBytes={_LOG_BYTES}{query}", LOG)
    if answer.status != 200:
        code = NOT_FOUND if answer.status == 404 else FORBIDDEN
        raise PluginError(f"The API server answered {answer.status}.", code)
    return answer.body.decode(errors="replace")


def _has_restarted(pod: Mapping[str, Any]) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(int(one.get("restartCount", 0)) for one in statuses)


def _parsed(text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return text


def _write(path: Path, files: Mapping[str, bytes], now: datetime) -> None:
    """Write a new archive that only its owner may read.

    Raises PluginError where the file exists or the disk is full; no part of an archive stays.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                _pack(stream, files, now)
        except OSError:
            path.unlink()
            raise
    except OSError as error:
        raise PluginError(f"{path} cannot be written: {error.strerror}.") from None


def _pack(stream: IO[bytes], files: Mapping[str, bytes], now: datetime) -> None:
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"report/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(now.timestamp()), 0o600
            archive.addfile(entry, io.BytesIO(content))
