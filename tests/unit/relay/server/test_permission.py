"""Authorization of orders on the admin port: the token, and loopback without one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from wsedge_relay.contract import ADMIN_TOKEN_FILE
from wsedge_relay.errors import TokenUnreadableError
from wsedge_relay.server.admin import Call
from wsedge_relay.server.permission import is_vouched_for, read_token, refusal

REMOTE, LOCAL = "192.0.2.1", "127.0.0.1"
# The content of the token file (None: no file), the peer, the header lines, the status (None: authorized).
CALLS: Final[dict[str, tuple[bytes | None, str, tuple[str, ...], int | None]]] = {
    "the token from a remote peer": (b"secret\n", REMOTE, ("Authorization: Bearer secret",), None),
    "the scheme in lower case": (b"secret", REMOTE, ("authorization: bearer  secret ",), None),
    "another token": (b"secret", LOCAL, ("Authorization: Bearer secrets",), 401),
    "another scheme": (b"secret", LOCAL, ("Authorization: Basic secret",), 401),
    "no token": (b"secret", LOCAL, (), 401),
    "two headers": (b"secret", LOCAL, ("Authorization: Bearer secret",) * 2, 401),
    "a header outside of ASCII": (b"secret", REMOTE, ("Authorization: Bearer secr\xe9t",), 401),
    "no file, from loopback": (None, LOCAL, (), None),
    "no file, from loopback over IPv6": (None, "::1", (), None),
    "no file, from a remote peer": (None, REMOTE, (), 403),
    "no file, through a proxy on this machine": (None, LOCAL, ("X-Forwarded-For: 192.0.2.1",), 403),
    "no file, through a relay on this machine": (None, LOCAL, ("CDN-Loop: wsedge",), 403),
    "the token through a proxy": (b"secret", LOCAL, ("Via: 1.1 x", "Authorization: Bearer secret"), None),
    "the token in a header of its own": (b"secret\n", REMOTE, ("wsedge-token: secret",), None),
    "another token in it": (b"secret", LOCAL, ("Wsedge-Token: secrets",), 401),
    "an empty one": (b"secret", LOCAL, ("Wsedge-Token:",), 401),
    "it twice": (b"secret", LOCAL, ("Wsedge-Token: secret",) * 2, 401),
    "a wrong one beside the right Authorization": (
        b"secret",
        LOCAL,
        ("Authorization: Bearer secret", "Wsedge-Token: wrong"),
        401,
    ),
    "it outside of ASCII": (b"secret", REMOTE, ("Wsedge-Token: secr\xe9t",), 401),
    "an empty file": (b" \n", LOCAL, (), 503),
    "a file that is too long": (b"x" * 4097, LOCAL, (), 503),
    "a file outside of ASCII": ("secr\u00e9t".encode(), LOCAL, (), 503),
}


@pytest.mark.parametrize(("content", "peer", "lines", "status"), CALLS.values(), ids=CALLS)
def test_refusal(
    content: bytes | None, peer: str, lines: tuple[str, ...], status: int | None, tmp_path: Path
) -> None:
    """The token authorizes any peer; without a token file only local programs may give orders."""
    if content is not None:
        (tmp_path / ADMIN_TOKEN_FILE).write_bytes(content)
    refused = refusal(Call({}, peer, lines), tmp_path)
    assert (refused.status if refused is not None else None) == status
    if refused is not None:
        assert refused.body.endswith(b".\n")
        assert (refused.extra == ("WWW-Authenticate: Bearer",)) is (status == 401)


def test_a_replaced_token_counts_for_the_next_order(tmp_path: Path) -> None:
    """The file is read for each order."""
    call = Call({}, REMOTE, ("Authorization: Bearer second",))
    for token, authorized in (("first", False), ("second", True)):
        (tmp_path / ADMIN_TOKEN_FILE).write_text(token)
        assert (refusal(call, tmp_path) is None) is authorized


def test_a_token_file_that_cannot_be_read_authorizes_nobody(tmp_path: Path) -> None:
    """A folder in its place is an error, not a relay without a token."""
    (tmp_path / ADMIN_TOKEN_FILE).mkdir()
    with pytest.raises(TokenUnreadableError, match="Is a directory"):
        read_token(tmp_path)
    refused = refusal(Call({}, LOCAL), tmp_path)
    assert refused is not None
    assert (refused.status, refused.body) == (503, b"The admin token cannot be read: Is a directory.\n")


VOUCHED: Final[dict[str, tuple[bytes | None, tuple[str, ...], bool]]] = {
    "the token in its header": (b"secret", ("Wsedge-Token: secret",), True),
    "another token": (b"secret", ("Wsedge-Token: other",), False),
    "the token twice": (b"secret", ("Wsedge-Token: secret",) * 2, False),
    "the token in Authorization, which a browser may have stored": (
        b"secret",
        ("Authorization: Bearer secret",),
        False,
    ),
    "no header": (b"secret", (), False),
    "a relay without a token": (None, ("Wsedge-Token: secret",), False),
    "an empty token file": (b"", ("Wsedge-Token:",), False),
}


@pytest.mark.parametrize(("content", "lines", "vouched"), VOUCHED.values(), ids=VOUCHED)
def test_is_vouched_for(content: bytes | None, lines: tuple[str, ...], vouched: bool, tmp_path: Path) -> None:
    """Only the right token in the header of its own lets a request name any host."""
    if content is not None:
        (tmp_path / ADMIN_TOKEN_FILE).write_bytes(content)
    assert is_vouched_for(Call({}, LOCAL, lines), tmp_path) is vouched
