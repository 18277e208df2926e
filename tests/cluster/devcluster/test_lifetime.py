"""A cluster leaves nothing behind, whichever way it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.devcluster import SLEEP, Namespace, eventually, pod, python
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import StartError
from wsedge_devcluster.machine.children import marked_processes
from wsedge_devcluster.machine.ranges import claim

# A grandchild in a session of its own: the hardest to find.
ORPHAN = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
{SLEEP}
"""
STARTER = """
import sys
from wsedge_devcluster.cluster.cluster import Cluster
cluster = Cluster()
cluster.start()
cluster.kubectl("apply", "-f", "-", input=sys.argv[1])
cluster.kubectl("wait", "--for=condition=Ready", "pod/orphan", "--timeout=60s")
print(cluster.mark, cluster.directory, cluster.server, flush=True)
cluster.wait()
"""


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    """A process that has started a cluster with a pod, and printed its mark, folder and address."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, json.dumps(pod("orphan", python("main", ORPHAN)))],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def nothing_left(mark: str, folder: str, server: str) -> bool:
    port = int(server.rsplit(":", 1)[1])
    with socket.socket() as probe:
        free = probe.connect_ex(("127.0.0.1", port)) != 0
    return not marked_processes(mark) and not Path(folder).exists() and free


def test_killed_parent(started: subprocess.Popen[str]) -> None:
    """SIGKILL of the parent: no process, port or folder is left."""
    assert started.stdout is not None
    mark, folder, server = started.stdout.readline().split()
    eventually(lambda: len(marked_processes(mark)) == 7, seconds=60)  # five programs, the pod, its grandchild
    started.kill()
    eventually(lambda: nothing_left(mark, folder, server), seconds=60)


def test_killed_supervisor() -> None:
    """SIGKILL of the supervisor: its children die with it, and stop() removes the rest."""
    cluster = Cluster()
    cluster.start()
    os.kill(cluster.supervisor_pid, signal.SIGKILL)
    with pytest.raises(StartError, match="supervisor"):
        cluster.wait()
    cluster.stop()
    assert not marked_processes(cluster.mark)
    assert not cluster.directory.exists()


@pytest.mark.parametrize(
    ("number", "starter"),
    [
        (signal.SIGTERM, []),
        (signal.SIGINT, []),
        # As `nohup … &` of a script does: the shell has the background ignore Ctrl-C.
        (signal.SIGINT, ["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"]),
    ],
)
def test_signalled_command(number: signal.Signals, starter: list[str]) -> None:
    """Ctrl-C or SIGTERM to `wsedge-devcluster up` ends it with status 0, and nothing is left."""
    command = [*starter, str(Path(sys.executable).parent / "wsedge-devcluster"), "up"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        config = Path(process.stdout.readline().removeprefix("export KUBECONFIG=").strip())
        assert config.exists()
        process.send_signal(number)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert not config.parent.exists()


def test_two_at_once(cluster: Cluster) -> None:
    """A second cluster runs beside the first, with ranges of its own."""
    with Cluster(nodes=1, simulated_nodes=1) as second:
        assert second.pod_range != cluster.pod_range
        assert second.service_range != cluster.service_range
        assert "simulated-1" in second.kubectl("get", "nodes")


def test_folder_is_kept_and_started_again(tmp_path: Path) -> None:
    """A given folder keeps its objects and their Services' addresses; a pod runs again after the restart."""
    low = [claim() for _ in range(20)]
    with Cluster(directory=tmp_path / "kept") as first:
        for each in low:
            each.release()  # other clusters, which get the lowest, leave ours alone while it is stopped
        space = Namespace(first, "default")
        space.apply(pod("stays", python("main", SLEEP)))
        space.wait("pod/stays", "condition=Ready")
        range_before = first.service_range
    with Cluster(directory=tmp_path / "kept") as second:
        space = Namespace(second, "default")
        assert second.service_range == range_before
        eventually(lambda: space.state("stays")["restartCount"] == 1)
        space.wait("pod/stays", "condition=Ready")


def test_api_server_away(space: Namespace, cluster: Cluster) -> None:
    """While the API server is away pods run on; afterwards the status says what happened meanwhile."""
    space.apply(pod("goes-on", python("main", SLEEP)))
    space.wait("pod/goes-on", "condition=Ready")
    folder = f"{space.name}_goes-on_{space.get('pod', 'goes-on')['metadata']['uid']}"
    cluster.stop_apiserver()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(cluster.server.rsplit(":", 1)[1])), timeout=5)
    victim = next(pid for pid in marked_processes(cluster.mark) if runs(pid, folder, cluster))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: (cluster.logs_dir / "pods" / folder / "main" / "1.log").exists())
    cluster.start_apiserver()
    eventually(lambda: space.state("goes-on")["restartCount"] == 1)
    assert space.state("goes-on")["lastState"]["terminated"]["exitCode"] == 137
    space.wait("pod/goes-on", "condition=Ready")


def runs(pid: int, folder: str, cluster: Cluster) -> bool:
    """Whether the process belongs to the pod of this log folder."""
    uid = folder.rsplit("_", 1)[1]
    try:
        return str(cluster.directory / "pods" / uid).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
