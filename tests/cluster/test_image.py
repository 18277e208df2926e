"""The image of the Dockerfile: built without Docker, and each command run in it as a cluster runs it.

A cluster sets a uid and nothing else: no entry in /etc/passwd, no HOME, no USER, and a read-only root file
system. OpenShift assigns the uid, with the group 0.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.image.base import missing
from support.image.build import building
from support.image.run import Image
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

USERS = ["65532:65532", "1000720000:0"]
COMMANDS = ["wsedge-operator", "wsedge-relay", "wsedge-statistics"]
# /var/run is a link to it.
SERVICE_ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Build the image; skip the test where it cannot be built, except in CI."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the image must be tested here: {reason}")
        pytest.skip(f"the image is not tested: {reason}")
    with building() as built:
        yield built


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    """Return the user of the command: the image's own, or one that a cluster assigns."""
    return str(request.param)


@pytest.fixture
def folder(user: str) -> Iterator[Path]:
    """Create a volume that the user owns and reaches."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        os.chown(path, *map(int, user.split(":")))
        path.chmod(0o750)
        yield path


def test_it_has_the_three_commands_and_nothing_for_a_laptop(image: Image) -> None:
    """The image has no devcluster, no Kubernetes client of the tests and no installer of packages."""
    assert image.user == USERS[0]
    ours = {file.name for file in (image.root / "opt/wsedge/bin").glob("wsedge-*")}
    assert ours == set(COMMANDS)
    names = {entry.name.partition("-")[0].lower() for entry in image.packages.iterdir()}
    assert {"wsedge", "wsedge_operator", "wsedge_relay", "wsedge_statistics", "tzdata"} <= names
    assert not names & {"wsedge_devcluster", "kubernetes", "pip", "setuptools", "pytest"}
    size = sum(file.lstat().st_size for file in image.packages.rglob("*") if not file.is_dir())
    assert size < 80 << 20


def test_its_packages_have_the_versions_of_the_lock(image: Image) -> None:
    """The installed packages, time zones included, are those of requirements.lock."""
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text()
    wanted = {
        name.replace("-", "_"): version
        for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE)
    }
    found = dict(
        path.name.removesuffix(".dist-info").split("-") for path in image.packages.glob("*.dist-info")
    )
    del found["wsedge"]
    assert found.items() <= wanted.items()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_prints_its_version(image: Image, user: str, command: str) -> None:
    """Each command starts as any user and prints its version."""
    assert image.run(user, command, "--version").startswith(f"{command} 0.1.0")


def test_the_pump_is_the_compiled_one(image: Image, user: str, folder: Path) -> None:
    """A relay in the image serves as any user, with the compiled pump."""
    config = {
        "version": 1,
        "generation": "1",
        "listen": {"host": "127.0.0.1", "http": 0, "admin": 0},
        "domains": [],
    }
    (folder / "relay.json").write_text(json.dumps(config))
    command = ("wsedge-relay", "--config=/etc/wsedge/relay.json", "--log-format=json")
    with image.start(user, *command, mounts={folder: "/etc/wsedge"}, environment={}) as relay:
        assert relay.event("pump chosen")["form"] == "compiled"
        ports = {event["listener"]: event["port"] for event in (relay.event("listening") for _ in range(2))}
        assert relay.ask(ports["admin"], "/healthz") == "ok\n"


def test_the_statistics_keep_their_ledger(image: Image, user: str, folder: Path) -> None:
    """The statistics create a ledger in their volume and answer, as any user."""
    command = ("wsedge-statistics", "--data=/var/lib/wsedge", "--listen=127.0.0.1:0", "--log-format=json")
    with image.start(user, *command, mounts={folder: "/var/lib/wsedge"}, environment={}) as statistics:
        port = statistics.event("listening")["port"]
        assert statistics.ask(port, "/readyz")
        totals = json.loads(statistics.ask(port, "/v1/traffic?timeZone=Asia/Shanghai"))
        assert totals["timeZone"] == "Asia/Shanghai"


def test_the_operator_reads_the_cluster_as_its_service_account(
    image: Image, installed: Cluster, user: str, folder: Path
) -> None:
    """With only the files that a kubelet puts into a pod, the operator lists all that it watches."""
    token = installed.kubectl("create", "token", "wsedge-operator", "--namespace", SYSTEM).strip()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(installed.ca_file.read_bytes())
    server = urlsplit(installed.server)
    environment = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        # Beside the release's own operator, which leads.
        "WSEDGE_OPERATOR_LEASE_NAME": "wsedge-operator",
        "WSEDGE_OPERATOR_NAMESPACE": SYSTEM,
        "WSEDGE_OPERATOR_LISTEN": "127.0.0.1:0",
        "WSEDGE_OPERATOR_LOG_FORMAT": "json",
    }
    mounts = {folder: SERVICE_ACCOUNT}
    with image.start(user, "wsedge-operator", mounts=mounts, environment=environment) as operator:
        port = operator.event("listening")["port"]
        assert operator.ask(port, "/readyz") == "ok\n"
