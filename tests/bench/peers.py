"""Starts the proxies that the bench measures: this relay in its forms, nginx, HAProxy and Envoy.

Each runs one worker on one core, in front of the same origin, with a port for ws and one for wss (TLS 1.3, an
ECDSA P-256 certificate). What a peer's configuration says beyond "be a WebSocket proxy" is in the texts here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sysconfig
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

PROXY_CORE, LOAD_CORE = 0, 1
HOST = "bench.example.com"
KEY = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
ENVOY_TYPES = "type.googleapis.com/envoy.extensions"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: its name in the tables, ports for ws and wss, and the process that does the work."""

    name: str
    port: int
    tls_port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return what the proxy's threads ran so far, in seconds."""
        stats = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9

    def pss_bytes(self) -> int:
        """Return the proportional set size of the process, in bytes."""
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{self.pid}/smaps_rollup").read_text(), re.MULTILINE)
        assert found is not None
        return int(found.group(1)) * 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """What every proxy is started with; `connections` is the most that any of them must hold."""

    folder: Path
    origin: int
    certificate: Path
    key: Path
    connections: int


def pinned(core: int, *command: str) -> list[str]:
    """Return the command, to run on that core alone."""
    return ["taskset", "--cpu-list", str(core), *command]


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program for the length of the block."""
    process = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate and its key; one more file, `both.pem`, has the two for HAProxy."""
    paths = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        [
            *KEY,
            "-subj",
            f"/CN={HOST}",
            "-addext",
            f"subjectAltName=DNS:{HOST}",
            "-out",
            str(paths[0]),
            "-keyout",
            str(paths[1]),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "both.pem").write_text(paths[0].read_text() + paths[1].read_text())
    return paths


