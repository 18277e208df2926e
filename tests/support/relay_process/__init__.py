"""Builders for tests of relay processes: configurations, certificates, a kubelet's volume."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def domain(**fields: Any) -> dict[str, Any]:
    """Return the smallest domain of a RelayConfig, with changes."""
    return {
        "domain": "chat.example.com",
        "account": "team-a",
        "originProtocol": "HTTP",
        "origins": [{"host": "127.0.0.1", "httpPort": 9}],
        **fields,
    }


def config(*domains: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a RelayConfig that listens on ports of the kernel's choice."""
    return {
        "version": 1,
        "generation": "team-a/chat@1",
        "listen": {"host": "127.0.0.1", "http": 0, "https": None, "admin": 0},
        "domains": list(domains) or [domain()],
        **fields,
    }


def write(path: Path, document: object) -> Path:
    """Write a document as JSON, atomically as an editor or `mv` does."""
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)
    return path


def certificate(name: str = "chat.example.com") -> tuple[bytes, bytes]:
    """Return a self-signed certificate of `name` and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(*contents: bytes) -> str:
    """Return the contract's fingerprint of files with these contents."""
    return hashlib.sha256(b"".join(contents)).hexdigest()


def publish(volume: Path, files: dict[str, bytes]) -> None:
    """Put files into a folder as a kubelet does: a new timestamped folder, then one swap of `..data`."""
    volume.mkdir(exist_ok=True)
    number = len(list(volume.glob("..2*")))
    folder = volume / f"..2026_11_22_{number:02d}"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        link = volume / name
        if not link.is_symlink():
            link.symlink_to(Path("..data", name))
    fresh = volume / "..data_tmp"
    fresh.symlink_to(folder.name)
    old = (volume / "..data").readlink() if (volume / "..data").is_symlink() else None
    fresh.replace(volume / "..data")
    if old is not None:
        for file in (volume / old).iterdir():
            file.unlink()
        # The folder's name stays in use, so that the next one differs.


def encoded(document: object) -> bytes:
    """Return a document as JSON bytes."""
    return json.dumps(document).encode()
