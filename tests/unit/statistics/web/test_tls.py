"""The certificate of a listener, from files that change."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from support.statistics.cluster import certificate
from wsedge_statistics.web.tls import Certificate


@pytest.fixture
def pair(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")


def write(pair: Certificate, chain: bytes, key: bytes) -> None:
    """Replace both files, as a kubelet does."""
    for file, content in ((pair.chain, chain), (pair.key, key)):
        fresh = file.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(file)


def served(pair: Certificate) -> bytes | None:
    """Return the certificate that a new connection gets; None when the handshake fails."""
    ours, theirs = socket.socketpair()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    def serve() -> None:
        try:
            with pair.context.wrap_socket(ours, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(theirs) as secured:
            return secured.getpeercert(binary_form=True)
    except OSError:
        return None
    finally:
        theirs.close()
        thread.join()


def test_a_changed_certificate_is_served_from_then_on(pair: Certificate) -> None:
    """And nothing is loaded while the files stay."""
    first, second = certificate(), certificate()
    write(pair, *first)
    pair.load_if_changed()
    assert served(pair) == ssl.PEM_cert_to_DER_cert(first[0].decode())
    write(pair, *second)
    assert served(pair) == ssl.PEM_cert_to_DER_cert(first[0].decode())
    pair.load_if_changed()
    assert served(pair) == ssl.PEM_cert_to_DER_cert(second[0].decode())


def test_what_cannot_be_loaded_leaves_the_last_in_force(pair: Certificate) -> None:
    """A key of another certificate, half a file, no file."""
    chain, key = certificate()
    write(pair, chain, key)
    pair.load_if_changed()
    kept = served(pair)
    assert kept is not None
    write(pair, certificate()[0], key)
    pair.load_if_changed()
    assert served(pair) == kept
    write(pair, b"-----BEGIN", key)
    pair.load_if_changed()
    assert served(pair) == kept
    pair.chain.unlink()
    pair.load_if_changed()
    assert served(pair) == kept


def test_without_files_handshakes_fail_until_they_are_there(pair: Certificate) -> None:
    """Nothing is raised."""
    pair.load_if_changed()
    assert served(pair) is None
    write(pair, *certificate())
    pair.load_if_changed()
    assert served(pair) is not None


def test_a_file_that_was_tried_is_not_tried_again(pair: Certificate) -> None:
    """It is looked at six times a minute, and a broken one is told once."""
    write(pair, b"broken", b"broken")
    with capture_logs() as told:
        for _ in range(3):
            pair.load_if_changed()
    assert [each["event"] for each in told] == ["certificate not loaded"]