def copy_of_the_relay(folder: Path, python: str, forms: Collection[str]) -> dict[str, str]:
    """Copy the relay's package, compile its pump there if asked for, return the environment to run it in.

    A copy, so that an edit during a run does not change what is measured. A Python without the relay's
    packages takes those of the Python that runs this, if both are of one version.
    """
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for part in ("proxy/wsedge_relay", "statistics/wsedge_statistics"):
        shutil.copytree(ROOT / part, folder / Path(part).name, ignore=ignore)
    paths = [str(folder)]
    if subprocess.run([python, "-c", "import pydantic"], capture_output=True).returncode:
        paths.append(sysconfig.get_path("platlib"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "WSEDGE_RELAY_LOG_FORMAT": "json"}
    if "compiled" in forms:
        build = [python, "-m", "wsedge_relay.compiled.build"]
        subprocess.run(build, env=environment, check=True, stdout=subprocess.DEVNULL)
    return environment


@contextlib.contextmanager
def relay(
    setting: Setting, name: str, *, python: str, environment: dict[str, str], form: str
) -> Iterator[Proxy]:
    """Run wsedge-relay with one domain."""
    folder = setting.folder / re.sub(r"\W+", "-", name)
    folder.mkdir()
    config = folder / "relay.json"
    domain = {
        "domain": HOST,
        "account": "bench",
        "heartbeatSeconds": 300,
        "originProtocol": "HTTP",
        "origins": [{"host": "127.0.0.1", "httpPort": setting.origin}],
        "lifecycle": {"drainSeconds": 0},
        "tls": {"certificateFile": str(setting.certificate), "keyFile": str(setting.key)},
    }
    document = {
        "version": 1,
        "generation": "bench/relay@1",
        "listen": {"host": "127.0.0.1", "http": 0, "https": 0, "admin": 0},
        "domains": [domain],
    }
    config.write_text(json.dumps(document))
    program = "from wsedge_relay.main import main; raise SystemExit(main())"
    command = pinned(PROXY_CORE, python, "-c", program, "--config", str(config), "--pump", form)
    log = folder / "log"
    with log.open("w") as stderr, running(command, stderr=stderr, env=environment) as process:
        ports = _ports(log, process)
        yield Proxy(name, ports["http"], ports["https"], process.pid)


def _ports(log: Path, process: subprocess.Popen[str]) -> dict[str, int]:
    """Return the relay's ports as its log names them."""
    ports: dict[str, int] = {}
    with log.open() as lines:
        while process.poll() is None and not {"http", "https"} <= set(ports):
            line = lines.readline()
            if '"listening"' in line:
                event = json.loads(line)
                ports[event["listener"]] = int(event["port"])
    if process.poll() is not None:
        raise SystemExit(f"the relay did not start:\n{log.read_text()}")
    return ports


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
      proxy_read_timeout 1h; proxy_send_timeout 1h; {extra}
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
  timeout connect 5s
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
static_resources:
  listeners: {listeners}
  clusters:
  - name: origins
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}]
    load_assignment:
      cluster_name: origins
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{ socket_address: {{ address: 127.0.0.1, port_value: {origin} }} }}
"""


@contextlib.contextmanager
def nginx(setting: Setting, name: str, extra: str = "") -> Iterator[Proxy]:
    """Run nginx with one worker and the configuration that its documentation gives for WebSocket."""
    folder, ports = _prepare(setting, name)
    facts = vars_of(setting) | ports | {"folder": folder, "extra": extra}
    (folder / "conf").write_text(NGINX.format(**facts, files=2 * setting.connections + 100))
    with running(pinned(PROXY_CORE, "nginx", "-p", str(folder), "-c", str(folder / "conf"))) as master:
        _wait_until_open(ports["tls_port"], master, folder)
        yield Proxy(name, **ports, pid=_worker_of(master))


@contextlib.contextmanager
def haproxy(setting: Setting, name: str, extra: str = "", options: str = "") -> Iterator[Proxy]:
    """Run HAProxy with one thread in its HTTP mode, which WebSocket needs no more than."""
    folder, ports = _prepare(setting, name)
    facts = vars_of(setting) | ports | {"folder": folder, "extra": extra, "options": options}
    (folder / "conf").write_text(HAPROXY.format(**facts))
    with (
        (folder / "log").open("w") as log,
        running(pinned(PROXY_CORE, "haproxy", "-db", "-f", str(folder / "conf")), stderr=log) as process,
    ):
        _wait_until_open(ports["tls_port"], process, folder)
        yield Proxy(name, **ports, pid=process.pid)


@contextlib.contextmanager
def envoy(setting: Setting, name: str, program: str) -> Iterator[Proxy]:
    """Run Envoy with one worker thread and upgrades of WebSocket allowed."""
    folder, ports = _prepare(setting, name)
    facts = vars_of(setting)
    plain = ENVOY_LISTENER.format(**facts, name="ws", port=ports["port"], transport="")
    tls = ENVOY_LISTENER.format(
        **facts, name="wss", port=ports["tls_port"], transport=ENVOY_TLS.format(**facts)
    )
    (folder / "envoy.yaml").write_text(ENVOY.format(**facts, listeners=plain + tls))
    command = pinned(PROXY_CORE, program, "-c", str(folder / "envoy.yaml"), "--concurrency", "1")
    command += ["--disable-hot-restart", "-l", "warning"]
    with (folder / "log").open("w") as log, running(command, stderr=log) as process:
        _wait_until_open(ports["tls_port"], process, folder)
        yield Proxy(name, **ports, pid=process.pid)


def vars_of(setting: Setting) -> dict[str, object]:
    """Return the setting's values by name, for the texts of the configurations."""
    names = ("origin", "certificate", "key", "connections")
    return {"types": ENVOY_TYPES} | {name: getattr(setting, name) for name in names}


def _prepare(setting: Setting, name: str) -> tuple[Path, dict[str, int]]:
    """Make a proxy's folder and find it two ports that were free a moment ago."""
    folder = setting.folder / re.sub(r"\W+", "-", name)
    folder.mkdir()
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return folder, {"port": one.getsockname()[1], "tls_port": other.getsockname()[1]}


def _wait_until_open(port: int, process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until something accepts on the port."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    texts = (file.read_text() for file in sorted(folder.glob("*log")))
    raise SystemExit(f"{folder.name} did not start:\n{''.join(texts)}")


def _worker_of(master: subprocess.Popen[str]) -> int:
    """Return the process id of nginx's one worker; the master listens a moment before it forks."""
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    while master.poll() is None:
        if workers := children.read_text().split():
            return int(workers[0])
    raise SystemExit("nginx ended")


Start = Callable[[Setting], contextlib.AbstractContextManager[Proxy]]


def peers(envoy_program: str | None) -> dict[str, Start]:
    """Return how to start each peer that is installed, by a short name, nginx first."""
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
