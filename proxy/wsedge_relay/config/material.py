"""Checked certificates and keys, by the file names in a configuration."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from wsedge_relay.contract import AuthorityFile, CertificateFiles


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A checked PEM certificate chain and its key."""

    certificate: bytes
    key: bytes = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Load the chain and the key into `context`; raises ssl.SSLError when they do not match."""
        # ssl loads from files only, so the checked bytes are written to unnamed files. They are in memory
        # where the kernel supports that, because a container's root file system is read-only.
        with _nameless_file(self.certificate) as certificate, _nameless_file(self.key) as key:
            context.load_cert_chain(certificate, key, password=_no_password)


@dataclass(frozen=True, slots=True)
class Material:
    """The certificates of one RelayConfig, by their file names in it."""

    key_pairs: Mapping[tuple[str, str], KeyPair] = field(default_factory=dict)
    authorities: Mapping[str, str] = field(default_factory=dict)

    def key_pair(self, files: CertificateFiles) -> KeyPair:
        """Return the certificate and key that `files` names."""
        return self.key_pairs[files.certificateFile, files.keyFile]

    def authority(self, file: AuthorityFile) -> str:
        """Return the PEM text of the authorities that `file` names."""
        return self.authorities[file.file]


def _no_password() -> str:
    # Without this function OpenSSL would ask for the pass phrase of an encrypted key on the terminal.
    return ""


@contextmanager
def _nameless_file(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("wsedge"), "wb", buffering=0) as stream:  # noqa: PTH123  a descriptor
            stream.write(content)
            yield f"/proc/self/fd/{stream.fileno()}"
    else:
        with tempfile.NamedTemporaryFile(prefix="wsedge-") as named:  # created with mode 0600
            named.write(content)
            named.flush()
            yield named.name
