"""The cluster's keys: when they are asked for, and what happens when they cannot be had."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from support.statistics.cluster import Signer
from wsedge_statistics.errors import KeysUnavailableError, TokenRefusedError
from wsedge_statistics.identity.jwks import REFRESH_SECONDS, RETRY_SECONDS, KeyServer, KeySet, parse_keys

FIRST, SECOND = Signer("first"), Signer("second", algorithm="ES256")


class Publisher:
    """What the API server would answer, and the time."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.away = False
        self.asked = 0
        self.now = 0.0
        self.keys = KeySet(self.fetch, monotonic=lambda: self.now)

    def fetch(self) -> bytes:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError("away")
        return json.dumps({"keys": [signer.published for signer in self.signers]}).encode()


async def test_keys_are_fetched_once_and_kept() -> None:
    """The first token leads to a fetch, the next ones do not."""
    publisher = Publisher(FIRST, SECOND)
    for _ in range(3):
        assert (await publisher.keys.key("first")).key_id == "first"
        assert (await publisher.keys.key("second")).algorithm_name == "ES256"
    assert publisher.asked == 1


async def test_an_unknown_id_asks_again_but_not_without_end() -> None:
    """A rotated key is found; made-up ids cost one fetch per RETRY_SECONDS."""
    publisher = Publisher(FIRST)
    await publisher.keys.key("first")
    publisher.signers.append(SECOND)
    for _ in range(20):
        with pytest.raises(TokenRefusedError, match="does not publish"):
            await publisher.keys.key("second")
    assert publisher.asked == 1
    publisher.now += RETRY_SECONDS
    assert (await publisher.keys.key("second")).key_id == "second"
    assert publisher.asked == 2


async def test_known_keys_are_kept_while_the_server_is_away() -> None:
    """However long it is away, known keys verify; unknown ones cannot be judged."""
    publisher = Publisher(FIRST)
    await publisher.keys.key("first")
    publisher.away = True
    publisher.now += 100 * REFRESH_SECONDS
    assert (await publisher.keys.key("first")).key_id == "first"
    with pytest.raises(KeysUnavailableError):
        await publisher.keys.key("second")


async def test_a_key_that_is_published_no_longer_is_forgotten() -> None:
    """After REFRESH_SECONDS the set is fetched anew."""
    publisher = Publisher(FIRST, SECOND)
    await publisher.keys.key("first")
    publisher.signers.remove(FIRST)
    publisher.now += REFRESH_SECONDS + 1
    with pytest.raises(TokenRefusedError):
        await publisher.keys.key("first")


async def test_before_the_first_fetch_nothing_can_be_judged() -> None:
    """A start without the API server refuses nobody for good."""
    publisher = Publisher(FIRST)
    publisher.away = True
    with pytest.raises(KeysUnavailableError):
        await publisher.keys.key("first")
    publisher.away = False
    publisher.now += RETRY_SECONDS
    await publisher.keys.key("first")


class Blackhole(Publisher):
    """An API server that takes the connection and says nothing until the timeout."""

    def __init__(self, *signers: Signer) -> None:
        super().__init__(*signers)
        self.silent = False
        self.over = threading.Event()

    def fetch(self) -> bytes:
        if self.silent:
            self.over.wait(30)
            self.now += RETRY_SECONDS + 3
            self.away = True
        return super().fetch()


async def test_known_keys_do_not_wait_for_a_silent_server() -> None:
    """One request tries it; the others are served at once with the keys that are known."""
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
    assert publisher.asked == 2


async def test_a_silent_server_is_tried_once_for_all_who_wait() -> None:
    """Requests that waited for a try that failed are told so, and do not each wait for one of their own."""
    publisher = Blackhole(FIRST)
    publisher.silent = True
    waiting = [asyncio.create_task(publisher.keys.key("first")) for _ in range(5)]
    await asyncio.sleep(0)
    publisher.over.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeysUnavailableError] * 5
    assert publisher.asked == 1


def test_an_own_token_that_cannot_be_sent_is_not_told(tmp_path: Path) -> None:
    """The error of a token file with two lines names the file, not what is in it."""
    file = tmp_path / "token"
    file.write_text("secret-one\nsecret-two\n")
    with pytest.raises(ValueError, match="does not hold a token") as refused:
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
def test_unusable_keys_are_passed_over(entry: object) -> None:
    """One strange entry does not spoil the others."""
    assert list(parse_keys(json.dumps({"keys": [entry, SECOND.published]}).encode())) == ["second"]


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": {}}', b"{", b"\xff"])
def test_a_document_that_is_no_key_set_is_an_error(document: bytes) -> None:
    """The old keys are kept then."""
    with pytest.raises(ValueError, match=r"."):
        parse_keys(document)
