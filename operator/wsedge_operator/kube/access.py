"""The API server's address and the credentials for it: `KUBECONFIG` if set, else the pod's ServiceAccount.

A token in a file, which a kubelet replaces every hour, is read again before each call.

A kubeconfig is parsed as kubectl does it (several files, the first entry of a name wins, a path is relative
to its file), except for entries that run a program or impersonate another user: `kubectl proxy` supports
these, and its address is a server like any other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from wsedge_operator.errors import AccessError
from wsedge_operator.kube.connection import Connection

# The kubelet mounts token and CA certificate here in every cluster.
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_UNSUPPORTED: Final = (
    ("cluster", ("tls-server-name",)),
    ("user", ("exec", "auth-provider", "as", "as-uid", "as-groups", "as-user-extra")),
)


@dataclass(frozen=True, slots=True)
class Access:
    """The address of an API server and the credentials for it.

    `connection` has everything except a token in a file, which `token_file` names.
    """

    connection: Connection
    token_file: Path | None = None

    def current(self) -> Connection:
        """Return the connection with the current token; raises AccessError when its file cannot be read."""
        if self.token_file is None:
            return self.connection
        try:
            token = self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccessError(f"cannot read the token for the API server: {error}") from error
        return replace(self.connection, token=token)


def find_access(environ: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT) -> Access:
    """Return the access to the API server.

    Raises AccessError when KUBECONFIG names no usable file and the process is not in a pod either.
    """
    if paths := environ.get("KUBECONFIG"):
        try:
            return _of_kubeconfig([Path(path) for path in paths.split(os.pathsep) if path])
        except (AccessError, OSError, ValueError, yaml.YAMLError) as error:
            raise AccessError(f"cannot reach an API server: KUBECONFIG={paths}: {error}") from error
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token_file, ca_file = account / "token", account / "ca.crt"
    if not (host and port and token_file.exists() and ca_file.exists()):
        raise AccessError(
            "cannot reach an API server: no KUBECONFIG is set, and no ServiceAccount's token is mounted"
            f" (KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, {token_file}, {ca_file})"
        )
    # By address, as client-go does: the operator may start before the cluster's DNS.
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return Access(Connection(server=server, ca_path=str(ca_file)), token_file)


def _of_kubeconfig(files: list[Path]) -> Access:
    current, found = "", _Entries({}, {}, {})
    for file in files:
        document = yaml.safe_load(file.read_text())
        if not isinstance(document, dict):
            raise AccessError(f"{file} is no kubeconfig")
        current = current or document.get("current-context") or ""
        found.add(document, file.parent)
    context = _entry(found.contexts, "context", current)
    cluster = _entry(found.clusters, "cluster", context.get("cluster"))
    user = _entry(found.users, "user", context.get("user")) if context.get("user") else {}
    for (what, fields), entry in zip(_UNSUPPORTED, (cluster, user), strict=True):
        if unsupported := [field for field in fields if entry.get(field)]:
            raise AccessError(
                f"{what} has {', '.join(unsupported)}, which the operator does not support: run `kubectl"
                " proxy` and use its address as the server of a kubeconfig without user"
            )
    if not cluster.get("server"):
        raise AccessError(f"cluster {context.get('cluster')!r} has no server")
    token_file = user.get("tokenFile")
    return Access(
        Connection(
            server=str(cluster["server"]).rstrip("/"),
            ca_path=_unless_data(cluster, "certificate-authority"),
            ca_data=cluster.get("certificate-authority-data"),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            proxy_url=cluster.get("proxy-url"),
            username=user.get("username"),
            password=user.get("password"),
            token=user.get("token"),
            certificate_path=_unless_data(user, "client-certificate"),
            certificate_data=user.get("client-certificate-data"),
            private_key_path=_unless_data(user, "client-key"),
            private_key_data=user.get("client-key-data"),
            # As kubectl does: an API server outside of this network may need HTTPS_PROXY and NO_PROXY.
            trust_env=True,
        ),
        Path(token_file) if token_file else None,
    )


@dataclass(frozen=True, slots=True)
class _Entries:
    """The entries of all files of a kubeconfig by name; the first entry of a name wins."""

    contexts: dict[str, dict[str, Any]]
    clusters: dict[str, dict[str, Any]]
    users: dict[str, dict[str, Any]]

    def add(self, document: Mapping[str, Any], folder: Path) -> None:
        """Add the entries of one file in `folder`, with paths relative to it made absolute."""
        for plural, into in (("contexts", self.contexts), ("clusters", self.clusters), ("users", self.users)):
            for entry in document.get(plural) or ():
                if not isinstance(entry, dict) or "name" not in entry:
                    raise AccessError(f"an entry of {plural} has no name")
                content = dict(entry.get(plural.removesuffix("s")) or {})
                for field in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                    if content.get(field):
                        content[field] = str(folder / content[field])
                into.setdefault(entry["name"], content)


def _entry(entries: Mapping[str, dict[str, Any]], kind: str, name: object) -> dict[str, Any]:
    if not isinstance(name, str) or name not in entries:
        raise AccessError(f"there is no {kind} {name!r}")
    return entries[name]


def _unless_data(entry: Mapping[str, Any], field: str) -> str | None:
    """Return the path in `field`; None where the entry has the data itself, which precede it."""
    return None if entry.get(f"{field}-data") else entry.get(field)
