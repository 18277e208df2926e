"""A pod acts as its ServiceAccount, and may do what RBAC allows it."""

from __future__ import annotations

from typing import Any

from support.devcluster import Namespace, eventually, pod, python

# Lists ConfigMaps of its namespace, with the kubeconfig that stands for in-cluster files.
LIST = """
import asyncio
from kubernetes.aio import client, config
async def main():
    await config.load_kube_config()
    async with client.ApiClient() as api:
        try:
            found = await client.CoreV1Api(api).list_namespaced_config_map(NAMESPACE)
            print("found", len(found.items))
        except client.ApiException as error:
            print(error.status, error.reason)
asyncio.run(main())
"""


def listing(space: Namespace, name: str, **spec: Any) -> dict[str, object]:
    code = f"NAMESPACE = {space.name!r}\n{LIST}"
    return pod(name, python("main", code), serviceAccountName="reader", restartPolicy="Never", **spec)


def test_forbidden_without_a_role(space: Namespace) -> None:
    """Without a Role the API server forbids; with one it answers."""
    space.kubectl("create", "serviceaccount", "reader")
    space.apply(listing(space, "before"))
    space.wait("pod/before", "jsonpath={.status.phase}=Succeeded")
    assert space.logs("before") == "403 Forbidden\n"
    space.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    space.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={space.name}:reader")
    space.apply(listing(space, "after"))
    space.wait("pod/after", "jsonpath={.status.phase}=Succeeded")
    assert space.logs("after") == "found 1\n"  # kube-root-ca.crt


def test_no_token_without_automount(space: Namespace) -> None:
    """automountServiceAccountToken: false leaves a pod without a kubeconfig."""
    container = python("main", "import os; print(os.environ.get('KUBECONFIG'))")
    space.apply(pod("plain", container, automountServiceAccountToken=False, restartPolicy="Never"))
    eventually(lambda: space.logs("plain") == "None\n")
