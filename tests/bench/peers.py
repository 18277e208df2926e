"""Starts the peers of the bench: nginx, HAProxy and Envoy.

Each runs one worker on one core, in front of its own origin, with a port for ws and one for wss (TLS 1.3, an
ECDSA P-256 certificate). The configurations below show every setting of a peer. A configuration is changed as
the peer's documentation says: nginx by SIGHUP (`nginx -s reload`), HAProxy by SIGUSR2 to its master, Envoy by
a file of clusters moved into place (CDS).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy import (
    PROXY_CORE,
    TIMEOUT,
    Proxy,
    Setting,
    folder_of,
    free_ports,
    pinned,
    put,
    running,
    wait_until_open,
)

ENVOY_TYPES = "type.googleapis.com/envoy.extensions"
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{tls_port} ssl backlog=4096;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      proxy_connect_timeout {timeout}s; proxy_read_timeout 1h; proxy_send_timeout 1h; {extra}
    }}
  }}
}}
"""
NGINX_TUNED = "proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 128k;"

HAPROXY = """
global
  nbthread 1
  maxconn {connections}
  {extra}
defaults
  mode http
  timeout connect {timeout}s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  {options}
frontend clients
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{tls_port} ssl crt {folder}/../both.pem
  default_backend origins
backend origins
  server one 127.0.0.1:{origin}
"""

ENVOY_LISTENER = """
  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          stream_idle_timeout: 0s
          upgrade_configs: [{{ upgrade_type: websocket }}]
          route_config:
            validate_clusters: false
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: origins, timeout: 0s }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": {types}.filters.http.router.v3.Router }}
{transport}
"""
ENVOY_TLS = """
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": {types}.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_params: {{ tls_maximum_protocol_version: TLSv1_3 }}
            tls_certificates:
            - certificate_chain: {{ filename: "{certificate}" }}
              private_key: {{ filename: "{key}" }}
"""
ENVOY = """
node: {{ id: bench, cluster: bench }}
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }} }}
dynamic_resources: {{ cds_config: {{ path_config_source: {{ path: "{clusters}" }} }} }}
static_resources:
  listeners: {listeners}
"""
ENVOY_CLUSTERS = """
version_info: "{timeout}"
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: origins
  connect_timeout: {timeout}s
  circuit_breakers:
    thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}]
  load_assignment:
    cluster_name: origins
    endpoints:
    - lb_endpoints:
      - endpoint:
          address: {{ socket_address: {{ address: 127.0.0.1, port_value: {origin} }} }}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The folder and ports of a peer, and the names in its configuration."""

    folder: Path
    port: int
    tls_port: int
    facts: dict[str, object]


@contextlib.contextmanager
def nginx(setting: Setting, name: str, extra: str = "") -> Iterator[Proxy]:
    """Run nginx with one worker and the configuration of its documentation for WebSocket."""
    # Two per connection, and spare ones: with 1/16 or less free, nginx closes clients without a request.
    place = _place(setting, name, extra=extra, files=3 * setting.connections)
    command = ["nginx", "-p", str(place.folder), "-c", str(place.folder / "conf")]
    with _master(name, command, NGINX, place, signal.SIGHUP, tuned=bool(extra)) as proxy:
        yield proxy


@contextlib.contextmanager
def haproxy(setting: Setting, name: str, extra: str = "", options: str = "") -> Iterator[Proxy]:
    """Run HAProxy with one thread in HTTP mode, which suffices for WebSocket, under a master."""
    place = _place(setting, name, extra=extra, options=options)
    command = ["haproxy", "-W", "-f", str(place.folder / "conf")]
    with _master(name, command, HAPROXY, place, signal.SIGUSR2, tuned=bool(extra)) as proxy:
        yield proxy


