"""Pods look and behave as on a kubelet."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from support.devcluster import EXAMPLES_IMAGE, SLEEP, WEB, Namespace, config_map, eventually, pod, python
from wsedge_devcluster.cluster.cluster import Cluster


def test_nodes_ready(cluster: Cluster) -> None:
    """Two nodes are Ready, in two regions."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    ready = [c["status"] for node in nodes for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True", "True"]
    assert len({node["metadata"]["labels"]["topology.kubernetes.io/region"] for node in nodes}) == 2


def test_environment_and_arguments(space: Namespace) -> None:
    """Environment from ConfigMap, Secret and resource; arguments expanded; exit code 0 is Succeeded."""
    container = python(
        "main",
        "import os, sys; print(*(os.environ[name] for name in ('A', 'B', 'C', 'X_k')), sys.argv[1:])",
        env=[
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "k"}}},
            {"name": "B", "value": "$(A)-$$(A)-$(NONE)"},
            {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        envFrom=[{"prefix": "X_", "secretRef": {"name": "secret"}}],
        args=["$(A)"],
        resources={"limits": {"memory": "64Mi"}},
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"k": "s"}}
    space.apply(config_map("config", k="v"), secret, pod("env", container, restartPolicy="Never"))
    space.wait("pod/env", "jsonpath={.status.phase}=Succeeded")
    assert space.logs("env") == "v v-$(A)-$(NONE) 64 s ['v']\n"


def test_crash_loop(space: Namespace) -> None:
    """A process that fails again and again is in CrashLoopBackOff, with its exit code and an Event."""
    space.apply(pod("crash", python("main", "print('last words'); raise SystemExit(3)")))
    eventually(lambda: space.reason("crash") == "CrashLoopBackOff")
    state = space.state("crash")
    assert state["lastState"]["terminated"]["exitCode"] == 3
    assert state["lastState"]["terminated"]["reason"] == "Error"
    assert state["restartCount"] >= 1
    eventually(lambda: space.events("crash", "BackOff"))
    assert space.logs("crash", "--previous") == "last words\n"


def test_unknown_image(space: Namespace) -> None:
    """An image that this node does not know is ErrImagePull, then ImagePullBackOff; a known one heals it."""
    space.apply(pod("unknown", python("main", SLEEP, image="docker.io/library/nginx:1")))
    eventually(lambda: space.reason("unknown") == "ImagePullBackOff")
    eventually(lambda: any('nginx:1": not found' in text for text in space.events("unknown", "Failed")))
    space.kubectl("set", "image", "pod/unknown", f"main={EXAMPLES_IMAGE}")
    space.wait("pod/unknown", "condition=Ready")


def test_unknown_image_is_deleted(space: Namespace) -> None:
    """A pod whose image is not there ends when it is deleted, whatever it is waiting for just then."""
    names = [f"unknown-{number}" for number in range(6)]
    space.apply(*(pod(name, python("main", SLEEP, image="docker.io/library/nginx:1")) for name in names))
    eventually(lambda: all(space.reason(name) == "ImagePullBackOff" for name in names))
    space.kubectl("delete", "pod", *names, "--timeout=60s")


def test_missing_config_map_in_environment(space: Namespace) -> None:
    """A missing ConfigMap is CreateContainerConfigError; the container starts once the ConfigMap is there."""
    container = python("main", SLEEP, envFrom=[{"configMapRef": {"name": "late"}}])
    space.apply(pod("waits", container))
    eventually(lambda: space.reason("waits") == "CreateContainerConfigError")
    assert space.state("waits")["state"]["waiting"]["message"] == 'configmap "late" not found'
    space.apply(config_map("late", a="b"))
    space.wait("pod/waits", "condition=Ready")


def test_missing_config_map_in_volume(space: Namespace) -> None:
    """A missing ConfigMap volume keeps the pod in ContainerCreating with FailedMount Events, and heals."""
    mounts = [{"name": "config", "mountPath": "/etc/app"}]
    code = "import sys; print(open(sys.argv[1]).read()); import signal; signal.pause()"
    container = python("main", code, args=["/etc/app/file"], volumeMounts=mounts)
    space.apply(pod("waits", container, volumes=[{"name": "config", "configMap": {"name": "late"}}]))
    message = eventually(lambda: space.events("waits", "FailedMount"))[0]
    assert message == 'MountVolume.SetUp failed for volume "config" : configmap "late" not found'
    assert space.reason("waits") == "ContainerCreating"
    space.apply(config_map("late", file="content"))
    space.wait("pod/waits", "condition=Ready")
    eventually(lambda: "content" in space.logs("waits"))


