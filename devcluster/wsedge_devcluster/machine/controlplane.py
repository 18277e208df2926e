"""The command lines of etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

Pure but for the files that PKI and kubeconfigs are. Flags as tried; see docs of each component.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from wsedge_devcluster.machine.pki import Authority, Identity, kubeconfig
from wsedge_devcluster.machine.ranges import Pair

LOOPBACK = "127.0.0.1"
ISSUER = "https://kubernetes.default.svc"
# EndpointSlices refuse loopback addresses, so the node agent selects pods by label itself. The other
# controllers manage objects that are absent: cloud routes and load balancers, attached volumes, pod CIDRs.
_CONTROLLERS_OFF = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "node-ipam-controller",
    "node-route-controller",
    "service-lb-controller",
    "cloud-node-lifecycle-controller",
    "persistentvolume-attach-detach-controller",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1, chosen by the kernel."""

    etcd: int
    etcd_peer: int
    apiserver: int


@dataclass(frozen=True, slots=True)
class Files:
    """Certificates, keys and kubeconfigs of one cluster."""

    authority: Path
    server: Identity
    etcd: Identity
    to_etcd: Identity
    to_kubelet: Identity
    kubelet: Identity
    node_agent: Identity
    service_account_key: Path
    admin: Path
    controller_manager: Path
    scheduler: Path


def server_url(ports: Ports) -> str:
    """The URL at which the API server listens."""
    return f"https://{LOOPBACK}:{ports.apiserver}"


def write_files(folder: Path, ports: Ports, pair: Pair, now: dt.datetime) -> Files:
    """Issue the certificates, keys and kubeconfigs of the components, into `folder`/pki and `folder`."""
    authority = Authority(folder / "pki", now)
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local", LOOPBACK, str(pair.services[1])]

    def config(file: str, user: str, *groups: str) -> Path:
        path = folder / file
        path.touch(mode=0o600)
        path.write_text(
            kubeconfig(
                server_url(ports),
                authority.certificate,
                authority.issue(user.rsplit(":", maxsplit=1)[-1], user, groups=groups),
            )
        )
        return path

    return Files(
        authority=authority.certificate,
        server=authority.issue("apiserver", "kube-apiserver", hosts=names),
        etcd=authority.issue("etcd", "etcd", hosts=[LOOPBACK]),
        to_etcd=authority.issue("apiserver-etcd", "kube-apiserver-etcd"),
        to_kubelet=authority.issue("apiserver-kubelet", "kube-apiserver-kubelet"),
        kubelet=authority.issue("kubelet", "wsedge-node-agent", hosts=pair.nodes),
        node_agent=authority.issue("node-agent", "wsedge-node-agent", groups=["system:masters"]),
        service_account_key=authority.service_account_key(),
        admin=config("kubeconfig", "kubernetes-admin", "system:masters"),
        controller_manager=config("controller-manager.kubeconfig", "system:kube-controller-manager"),
        scheduler=config("scheduler.kubeconfig", "system:kube-scheduler"),
    )


def etcd(folder: Path, ports: Ports, files: Files, *, fsync: bool) -> list[str]:
    """Return the arguments of etcd: TLS with client certificates on both listeners."""
    client, peer = f"https://{LOOPBACK}:{ports.etcd}", f"https://{LOOPBACK}:{ports.etcd_peer}"
    arguments = [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
        "--socket-reuse-port=true",
        "--client-cert-auth=true",
        "--peer-client-cert-auth=true",
    ]
    for prefix in ("", "peer-"):
        arguments += [
            f"--{prefix}cert-file={files.etcd.certificate}",
            f"--{prefix}key-file={files.etcd.key}",
            f"--{prefix}trusted-ca-file={files.authority}",
        ]
    return arguments if fsync else [*arguments, "--unsafe-no-fsync"]


def apiserver(folder: Path, ports: Ports, files: Files, pair: Pair) -> list[str]:
    """Return the arguments of kube-apiserver: RBAC, client certificates, signed ServiceAccount tokens."""
    return [
        f"--etcd-servers=https://{LOOPBACK}:{ports.etcd}",
        f"--etcd-cafile={files.authority}",
        f"--etcd-certfile={files.to_etcd.certificate}",
        f"--etcd-keyfile={files.to_etcd.key}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.apiserver}",
        "--permit-port-sharing=true",
        f"--cert-dir={folder / 'pki'}",
        f"--tls-cert-file={files.server.certificate}",
        f"--tls-private-key-file={files.server.key}",
        f"--client-ca-file={files.authority}",
        f"--kubelet-certificate-authority={files.authority}",
        f"--kubelet-client-certificate={files.to_kubelet.certificate}",
        f"--kubelet-client-key={files.to_kubelet.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={files.service_account_key}",
        f"--service-account-signing-key-file={files.service_account_key}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-jwks-uri={server_url(ports)}/openid/v1/jwks",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={pair.services}",
        # The address of the API server is a loopback one, which an EndpointSlice cannot hold.
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
    ]


def controller_manager(files: Files) -> list[str]:
    """Return the arguments of kube-controller-manager: each controller acts as its own ServiceAccount."""
    return [
        f"--kubeconfig={files.controller_manager}",
        f"--authentication-kubeconfig={files.controller_manager}",
        f"--authorization-kubeconfig={files.controller_manager}",
        f"--service-account-private-key-file={files.service_account_key}",
        f"--root-ca-file={files.authority}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--controllers=*," + ",".join(f"-{name}" for name in _CONTROLLERS_OFF),
        # A machine of one user: the API server needs no protection from load.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def scheduler(files: Files) -> list[str]:
    """Return the arguments of kube-scheduler."""
    return [
        f"--kubeconfig={files.scheduler}",
        f"--authentication-kubeconfig={files.scheduler}",
        f"--authorization-kubeconfig={files.scheduler}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
