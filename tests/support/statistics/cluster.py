"""A cluster's part in verification: keys, tokens signed by them, and the HTTPS server that publishes them."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.statistics.build import UID
from wsedge_devcluster.machine.ranges import reserve_port

ISSUER = "https://kubernetes.default.svc.cluster.local"
API_TOKEN = "the statistics' own token"


class Signer:
    """A signing key of the cluster, RSA or elliptic."""

    def __init__(self, key_id: str, *, algorithm: str = "RS256") -> None:
        self.key_id, self.algorithm = key_id, algorithm
        self.key: Any
        if algorithm == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        else:
            self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.published = {**public, "kid": key_id, "use": "sig", "alg": algorithm}

    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return bytes(self.key.public_key().public_bytes(serialization.Encoding.PEM, form))

    def token(
        self,
        account: str = "default",
        namespace: str = "team-a",
        *,
        pod_uid: str | None = None,
        **changes: Any,
    ) -> str:
        """A token as the TokenRequest API makes it; `changes` replace claims (None removes one)."""
        now = int(time.time())
        kubernetes: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": account, "uid": "s"}}
        if pod_uid:
            kubernetes["pod"] = {"name": "chat-1", "uid": pod_uid}
        claims = {
            "iss": ISSUER,
            "aud": ["wsedge-statistics"],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "kubernetes.io": kubernetes,
        } | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.key, self.algorithm, {"kid": self.key_id})

    def relay_token(self, namespace: str = "team-a", **changes: Any) -> str:
        return self.token("chat-relay", namespace, pod_uid=UID, **changes)


class KeyServer:
    """The API server's /openid/v1/jwks, which requires the program's token and can be stopped."""

    def __init__(self, folder: Path, *signers: Signer) -> None:
        self.signers = list(signers)
        self.requests = 0
        self._folder = folder
        self._server: ThreadingHTTPServer | None = None
        self._holder = reserve_port(
            "127.0.0.1"
        )  # so that no other process gets the port while the server is stopped
        self.port = self._holder.getsockname()[1]
        published, key = certificate()
        self.ca_file, self.token_file = folder / "ca.crt", folder / "token"
        self.ca_file.write_bytes(published)
        (folder / "server.pem").write_bytes(published + key)
        self.token_file.write_text(f"{API_TOKEN}\n")

    @property
    def arguments(self) -> list[str]:
        url = f"https://127.0.0.1:{self.port}/openid/v1/jwks"
        answer = ["--issuer", ISSUER, "--jwks-url", url, "--ca-file", str(self.ca_file)]
        return [*answer, "--api-token-file", str(self.token_file)]

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                allowed = self.headers["Authorization"] == f"Bearer {outer.token_file.read_text().strip()}"
                # a real API server refuses clients that do not accept its media type
                accepted = "application/jwk-set+json" in self.headers["Accept"]
                body = json.dumps({"keys": [signer.published for signer in outer.signers]}).encode()
                self.send_response((200 if accepted else 406) if allowed else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            allow_reuse_port = True  # with the holder

        server = Server(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        """Stop, and release the port."""
        self.stop()
        self._holder.close()


@contextmanager
def key_server(folder: Path, *signers: Signer) -> Iterator[KeyServer]:
    server = KeyServer(folder, *signers)
    server.start()
    try:
        yield server
    finally:
        server.close()


def certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), secret
