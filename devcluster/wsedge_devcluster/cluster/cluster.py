"""A devcluster as an object: start it, use it, stop its API server, stop it.

    with Cluster() as cluster:
        cluster.kubectl("apply", "-f", "-", input=manifest)

Also as `async with`. The cluster ends with this process, however the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from wsedge_devcluster.binaries.build import Binaries, ensure_binaries
from wsedge_devcluster.cluster.spec import (
    EVENTS,
    START_APISERVER,
    STOP_APISERVER,
    ClusterSpec,
    Done,
    Failed,
    Progress,
    Ready,
)
from wsedge_devcluster.errors import CommandFailed, StartError, present
from wsedge_devcluster.machine.children import MARK, kill_marked
from wsedge_devcluster.machine.ranges import reachable_port

_START_SECONDS = 180.0
_STOP_SECONDS = 20.0


def quiet(_text: str) -> None:
    """Discard a progress report."""


class Cluster:
    """One cluster. Files of it: `kubeconfig` (administrator), `logs_dir`, `ca_file`.

    `directory` None means a temporary folder that is removed at the end; a given folder stays and can be
    started again. `backoff_scale` shortens the kubelet's 10 s to 300 s back-offs; `sync_seconds` is how long
    a changed ConfigMap may take to reach a pod that itself does not change (a kubelet: 60). `images` run
    our programs from other sources, by image name: a folder as a checkout of another version has it.
    `variables` are the environment of our own images, beside what a pod sets. Relays of simulated pods answer
    GET /config, unless not `relays_answer`: their admin port then refuses connections.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        nodes: int = 2,
        simulated_nodes: int = 0,
        backoff_scale: float = 1.0,
        sync_seconds: float = 60.0,
        images: Mapping[str, Path] | None = None,
        variables: Mapping[str, str] | None = None,
        relays_answer: bool = True,
        progress: Callable[[str], None] = quiet,
    ) -> None:
        self._keep = directory is not None
        self._given = directory
        self._nodes, self._simulated_nodes = nodes, simulated_nodes
        self._backoff_scale, self._sync_seconds = backoff_scale, sync_seconds
        self._images, self._variables = dict(images or {}), dict(variables or {})
        self._relays_answer = relays_answer
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._mark = ""
        self._binaries: Binaries | None = None
        self._ready: Ready | None = None
        self.directory = Path()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def logs_dir(self) -> Path:
        """Logs of components (`kube-apiserver.log` …) and pods (`pods/NAMESPACE_POD_UID/CONTAINER/N.log`)."""
        return self.directory / "logs"

    @property
    def ca_file(self) -> Path:
        """The certificate authority of the API server."""
        return self.directory / "pki" / "ca.crt"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._started().server

    @property
    def service_range(self) -> str:
        """CIDR of ClusterIPs."""
        return self._started().service_range

    @property
    def pod_range(self) -> str:
        """CIDR of pod addresses."""
        return self._started().pod_range

    @property
    def supervisor_pid(self) -> int:
        """Process id of the supervisor."""
        return present(self._process).pid

    @property
    def mark(self) -> str:
        """Value of DEVCLUSTER_MARK in the environment of each process of this cluster."""
        return self._mark

    def start(self) -> None:
        """Build missing programs, start, return when the nodes are ready. Raises a DevclusterError."""
        self._binaries = ensure_binaries(self._progress)
        if self._given is None:
            self.directory = Path(tempfile.mkdtemp(prefix="wsedge-devcluster-"))
        else:
            self.directory = self._given.resolve()
        self.logs_dir.mkdir(parents=True, exist_ok=True)
        self._mark = uuid.uuid4().hex
        spec = ClusterSpec(
            mark=self._mark,
            directory=self.directory,
            keep=self._keep,
            binaries=dict(self._binaries.paths),
            nodes=self._nodes,
            simulated_nodes=self._simulated_nodes,
            backoff_scale=self._backoff_scale,
            sync_seconds=self._sync_seconds,
            images=self._images,
            variables=self._variables,
            relays_answer=self._relays_answer,
        )
        with (self.logs_dir / "supervisor.log").open("ab") as output:
            # A session of its own: Ctrl-C reaches the starter alone, which then stops the cluster in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "wsedge_devcluster.cluster.supervisor"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, MARK: self._mark},
                start_new_session=True,
            )
        try:
            self._send(spec.model_dump_json())
            event = self._next(_START_SECONDS)
            if not isinstance(event, Ready):
                raise self._ended()
            self._ready = event
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the cluster; return when no process, port or temporary file of it is left. Never raises."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            present(process.stdin).close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        present(process.stdout).close()
        kill_marked(self._mark)  # nothing, unless the supervisor was killed
        self._ready = None
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def wait(self) -> None:
        """Wait for the end of the supervisor, which is always a failure, and raise StartError."""
        present(self._process).wait()
        raise self._ended()

    def service_address(self, namespace: str, name: str, port: int | str | None = None) -> tuple[str, int]:
        """Return the address of a Service on this machine: its ClusterIP, and the port by number or name.

        The port is 8000 higher where this user may not listen on it (80 is 8080 then). Raises CommandFailed.
        """
        answer = self.kubectl("get", "service", name, "--namespace", namespace, "--output", "json")
        spec = json.loads(answer)["spec"]
        ports = [each["port"] for each in spec["ports"] if port in (None, each["port"], each.get("name"))]
        if not ports:
            raise StartError(f"service {namespace}/{name}", f"has no port {port}")
        return str(spec["clusterIP"]), reachable_port(ports[0])

    def stop_apiserver(self) -> None:
        """Kill the API server; it stays down until start_apiserver()."""
        self._command(STOP_APISERVER)

    def start_apiserver(self) -> None:
        """Start the API server again at the same address; return when it is ready."""
        self._command(START_APISERVER)

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 120.0) -> str:  # noqa: A002
        """Run kubectl as the administrator and return its stdout. Raises CommandFailed."""
        return self._run("kubectl", arguments, input, timeout)

    def helm(self, *arguments: str, input: str | None = None, timeout: float = 300.0) -> str:  # noqa: A002
        """Run Helm as the administrator and return its stdout. Raises CommandFailed."""
        return self._run("helm", arguments, input, timeout)

    def environment(self) -> dict[str, str]:
        """Return the environment of a command: KUBECONFIG, PATH with kubectl and helm, Helm's folders."""
        folders = dict.fromkeys(str(path.parent) for path in present(self._binaries).paths.values())
        helm = {
            f"HELM_{name}_HOME": str(self.directory / "helm" / name.lower())
            for name in ("CACHE", "CONFIG", "DATA")
        }
        path = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path, **helm}

    def _run(self, name: str, arguments: tuple[str, ...], text: str | None, timeout: float) -> str:
        command = [str(present(self._binaries)[name]), *arguments]
        result = subprocess.run(
            command,
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
            check=False,
        )
        if result.returncode != 0:
            raise CommandFailed(" ".join([name, *arguments]), result.returncode, result.stdout, result.stderr)
        return result.stdout

    def _started(self) -> Ready:
        if self._ready is None:
            raise StartError("cluster", "is not running")
        return self._ready

    def _command(self, line: str) -> None:
        self._started()
        self._send(line)
        self._next(_START_SECONDS)

    def _send(self, line: str) -> None:
        stdin = present(present(self._process).stdin)
        try:
            stdin.write(line.encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _next(self, seconds: float) -> Ready | Done:
        """Return the next event but progress; raises StartError when the supervisor failed or ended."""
        deadline = time.monotonic() + seconds
        while True:
            event = EVENTS.validate_json(self._line(deadline))
            if isinstance(event, Progress):
                self._progress(event.text)
            elif isinstance(event, Failed):
                raise StartError(event.component, event.reason, event.log)
            else:
                return event

    def _line(self, deadline: float) -> bytes:
        descriptor = present(present(self._process).stdout).fileno()
        while b"\n" not in self._pending:
            remaining = max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], remaining)[0]:
                raise StartError("supervisor", "did not answer in time", self.logs_dir / "supervisor.log")
            if not (data := os.read(descriptor, 65536)):
                raise self._ended()
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _ended(self) -> StartError:
        return StartError("supervisor", "has ended", self.logs_dir / "supervisor.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)