@contextlib.contextmanager
def _master(
    name: str, command: list[str], text: str, place: Place, reload: signal.Signals, *, tuned: bool
) -> Iterator[Proxy]:
    """Run a proxy whose first process starts a new worker at a signal."""
    conf = place.folder / "conf"
    put(conf, text.format(**place.facts, timeout=TIMEOUT))
    log = place.folder / "log"
    with log.open("w") as stderr, running(pinned(PROXY_CORE, *command), stderr=stderr) as master:
        workers: set[int] = set()

        def change(timeout: int) -> None:
            workers.update(proxy.processes())
            put(conf, text.format(**place.facts, timeout=timeout))
            os.kill(master.pid, reload)

        def changed() -> bool:
            return not workers.issuperset(proxy.processes())

        proxy = Proxy(name, place.port, place.tls_port, master.pid, change, changed, tuned)
        wait_until_open(place.tls_port, master, place.folder)
        while len(proxy.processes()) == 1 and master.poll() is None:
            pass  # the master listens a moment before it starts its worker
        yield proxy


@contextlib.contextmanager
def envoy(setting: Setting, name: str, program: str) -> Iterator[Proxy]:
    """Run Envoy with one worker thread and WebSocket upgrades allowed."""
    place, (admin,) = _place(setting, name), free_ports(1)
    clusters, conf, log = (place.folder / file for file in ("clusters.yaml", "envoy.yaml", "log"))
    current: list[int] = []

    def change(timeout: int) -> None:
        current[:] = [timeout]
        put(clusters, ENVOY_CLUSTERS.format(**place.facts, timeout=timeout))

    def changed() -> bool:
        address = f"http://127.0.0.1:{admin}/config_dump?resource=dynamic_active_clusters"
        with urllib.request.urlopen(address, timeout=5) as answer:
            return f'"version_info": "{current[0]}"' in answer.read().decode()

    change(TIMEOUT)
    conf.write_text(ENVOY.format(admin=admin, clusters=clusters, listeners=_envoy_listeners(place)))
    command = pinned(PROXY_CORE, program, "-c", str(conf), "--concurrency", "1")
    command += ["--disable-hot-restart", "-l", "warning"]
    with log.open("w") as stderr, running(command, stderr=stderr) as process:
        wait_until_open(place.tls_port, process, place.folder)
        yield Proxy(name, place.port, place.tls_port, process.pid, change, changed)


def _envoy_listeners(place: Place) -> str:
    transport = ENVOY_TLS.format(**place.facts)
    return "".join(
        ENVOY_LISTENER.format(types=ENVOY_TYPES, name=name, port=port, transport=text)
        for name, port, text in (("ws", place.port, ""), ("wss", place.tls_port, transport))
    )


def _place(setting: Setting, name: str, **more: object) -> Place:
    """Create the proxy's folder and reserve two ports."""
    folder, (port, tls_port) = folder_of(setting, name), free_ports(2)
    names = ("origin", "certificate", "key", "connections")
    facts: dict[str, object] = {one: getattr(setting, one) for one in names}
    facts |= {"types": ENVOY_TYPES, "folder": folder, "port": port, "tls_port": tls_port}
    return Place(folder, port, tls_port, facts | more)


Start = Callable[[Setting], contextlib.AbstractContextManager[Proxy]]


def peers(envoy_program: str | None) -> dict[str, Start]:
    """Return a start function for each installed peer by a short name, nginx first."""
    starts: dict[str, Start] = {
        "nginx": lambda setting: nginx(setting, "nginx"),
        "nginx-64k": lambda setting: nginx(setting, "nginx, 64k buffers", NGINX_TUNED),
    }
    if shutil.which("haproxy"):
        starts["haproxy"] = lambda setting: haproxy(setting, "HAProxy")
        starts["haproxy-64k"] = lambda setting: haproxy(
            setting, "HAProxy, 64k, splice", "tune.bufsize 65536\n  maxpipes 32", "option splice-auto"
        )
    if envoy_program is not None:
        starts["envoy"] = lambda setting: envoy(setting, "Envoy", envoy_program)
    return starts
