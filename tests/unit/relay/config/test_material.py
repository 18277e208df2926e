"""Checked certificates: loaded into a TLS context from memory."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from support.relay_process import certificate
from wsedge_relay.config.material import KeyPair

CHAIN, KEY = certificate()


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_pair_is_loaded(in_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From memory, or from a temporary file on a system without memfd_create."""
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    KeyPair(CHAIN, KEY).load_into(context)
    assert context.cert_store_stats()["x509"] == 0  # the chain is the server's own, and no authority
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        KeyPair(CHAIN, certificate()[1]).load_into(context)


def test_no_file_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The temporary files have a private key, so they are removed at once."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    KeyPair(CHAIN, KEY).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_not_in_the_text_of_a_pair() -> None:
    """A traceback or a log line may print the pair."""
    assert "PRIVATE" not in repr(KeyPair(CHAIN, KEY))
