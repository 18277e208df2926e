"""The cluster's keys: fetches, and outages of the API server."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from support.statistics.cluster import Signer
from wsedge_devcluster.machine.ranges import reserve_port
from wsedge_statistics.errors import KeysUnavailableError, TokenRefusedError
from wsedge_statistics.identity.jwks import REFRESH_SECONDS, RETRY_SECONDS, KeyServer, KeySet, parse_keys

FIRST, SECOND = Signer("first"), Signer("second", algorithm="ES256")


class Publisher:
    """An API server in memory, and a clock."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.down = False
        self.fetches = 0
        self.now = 0.0
        self.keys = KeySet(self.fetch, monotonic=lambda: self.now)

    def fetch(self) -> bytes:
        self.fetches += 1
        if self.down:
            raise ConnectionRefusedError("down")
        return json.dumps({"keys": [signer.published for signer in self.signers]}).encode()


async def test_keys_are_fetched_once_and_retained() -> None:
    """The first token leads to a fetch, later tokens do not."""
    publisher = Publisher(FIRST, SECOND)
    for _ in range(3):
        assert (await publisher.keys.key("first")).key_id == "first"
        assert (await publisher.keys.key("second")).algorithm_name == "ES256"
    assert publisher.fetches == 1


async def test_an_unknown_id_leads_to_one_fetch_per_retry_seconds() -> None:
    """A rotated key is found; invented ids cost one fetch per RETRY_SECONDS."""
    publisher = Publisher(FIRST)
    await publisher.keys.key("first")
    publisher.signers.append(SECOND)
    for _ in range(20):
        with pytest.raises(TokenRefusedError, match="does not publish"):
            await publisher.keys.key("second")
    assert publisher.fetches == 1
    publisher.now += RETRY_SECONDS
    assert (await publisher.keys.key("second")).key_id == "second"
    assert publisher.fetches == 2


async def test_known_keys_are_retained_while_the_server_is_down() -> None:
    """However long the outage, known keys verify; an unknown key is neither accepted nor rejected."""
    publisher = Publisher(FIRST)
    await publisher.keys.key("first")
    publisher.down = True
    publisher.now += 100 * REFRESH_SECONDS
    assert (await publisher.keys.key("first")).key_id == "first"
    with pytest.raises(KeysUnavailableError):
        await publisher.keys.key("second")


async def test_an_unchanged_set_is_logged_once() -> None:
    """A refresh with the same keys leaves no line."""
    publisher = Publisher(FIRST)
    with capture_logs() as logged:
        await publisher.keys.key("first")
        publisher.now += REFRESH_SECONDS + 1
        await publisher.keys.key("first")
    assert publisher.fetches == 2
    assert [(line["event"], line["ids"]) for line in logged] == [("keys fetched", ["first"])]


def test_a_public_key_server_gets_no_token() -> None:
    """Without a token file the request has no Authorization header; a closed port is an OSError."""
    with reserve_port("127.0.0.1") as holder, pytest.raises(OSError, match="refused"):
        KeyServer(f"https://127.0.0.1:{holder.getsockname()[1]}/").fetch()


async def test_a_key_that_is_published_no_longer_is_forgotten() -> None:
    """After REFRESH_SECONDS the set is fetched anew."""
    publisher = Publisher(FIRST, SECOND)
    await publisher.keys.key("first")
    publisher.signers.remove(FIRST)
    publisher.now += REFRESH_SECONDS + 1
    with pytest.raises(TokenRefusedError):
        await publisher.keys.key("first")


async def test_before_the_first_fetch_tokens_are_neither_accepted_nor_rejected() -> None:
    """A start without the API server recovers by itself."""
    publisher = Publisher(FIRST)
    publisher.down = True
    with pytest.raises(KeysUnavailableError):
        await publisher.keys.key("first")
    publisher.down = False
    publisher.now += RETRY_SECONDS
    await publisher.keys.key("first")


class Blackhole(Publisher):
    """An API server that accepts the connection and does not answer before the timeout."""

    def __init__(self, *signers: Signer) -> None:
        super().__init__(*signers)
        self.silent = False
        self.over = threading.Event()

    def fetch(self) -> bytes:
        if self.silent:
            self.over.wait(30)
            self.now += RETRY_SECONDS + 3
            self.down = True
        return super().fetch()


async def test_known_keys_do_not_wait_for_a_silent_server() -> None:
    """One request fetches; the others are served at once with the known keys."""
    publisher = Blackhole(FIRST)
    await publisher.keys.key("first")
    publisher.now += REFRESH_SECONDS + 1
    publisher.silent = True
    trying = asyncio.create_task(publisher.keys.key("first"))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        for _ in range(3):
            assert (await publisher.keys.key("first")).key_id == "first"
        assert not trying.done()
        publisher.over.set()
        assert (await trying).key_id == "first"
    assert publisher.fetches == 2


async def test_a_silent_server_is_tried_once_for_all_waiting_requests() -> None:
    """Requests that waited for a failed fetch fail with it; they do not each start another."""
    publisher = Blackhole(FIRST)
    publisher.silent = True
    waiting = [asyncio.create_task(publisher.keys.key("first")) for _ in range(5)]
    await asyncio.sleep(0)
    publisher.over.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeysUnavailableError] * 5
    assert publisher.fetches == 1


def test_an_own_token_that_cannot_be_sent_is_not_disclosed(tmp_path: Path) -> None:
    """The error of a token file with two lines names the file, not its content."""
    file = tmp_path / "token"
    file.write_text("secret-one\nsecret-two\n")
    with pytest.raises(ValueError, match="does not contain a token") as refused:
        KeyServer("https://127.0.0.1:1/", token_file=file).fetch()
    assert "secret" not in str(refused.value)


UNUSABLE = {
    "a symmetric key": {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
    "a key for encryption": {**FIRST.published, "use": "enc"},
    "another algorithm": {**FIRST.published, "alg": "RS512"},
    "a key without an id": {name: value for name, value in FIRST.published.items() if name != "kid"},
    "a broken key": {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "x"},
    "an algorithm that is no text": {**FIRST.published, "alg": ["RS256"]},
    "no key": "hello",
}


@pytest.mark.parametrize("entry", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_keys_are_skipped(entry: object) -> None:
    """An unusable entry does not affect the others."""
    assert list(parse_keys(json.dumps({"keys": [entry, SECOND.published]}).encode())) == ["second"]


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": {}}', b"{", b"\xff"])
def test_a_document_that_is_no_key_set_is_an_error(document: bytes) -> None:
    """The caller retains its keys."""
    with pytest.raises(ValueError, match=r"."):
        parse_keys(document)
