"""Volumes: current, atomic, and kept by claims."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from support.devcluster import SLEEP, Namespace, config_map, eventually, pod, python

# Prints the file's content whenever it is another one.
WATCH = """
import sys, time
last = None
while True:
    now = open(sys.argv[1]).read()
    if now != last: print(now, flush=True); last = now
    time.sleep(0.05)
"""


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    part = token.split(".")[1]
    answer: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return answer


def test_config_map_update(space: Namespace) -> None:
    """A changed ConfigMap is not seen before the pod is poked, then at once, by a single turn of a link."""
    mounts = [{"name": "config", "mountPath": "/etc/app"}]
    volumes = [{"name": "config", "configMap": {"name": "config"}}]
    space.apply(
        config_map("config", file="one"),
        pod("reads", python("main", WATCH, args=["/etc/app/file"], volumeMounts=mounts), volumes=volumes),
    )
    eventually(lambda: space.logs("reads") == "one\n")
    space.apply(config_map("config", file="two"))
    assert space.logs("reads") == "one\n"
    space.kubectl("annotate", "pod", "reads", "wsedge.io/generation=2")
    eventually(lambda: space.logs("reads") == "one\ntwo\n")


def test_projected_token(space: Namespace) -> None:
    """A projected token has its audience and is bound to the pod."""
    source = {
        "serviceAccountToken": {"path": "token", "audience": "wsedge-statistics", "expirationSeconds": 600}
    }
    mounts = [{"name": "token", "mountPath": "/token"}]
    code = "import sys; print(open(sys.argv[1]).read(), flush=True); import signal; signal.pause()"
    container = python("main", code, args=["/token/token"], volumeMounts=mounts)
    space.apply(pod("bound", container, volumes=[{"name": "token", "projected": {"sources": [source]}}]))
    found = claims(eventually(lambda: space.logs("bound")))
    assert found["aud"] == ["wsedge-statistics"]
    assert found["kubernetes.io"]["pod"]["uid"] == space.get("pod", "bound")["metadata"]["uid"]
    assert found["exp"] - time.time() < 610


def test_stateful_set_keeps_data(space: Namespace) -> None:
    """A StatefulSet's claim is bound by the local provisioner, and its data survives the pod."""
    code = "import sys; f = open(sys.argv[1], 'a+'); f.write('x'); f.seek(0); print(f.read(), flush=True); "
    code += "f.close(); "
    mounts = [{"name": "data", "mountPath": "/data"}]
    labels = {"app": "keeper"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    template = pod("", python("main", code + SLEEP, args=["/data/file"], volumeMounts=mounts), labels=labels)
    template["metadata"] = {"labels": labels}
    space.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "keeper"},
            "spec": {
                "serviceName": "keeper",
                "selector": {"matchLabels": labels},
                "template": {"metadata": template["metadata"], "spec": template["spec"]},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
            },
        }
    )
    eventually(lambda: "x\n" in space.logs("keeper-0"))
    space.kubectl("delete", "pod", "keeper-0")
    eventually(lambda: "xx\n" in space.logs("keeper-0"))
    volume = space.get("pvc", "data-keeper-0")["spec"]["volumeName"]
    folder = space.cluster.directory / "volumes" / volume
    assert (folder / "file").read_text() == "xx"
    space.kubectl("delete", "statefulset", "keeper")
    space.kubectl("delete", "pvc", "data-keeper-0")
    eventually(lambda: not folder.exists())
