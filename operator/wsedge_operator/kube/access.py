"""Where the API server is, and as whom to talk to it: `KUBECONFIG` if set, else the pod's ServiceAccount.

One `Configuration` serves both the kubernetes client and kopf. Credentials that change while the operator
runs (a rotated token file) are read anew: by the client before a call, by kopf when a watch is answered with
401.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import kopf
import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config import ConfigException

from wsedge_operator.errors import AccessError

# How to reach an API server, for modules that hand it on.
Access = client.Configuration


async def find_access(environ: Mapping[str, str] = os.environ) -> Access:
    """Return how to reach the API server.

    Raises AccessError when KUBECONFIG names no usable file and the process is not in a pod either.
    """
    configuration = Access()
    # The generated client carries no types.
    loader: Any = config
    try:
        if path := environ.get("KUBECONFIG"):
            await loader.load_kube_config(config_file=path, client_configuration=configuration)
        else:
            loader.load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError, yaml.YAMLError) as error:
        where = f"KUBECONFIG={path}" if path else "no KUBECONFIG, and not in a pod"
        raise AccessError(f"cannot reach an API server: {where}: {error}") from error
    token_file = _token_file(path)
    if token_file is not None:
        untyped: Any = configuration
        untyped.refresh_api_key_hook = partial(_read_token, token_file)
    # Each request is bounded by the caller's deadline, so the client shall not repeat one on its own.
    configuration.retries = False
    return configuration


def _token_file(kubeconfig: str | None) -> Path | None:
    """Return the file that the kubeconfig's current user reads the token from, if it does so."""
    if not kubeconfig:
        return None
    document = yaml.safe_load(Path(kubeconfig).read_text())
    contexts = {entry["name"]: entry["context"] for entry in document.get("contexts") or ()}
    users = {entry["name"]: entry["user"] for entry in document.get("users") or ()}
    user = users.get(contexts.get(document.get("current-context"), {}).get("user")) or {}
    return Path(kubeconfig).parent / user["tokenFile"] if user.get("tokenFile") else None


def _read_token(file: Path, configuration: Access) -> None:
    configuration.api_key["BearerToken"] = f"Bearer {file.read_text().strip()}"


async def connection_info(configuration: Access) -> kopf.ConnectionInfo:
    """Return the same access in kopf's words, with the token of this moment."""
    header = await configuration.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, token = header.rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
    )