def test_program_not_found(space: Namespace) -> None:
    """A command that does not exist is RunContainerError in the runtime's words."""
    space.apply(pod("nothing", {"name": "main", "image": EXAMPLES_IMAGE, "command": ["no-such-program"]}))
    eventually(lambda: space.reason("nothing") == "RunContainerError")
    assert "executable file not found in $PATH" in space.state("nothing")["state"]["waiting"]["message"]


def test_readiness(space: Namespace) -> None:
    """A failing readiness probe keeps the pod unready with its reason in Events; nothing is restarted."""
    probe = {"httpGet": {"port": 8001}, "periodSeconds": 1}
    space.apply(pod("unready", python("main", WEB, readinessProbe=probe)))
    message = eventually(lambda: space.events("unready", "Unhealthy"))[0]
    assert message.startswith("Readiness probe failed: Get")
    assert "connection refused" in message
    state = space.state("unready")
    assert (state["ready"], state["started"], state["restartCount"]) == (False, True, 0)


def test_liveness(space: Namespace) -> None:
    """A failing liveness probe restarts the container and says why."""
    probe: dict[str, Any] = {"exec": {"command": ["python", "-c", "raise SystemExit('broken')"]}}
    probe |= {"periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 5}
    space.apply(pod("dying", python("main", SLEEP, livenessProbe=probe)))
    eventually(lambda: space.state("dying").get("restartCount", 0) >= 1)
    assert space.state("dying")["lastState"]["terminated"]["exitCode"] == 128 + 15
    assert "Liveness probe failed: broken" in eventually(lambda: space.events("dying", "Unhealthy"))
    assert "Container main failed liveness probe, will be restarted" in space.events("dying", "Killing")


def test_startup_probe_goes_first(space: Namespace) -> None:
    """Until the startup probe has passed the container is not started, and not ready."""
    gate = "import os, sys; sys.exit(not os.path.exists(sys.argv[1]))"
    startup = {
        "exec": {"command": ["python", "-c", gate, "/gate/open"]},
        "periodSeconds": 1,
        "failureThreshold": 60,
    }
    startup["timeoutSeconds"] = 5
    volumes: dict[str, Any] = {"volumes": [{"name": "gate", "configMap": {"name": "gate", "optional": True}}]}
    mounts = [{"name": "gate", "mountPath": "/gate"}]
    space.apply(pod("slow", python("main", SLEEP, startupProbe=startup, volumeMounts=mounts), **volumes))
    eventually(lambda: space.events("slow", "Unhealthy"))
    assert space.state("slow")["started"] is False
    space.apply(config_map("gate", open="yes"))
    space.kubectl("annotate", "pod", "slow", "look=again")
    space.wait("pod/slow", "condition=Ready")
    assert space.state("slow")["started"] is True


def test_init_containers_run_in_order(space: Namespace) -> None:
    """Init containers run one after another, share an emptyDir with the container, and are Completed."""
    mounts = {"volumeMounts": [{"name": "work", "mountPath": "/scratch"}]}
    append = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    show = "import sys; print(open(sys.argv[1]).read(), flush=True); import signal; signal.pause()"
    space.apply(
        pod(
            "init",
            python("main", show, args=["/scratch/file"], **mounts),
            initContainers=[
                python("one", append, args=["/scratch/file", "1"], **mounts),
                python("two", append, args=["/scratch/file", "2"], **mounts),
            ],
            volumes=[{"name": "work", "emptyDir": {}}],
        )
    )
    space.wait("pod/init", "condition=Ready")
    eventually(lambda: space.logs("init") == "12\n")
    statuses = space.get("pod", "init")["status"]["initContainerStatuses"]
    assert [status["state"]["terminated"]["reason"] for status in statuses] == ["Completed", "Completed"]


def test_failing_init_container(space: Namespace) -> None:
    """A failing init container is retried with back-off, and the container waits in PodInitializing."""
    space.apply(pod("init", python("main", SLEEP), initContainers=[python("one", "raise SystemExit(1)")]))
    eventually(lambda: "Init:CrashLoopBackOff" in space.kubectl("get", "pod", "init"))
    assert space.reason("init") == "PodInitializing"


def test_sidecar(space: Namespace) -> None:
    """A sidecar starts before the containers, counts for readiness, and ends after a completed pod."""
    sidecar = python("side", SLEEP, restartPolicy="Always")
    space.apply(pod("job", python("main", "print('done')"), initContainers=[sidecar], restartPolicy="Never"))
    space.wait("pod/job", "jsonpath={.status.phase}=Succeeded")


def test_graceful_end(space: Namespace) -> None:
    """PreStop runs before SIGTERM; a process that ignores SIGTERM is killed after the grace period."""
    code = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('term', flush=True)); "
    code += "print('up', flush=True)\nwhile True: signal.pause()"
    hook = {
        "preStop": {
            "exec": {"command": ["python", "-c", "import os; open(os.environ['OUT'], 'w').write('pre')"]}
        }
    }
    container = python("main", code, lifecycle=hook)
    out = space.cluster.directory / "prestop"
    container["env"] = [{"name": "OUT", "value": str(out)}]
    space.apply(pod("stubborn", container, terminationGracePeriodSeconds=2))
    eventually(lambda: "up" in space.logs("stubborn"))
    uid = space.get("pod", "stubborn")["metadata"]["uid"]
    space.kubectl("delete", "pod", "stubborn")
    log = space.cluster.logs_dir / "pods" / f"{space.name}_stubborn_{uid}" / "main" / "0.log"
    assert "term" in log.read_text()
    assert out.read_text() == "pre"


