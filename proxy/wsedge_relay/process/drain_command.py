"""`wsedge-relay drain`: request a drain of the relay in the same pod, with the token in its secrets folder.

The environment of the pod has the relay's settings, so `kubectl exec POD -- wsedge-relay drain` needs no
argument. Exit codes: 0 when the relay drains, 1 when it rejected the request or did not answer, 2 for
wrong settings.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wsedge_relay.config.load import parse
from wsedge_relay.errors import ConfigRefusedError, PostFailedError, SettingsError, TokenUnreadableError
from wsedge_relay.metering.post import PostAnswer, post
from wsedge_relay.server.permission import read_token
from wsedge_relay.settings import Settings, read_settings

_SECONDS: Final = 10.0
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound


def main(arguments: Sequence[str]) -> int:
    """Send POST /drain, print the answer, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="wsedge-relay drain",
        description="Drain the relay of this pod: it refuses new connections and closes open ones.",
    )
    parser.add_argument("--seconds", type=float, help="length of the drain (default: each domain's own time)")
    parser.add_argument("--config", type=Path, help="the relay's configuration file (WSEDGE_RELAY_CONFIG)")
    parser.add_argument("--admin-host", help="address of the relay's admin port (WSEDGE_RELAY_ADMIN_HOST)")
    options = parser.parse_args(arguments)
    given = [
        part
        for name, value in (("--config", options.config), ("--admin-host", options.admin_host))
        if value is not None
        for part in (name, str(value))
    ]
    try:
        settings = read_settings(given)
        if settings is None:
            raise SettingsError(["no settings"])
        answer = _request_drain(settings, options.seconds)
    except (SettingsError, ConfigRefusedError, TokenUnreadableError) as error:
        print(f"wsedge-relay drain: {error}", file=sys.stderr)  # noqa: T201  for a person at a prompt
        return 2
    except PostFailedError as error:
        print(f"wsedge-relay drain: {error}", file=sys.stderr)  # noqa: T201
        return 1
    text = answer.body.decode(errors="replace").strip()
    print(text, file=sys.stdout if answer.status == 202 else sys.stderr)
    return 0 if answer.status == 202 else 1


def _request_drain(settings: Settings, seconds: float | None) -> PostAnswer:
    try:
        content = settings.config.read_bytes()
    except OSError as error:
        raise SettingsError([f"cannot read {settings.config}: {error.strerror}"]) from error
    config, _ = parse(settings.config, content)
    listen = settings.listen_of(config)
    if not listen.admin:
        raise SettingsError(
            ["listen.admin is 0, so the kernel chose the port: see `listening` in the relay's log"]
        )
    host = listen.adminHost or listen.host
    host = _WILDCARDS.get(host, host)
    authority = f"[{host}]" if ":" in host else host
    query = "" if seconds is None else f"?seconds={seconds:g}"
    token = read_token(settings.certificates)
    headers = {"Authorization": f"Bearer {token.decode()}"} if token is not None else {}
    url = f"http://{authority}:{listen.admin}/drain{query}"
    return asyncio.run(post(url, b"", headers=headers, seconds=_SECONDS))
