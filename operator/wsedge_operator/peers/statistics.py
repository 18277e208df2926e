"""HTTP to the statistics: resolve their address, PUT the Directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import aiohttp

from wsedge_operator.errors import NotFoundError, RefusedError, UnreachableError
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import SERVICE
from wsedge_statistics.contract import DIRECTORY_PATH, Directory

PUT_SECONDS: Final = 10.0
_MAX_LOGGED: Final = 500  # bytes of a refusal's body


async def find_url(client: Client, service: str) -> str:
    """Return the base URL of the Service `namespace/name`, by its cluster IP; empty when it has none."""
    namespace, _, name = service.partition("/")
    try:
        live = await client.get(SERVICE, namespace, name)
    except NotFoundError:
        return ""
    return _url(live)


def _url(live: Object) -> str:
    spec = live["spec"]
    address, ports = spec.get("clusterIP"), spec.get("ports") or ()
    if address in {None, "", "None"} or not ports:
        return ""
    port = next((port["port"] for port in ports if port.get("name") == "http"), ports[0]["port"])
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"


async def put_directory(
    session: aiohttp.ClientSession, url: str, directory: Directory, *, token_file: str
) -> None:
    """PUT a Directory to the statistics at `url`, with the token in `token_file` (empty: without one).

    Raises RefusedError on 422, when a field is unknown to the statistics, UnreachableError on any other
    failure.
    """
    call = f"PUT {url}{DIRECTORY_PATH}"
    headers = {"Content-Type": "application/json"}
    try:
        if token_file:
            headers["Authorization"] = f"Bearer {_token(token_file)}"
        async with session.put(
            url + DIRECTORY_PATH,
            # A field without a value is absent, not null: statistics of the last release refuse unknown
            # fields.
            data=directory.model_dump_json(exclude_none=True).encode(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=PUT_SECONDS),
            allow_redirects=False,  # the token and the whole Directory are for this address only
        ) as answer:
            if answer.status >= 300:
                text = (await answer.content.read(_MAX_LOGGED)).decode(errors="replace")
                refused = RefusedError if answer.status == 422 else UnreachableError
                raise refused(call, f"{answer.status}: {text}")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnreachableError(call, f"{type(error).__name__}: {error}") from error


def _token(token_file: str) -> str:
    # Read for each call: the kubelet replaces the file long before the token expires.
    return Path(token_file).read_text().strip()