def test_logs(space: Namespace) -> None:
    """`kubectl logs` follows, takes a tail, and shows timestamps."""
    code = "import time\nfor i in range(5): print('line', i, flush=True); time.sleep(0.2)"
    space.apply(pod("talks", python("main", code), restartPolicy="Never"))
    eventually(lambda: space.state("talks").get("state", {}).get("running") or space.logs("talks"))
    assert space.logs("talks", "-f").splitlines()[-1] == "line 4"
    assert space.logs("talks", "--tail=2") == "line 3\nline 4\n"
    assert space.logs("talks", "--tail=1", "--timestamps").startswith("20")


def test_simulated_pod(space: Namespace) -> None:
    """A pod with the simulation annotation is Ready without a process, whatever its image."""
    item = pod("many", {"name": "main", "image": "example.test/any:1"})
    item["metadata"]["annotations"] = {"devcluster.wsedge.io/simulated": "true"}
    space.apply(item)
    space.wait("pod/many", "condition=Ready")
    space.kubectl("delete", "pod", "many", "--timeout=60s")


def test_simulated_relay(space: Namespace) -> None:
    """A simulated relay answers for its ConfigMap; an edit reaches it when the pod is changed."""
    item = pod(
        "relay",
        {
            "name": "relay",
            "image": "example.test/any:1",
            "ports": [{"name": "admin", "containerPort": 9090}],
            "env": [{"name": "WSEDGE_RELAY_CONFIG", "value": "/etc/config/relay.json"}],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}],
        },
        volumes=[{"name": "config", "configMap": {"name": "relay"}}],
    )
    item["metadata"]["annotations"] = {"devcluster.wsedge.io/simulated": "true"}
    space.apply(config_map("relay", **{"relay.json": '{"generation": "one"}'}), item)
    space.wait("pod/relay", "condition=Ready")
    address = space.kubectl("get", "pod", "relay", "--output=jsonpath={.status.podIP}")

    def generation() -> str:
        with urllib.request.urlopen(f"http://{address}:9090/config", timeout=10) as answer:
            return str(json.load(answer)["generation"])

    assert generation() == "one"
    space.apply(config_map("relay", **{"relay.json": '{"generation": "two"}'}))
    assert generation() == "one"
    space.kubectl("annotate", "pod", "relay", "example.test/poke=1")
    eventually(lambda: generation() == "two")
    space.kubectl("delete", "pod", "relay", "--timeout=60s")
    with pytest.raises(OSError, match="refused"):
        generation()
