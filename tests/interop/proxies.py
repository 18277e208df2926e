"""nginx, HAProxy and Envoy before a relay; clients reach them by HTTP/1.1."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.clients.program import DEADLINE
from support.clients.stage import Files
from support.clients.tools import unavailable
from support.relay.running import reserved

_ENVOY: Final = Path(__file__).parents[2] / ".venv-bench" / "bin" / "envoy"

_NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{ws}; listen 127.0.0.1:{wss} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{
      proxy_pass http://127.0.0.1:{target};
      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
_HAPROXY: Final = """
global
  nbthread 1
defaults
  mode http
  option forwardfor
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend clients
  bind 127.0.0.1:{ws}
  bind 127.0.0.1:{wss} ssl crt {both}
  default_backend origins
backend origins
  server one 127.0.0.1:{target} {by}
"""
_TYPES: Final = "type.googleapis.com/envoy.extensions"
_ENVOY_LISTENER: Final = """
  - name: listener-{port}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: interop
          codec_type: HTTP1
          use_remote_address: true
          upgrade_configs: [{{ upgrade_type: websocket }}]
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: origins, timeout: 0s }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": {types}.filters.http.router.v3.Router }}
{transport}"""
_ENVOY_SERVER_TLS: Final = """      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": {types}.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - certificate_chain: {{ filename: "{certificate}" }}
              private_key: {{ filename: "{key}" }}
"""
_ENVOY_CLUSTER: Final = """  clusters:
  - name: origins
    connect_timeout: 10s
    load_assignment:
      cluster_name: origins
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {target} }} }} }}
"""
_ENVOY_HTTP2: Final = """    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": {types}.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{ allow_connect: true }} }}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": {types}.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {host}
        common_tls_context: {{ alpn_protocols: ["h2"] }}
"""


@dataclass(frozen=True)
class Target:
    """Where a proxy sends requests: a port of this machine, by HTTP/2 with TLS or by HTTP/1.1 without."""

    port: int
    host: str
    http2: bool = False


@dataclass(frozen=True)
class _Place:
    folder: Path
    files: Files
    ports: dict[str, int]
    target: Target

    @property
    def facts(self) -> dict[str, object]:
        return {
            **self.ports,
            "folder": self.folder,
            "certificate": self.files.certificate,
            "key": self.files.key,
            "target": self.target.port,
            "host": self.target.host,
            "types": _TYPES,
        }


Prepare = Callable[[_Place], list[str | Path]]


def _nginx(place: _Place) -> list[str | Path]:
    conf = place.folder / "nginx.conf"
    conf.write_text(_NGINX.format(**place.facts))
    return [_program("nginx", "/usr/sbin"), "-p", place.folder, "-c", conf]


def _haproxy(place: _Place) -> list[str | Path]:
    both = place.folder / "both.pem"
    both.write_bytes(place.files.certificate.read_bytes() + place.files.key.read_bytes())
    by = "ssl verify none alpn h2 sni req.hdr(host),field(1,:)" if place.target.http2 else ""
    conf = place.folder / "haproxy.cfg"
    conf.write_text(_HAPROXY.format(**place.facts, both=both, by=by))
    return [_program("haproxy", "/usr/sbin"), "-f", conf]


def _envoy(place: _Place) -> list[str | Path]:
    if not _ENVOY.exists():
        unavailable("make bench-peers installs it")
    listeners = "".join(
        _ENVOY_LISTENER.format(
            types=_TYPES,
            port=place.ports[scheme],
            transport=_ENVOY_SERVER_TLS.format(**place.facts) if scheme == "wss" else "",
        )
        for scheme in place.ports
    )
    cluster = _ENVOY_CLUSTER + (_ENVOY_HTTP2 if place.target.http2 else "")
    conf = place.folder / "envoy.yaml"
    conf.write_text(f"static_resources:\n  listeners:{listeners}{cluster.format(**place.facts)}")
    return [_ENVOY, "-c", conf, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


PROXIES: Final[Mapping[str, Prepare]] = {"nginx": _nginx, "HAProxy": _haproxy, "Envoy": _envoy}


def _program(name: str, folder: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{folder}")
    return path or unavailable(f"there is no {name!r}: make bench-peers installs it")


@asynccontextmanager
async def proxy(name: str, files: Files, target: Target) -> AsyncIterator[dict[str, int]]:
    """Run a proxy before a target; yield its ports."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=files.folder))
    with reserved() as one, reserved() as other:
        ports = {"ws": one.getsockname()[1], "wss": other.getsockname()[1]}
    command = PROXIES[name](_Place(folder, files, ports, target))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        for port in ports.values():
            await _until_open(process, port, folder)
        yield ports
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_open(process: asyncio.subprocess.Process, port: int, folder: Path) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            assert process.returncode is None, (folder / "log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
