"""The small HTTP client, with servers that answer well, badly, slowly or not at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.relay.running import refusing
from support.relay_process import certificate
from wsedge_relay.errors import PostFailedError
from wsedge_relay.metering.post import MAX_BODY_BYTES, PostAnswer, post


@asynccontextmanager
async def answering(
    answer: bytes, *, stay: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Run a server that reads a request with a body of "hello" and answers with these bytes."""
    done = asyncio.Event()
    calls: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        calls.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Content-Length: 5\r\n" in head
            assert b"\r\nX-Test: yes\r\n" in head
            assert await reader.readexactly(5) == b"hello"
            writer.write(answer)
            await writer.drain()
            if stay:
                await done.wait()
            writer.close()
            await writer.wait_closed()
        except OSError:
            writer.transport.abort()  # the caller had read enough

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()
        await asyncio.gather(*calls)
        await server.wait_closed()


async def asked(
    port: int, *, scheme: str = "http", seconds: float = 20, **more: ssl.SSLContext
) -> PostAnswer:
    """Send POST "hello" and return the answer."""
    url = f"{scheme}://localhost:{port}/base/path" if scheme == "https" else f"http://127.0.0.1:{port}/x"
    return await post(url, b"hello", headers={"X-Test": "yes"}, seconds=seconds, **more)


GOOD = {
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "a counted body": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", 200, b"ok"),
    "a chunked body": (
        b"HTTP/1.1 422 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        422,
        b"ok",
    ),
    "a body to the end": (b"HTTP/1.0 500 x\r\n\r\nbroken", 500, b"broken"),
    "after a 100": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n", 204, b""),
}


@pytest.mark.parametrize("case", GOOD)
async def test_an_answer_is_understood(case: str) -> None:
    """Each framing of an HTTP/1.1 body."""
    content, status, body = GOOD[case]
    async with answering(content) as port:
        answer = await asked(port)
    assert (answer.status, answer.body) == (status, body)


async def test_an_answer_counts_before_the_connection_ends() -> None:
    """A server that leaves its connection open delays nothing."""
    async with answering(b"HTTP/1.1 204 x\r\nRetry-After: 5\r\n\r\n", stay=True) as port:
        assert (await asked(port)).headers == {"retry-after": "5"}


async def test_a_huge_body_is_cut() -> None:
    """An error page cannot fill the relay's memory."""
    body = b"x" * (MAX_BODY_BYTES * 4)
    async with answering(b"HTTP/1.1 500 x\r\n\r\n" + body, stay=True) as port:
        assert len((await asked(port)).body) >= MAX_BODY_BYTES


BAD = {
    "nothing": (b"", "the connection ended before the answer did"),
    "half a head": (b"HTTP/1.1 204 No", "the connection ended before the answer did"),
    "half a body": (b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\nabc", "the connection ended before"),
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", "not an HTTP/1.1 answer"),
    "no number": (b"HTTP/1.1 abc x\r\n\r\n", "not an HTTP/1.1 answer"),
    "an endless head": (b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 20_000, "the answer's head is too large"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_broken_answer_is_an_error(case: str) -> None:
    """The error has the reason."""
    content, message = BAD[case]
    async with answering(content) as port:
        with pytest.raises(PostFailedError, match=message):
            await asked(port)


async def test_a_server_that_does_not_answer_meets_the_deadline() -> None:
    """One deadline limits the whole call."""
    async with answering(b"HTTP/1.1 2", stay=True) as port:
        with pytest.raises(PostFailedError, match=r"no answer within 0\.2 s"):
            await asked(port, seconds=0.2)


async def test_a_refused_connection_is_an_error() -> None:
    """The reason is the system's."""
    with refusing() as port, pytest.raises(PostFailedError, match="Connect call failed"):
        await asked(port)


async def test_a_user_and_password_are_in_no_error() -> None:
    """They are not used either; errors are logged."""
    with refusing() as port, pytest.raises(PostFailedError, match="Connect call failed") as failed:
        await post(f"http://user:pass@word@127.0.0.1:{port}/x@y", b"", headers={}, seconds=20)
    assert str(failed.value).startswith(f"http://127.0.0.1:{port}/x@y: ")
    # Python quotes such an authority as a whole.
    with pytest.raises(PostFailedError, match="NFKC") as failed:
        await post("http://user:password@a\u2100b/", b"", headers={}, seconds=20)
    assert "password" not in f"{failed.value!r} {failed.value}"


async def test_a_header_cannot_smuggle_another() -> None:
    """With a line break within the token file nothing is sent."""
    listening = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(PostFailedError, match="line break"):
            await post(f"http://127.0.0.1:{port}/", b"", headers={"A": "b\r\nC: d"}, seconds=5)


class TestTLS:
    """https verifies the server."""

    def contexts(self, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Return a server's context for localhost and a client's that trusts it."""
        pem, key = certificate("localhost")
        (folder / "c").write_bytes(pem)
        (folder / "k").write_bytes(key)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(folder / "c", folder / "k")
        return server, ssl.create_default_context(cadata=pem.decode())

    async def test_a_trusted_server_is_asked(self, tmp_path: Path) -> None:
        """The answer arrives over TLS."""
        server, client = self.contexts(tmp_path)
        async with answering(b"HTTP/1.1 204 x\r\n\r\n", tls=server) as port:
            assert (await asked(port, scheme="https", context=client)).status == 204

    async def test_an_unknown_authority_is_refused(self, tmp_path: Path) -> None:
        """Without a context the system's authorities are used."""
        server, _ = self.contexts(tmp_path)
        async with answering(b"HTTP/1.1 204 x\r\n\r\n", tls=server) as port:
            with pytest.raises(PostFailedError, match="certificate verify failed"):
                await asked(port, scheme="https")
