"""Configurations of HAProxy and nginx for the routes of an entrance, and their processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.clients.tools import unavailable
from support.operator.cluster import until

NGINX_STREAM: Final = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

_HAPROXY: Final = """
global
  nbthread 1
defaults
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
"""
_HAPROXY_HTTP: Final = """
frontend {name}
  mode http
  bind {address}:{port} {tls}
  http-request del-header X-Forwarded-For
  http-request del-header Forwarded
  option forwardfor
  default_backend {name}
backend {name}
  mode http
  source {address}
  server one {target} {header}
"""
_HAPROXY_TCP: Final = """
frontend {name}
  mode tcp
  bind {address}:{port}
  tcp-request inspect-delay 10s
  tcp-request content accept if {{ req_ssl_hello_type 1 }}
  use_backend {name} if {{ req_ssl_sni -i {host} }}
backend {name}
  mode tcp
  source {address}
  server one {target} {header}
"""
_HAPROXY_BALANCER: Final = """
listen {name}
  mode tcp
  bind {address}:{port}
  source {address}
  server one {target} {header}
"""
_NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
load_module {stream};
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  proxy_http_version 1.1; proxy_read_timeout 1h; proxy_send_timeout 1h;
  {http}
}}
stream {{ {tcp} }}
"""
_NGINX_HTTP: Final = """
  server {{
    listen {address}:{port} {tls};
    server_name {host};
    location / {{
      proxy_pass http://{target}; proxy_bind {address};
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Forwarded "";
    }}
  }}
"""
_NGINX_TCP: Final = """
  map $ssl_preread_server_name $to_{name} {{ {host} {target}; }}
  server {{
    listen {address}:{port}; ssl_preread on;
    proxy_pass $to_{name}; proxy_bind {address}; proxy_timeout 1h; {header}
  }}
"""


@dataclass(frozen=True)
class Route:
    """One listener of a proxy and its target, with the PROXY header's version that the target expects.

    `certificate` is a PEM file of a chain and its key: TLS ends here. `by_name`: TLS passes, to the target of
    the name in its handshake. Neither: HTTP, or with `tcp` whatever comes.
    """

    port: int
    host: str
    target: tuple[str, int]
    proxy_protocol: int | None = None
    certificate: Path | None = None
    by_name: bool = False
    tcp: bool = False

    def facts(self, name: str, address: str) -> dict[str, object]:
        """Return what the templates of both proxies name."""
        where = f"{self.target[0]}:{self.target[1]}"
        return {"name": name, "address": address, "port": self.port, "host": self.host, "target": where}


def haproxy(folder: Path, address: str, routes: Sequence[Route]) -> list[str | Path]:
    """Write a configuration of HAProxy; return the command."""
    parts = [_HAPROXY]
    for number, route in enumerate(routes):
        text = _HAPROXY_BALANCER if route.tcp else _HAPROXY_TCP if route.by_name else _HAPROXY_HTTP
        header = {None: "", 1: "send-proxy", 2: "send-proxy-v2"}[route.proxy_protocol]
        tls = f"ssl crt {route.certificate}" if route.certificate else ""
        parts.append(text.format(**route.facts(f"route{number}", address), header=header, tls=tls))
    path = folder / "haproxy.cfg"
    path.write_text("".join(parts))
    return [_program("haproxy"), "-f", path]


def nginx(folder: Path, address: str, routes: Sequence[Route]) -> list[str | Path]:
    """Write a configuration of nginx; return the command. It knows version 1 of the PROXY header alone."""
    if not NGINX_STREAM.exists():
        unavailable(f"there is no {NGINX_STREAM}: make test-tools installs it")
    http, tcp = "", ""
    for number, route in enumerate(routes):
        assert route.proxy_protocol in {None, 1}, "nginx sends no such header"
        facts = route.facts(f"route{number}", address)
        if route.by_name:
            header = "proxy_protocol on;" if route.proxy_protocol else ""
            tcp += _NGINX_TCP.format(**facts, header=header)
        else:
            pem = route.certificate
            tls = f"ssl; ssl_certificate {pem}; ssl_certificate_key {pem}" if pem else ""
            http += _NGINX_HTTP.format(**facts, tls=tls)
    path = folder / "nginx.conf"
    path.write_text(_NGINX.format(folder=folder, stream=NGINX_STREAM, http=http, tcp=tcp))
    return [_program("nginx"), "-p", folder, "-c", path]


PROXIES: Final = {"haproxy": haproxy, "nginx": nginx}


class Proxy:
    """A process of HAProxy or nginx at an address, which also is its own address towards its targets."""

    def __init__(self, kind: str, folder: Path, address: str, variables: Mapping[str, str]) -> None:
        self.address = address
        self._prepare = PROXIES[kind]
        self._folder, self._variables = folder, variables
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self, routes: Sequence[Route]) -> None:
        """Serve exactly these routes, in a new process."""
        self.stop()
        self._folder.mkdir(exist_ok=True)
        command = self._prepare(self._folder, self.address, routes)
        log = self._folder / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **self._variables}
            )
        self._process = process
        ports = [route.port for route in routes]
        until("the proxy listens", lambda: process.poll() is not None or all(map(self._open, ports)))
        assert process.poll() is None, log.read_text()

    def stop(self) -> None:
        """End the process and its connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _open(self, port: int) -> bool:
        try:
            socket.create_connection((self.address, port), timeout=5).close()
        except OSError:
            return False
        return True


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return path or unavailable(f"there is no {name!r}: make test-tools installs it")
