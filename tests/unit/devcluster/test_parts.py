"""Smaller pure parts: quantities, images, ranges, nodes, logs, command lines, Go versions."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from wsedge_devcluster.agent.images import EXAMPLES_FOLDER, find_image, program
from wsedge_devcluster.agent.logs import parse_lines
from wsedge_devcluster.agent.nodes import plan_nodes
from wsedge_devcluster.agent.quantities import in_units, parse_quantity
from wsedge_devcluster.agent.selectors import Endpoint
from wsedge_devcluster.agent.services import listeners
from wsedge_devcluster.binaries.build import source_hash
from wsedge_devcluster.binaries.golang import wanted_version
from wsedge_devcluster.errors import ContainerError
from wsedge_devcluster.machine import controlplane
from wsedge_devcluster.machine.ranges import Addresses, Pair


@pytest.mark.parametrize(
    ("quantity", "divisor", "expected"),
    [
        ("64Mi", "1", "67108864"),
        ("64Mi", "1Mi", "64"),
        ("1500m", "1", "2"),
        ("1500m", "1m", "1500"),
        ("2e3", "1k", "2"),
        ("1G", "0", "1000000000"),
    ],
)
def test_quantities(quantity: str, divisor: str, expected: str) -> None:
    """A quantity in units of a divisor, rounded up."""
    assert in_units(quantity, divisor) == expected


def test_bad_quantity() -> None:
    """What is no quantity is refused."""
    with pytest.raises(ValueError, match="'1Zi' is not a quantity"):
        parse_quantity("1Zi")


@pytest.mark.parametrize(
    "name",
    ["ghcr.io/wsedge/wsedge:0.1.0", "wsedge/wsedge", "localhost:5000/x/wsedge/wsedge@sha256:" + "0" * 64],
)
def test_own_image(name: str) -> None:
    """Our image is known under any registry, tag or digest."""
    assert find_image(name, {}).folder is None


def test_examples_image() -> None:
    """The examples' image runs in the folder of the examples."""
    assert find_image("ghcr.io/wsedge/examples:0.1.0", {}).folder == EXAMPLES_FOLDER


def test_image_of_another_version() -> None:
    """An image that the starter named runs our commands from its sources; others run what is installed."""
    others = {"ghcr.io/wsedge/wsedge:0.0.1": Path("/old")}
    image = find_image("ghcr.io/wsedge/wsedge:0.0.1", others)
    assert image.environment == {"PYTHONPATH": "/old/operator:/old/proxy:/old/statistics"}
    assert find_image("ghcr.io/wsedge/wsedge:0.0.2", others).environment == {}


@pytest.mark.parametrize("name", ["nginx", "wsedge", "wsedge/wsedge-evil:1", "evilwsedge/wsedge:1:2"])
def test_unknown_image(name: str) -> None:
    """Any other image cannot be pulled."""
    with pytest.raises(ContainerError, match="ErrImagePull"):
        find_image(name, {})


def test_program() -> None:
    """A console script of this installation is found; no command and an unknown one are errors."""
    assert program(["wsedge-relay", "--x"])[1:] == ["--x"]
    assert Path(program(["python", "-V"])[0]).name == "python3"
    with pytest.raises(ContainerError, match="no command specified"):
        program([])
    with pytest.raises(ContainerError, match="executable file not found"):
        program(["no-such-program"])


def test_ranges_do_not_meet() -> None:
    """Pairs of ranges are different, in 127/8, and end before its last addresses."""
    networks = [network for n in range(95) for network in (Pair(n).services, Pair(n).pods)]
    assert len(set(networks)) == 190
    assert str(networks[0]) == "127.64.0.0/16"
    assert str(networks[-1]) == "127.253.0.0/16"


def test_addresses_are_not_met_again_soon() -> None:
    """A freed address is given again only after all others; nodes' addresses never."""
    addresses = Addresses(Pair(0).pods)
    first = addresses.take()
    addresses.free(first)
    assert (first, addresses.take()) == ("127.65.1.0", "127.65.1.1")


def test_nodes() -> None:
    """Nodes are spread over regions; simulated ones come last."""
    nodes = plan_nodes(2, 1, ["a", "b", "c"])
    assert [node.name for node in nodes] == ["node-1", "node-2", "simulated-1"]
    assert len({node.region for node in nodes}) == 3
    assert [node.simulated for node in nodes] == [False, False, True]


def test_log_lines() -> None:
    """A log line is its time, its text with blanks, and whether it is whole."""
    text = "T1 stdout F a b  c\nT2 stderr P part\nT3 stdout F \n"
    lines = [(line.time, line.text, line.whole) for line in parse_lines(text)]
    assert lines == [("T1", "a b  c", True), ("T2", "part", False), ("T3", "", True)]


def test_listeners() -> None:
    """A Service listens on its ClusterIP and on its node port; headless ones and UDP do not."""
    services = [
        {
            "metadata": {"name": "web", "namespace": "a"},
            "spec": {
                "clusterIP": "1",
                "ports": [{"port": 8080, "nodePort": 30000}, {"port": 53, "protocol": "UDP"}],
            },
        },
        {
            "metadata": {"name": "headless", "namespace": "a"},
            "spec": {"clusterIP": "None", "ports": [{"port": 1}]},
        },
        {
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "2", "ports": [{"port": 6443}]},
        },
    ]
    api = Endpoint("127.0.0.1", 6443)
    found = {(each.host, each.port): each.endpoints for each in listeners(services, [], ["node"], api)}
    assert found == {("1", 8080): (), ("node", 30000): (), ("2", 6443): (api,)}


def test_control_plane_is_closed(tmp_path: Path) -> None:
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


def test_go_version() -> None:
    """The wanted Go is the `go` line of go.mod."""
    assert wanted_version("module x\n\ngo 1.26.0\n\ngodebug default=go1.26\n") == (1, 26)
    with pytest.raises(ValueError, match="no `go` line"):
        wanted_version("module x\n")


def test_source_hash(tmp_path: Path) -> None:
    """The cache key changes with each source and with the platform, and with nothing else."""
    (tmp_path / "cmd").mkdir()
    for name in ("go.mod", "go.sum", "cmd/main.go"):
        (tmp_path / name).write_text(name)
    first = source_hash(tmp_path, "linux")
    (tmp_path / "README").write_text("other")
    assert source_hash(tmp_path, "linux") == first
    assert source_hash(tmp_path, "other") != first
    (tmp_path / "cmd/main.go").write_text("changed")
    assert source_hash(tmp_path, "linux") != first
