"""The cookie that binds a client to an origin."""

from __future__ import annotations

from wsedge_relay.contract import StickyCookie
from wsedge_relay.policy.sticky_cookie import Sticky
from wsedge_relay.protocol.http1 import Headers

ORIGINS = ("10.0.0.7:80/443", "10.0.0.8:80/443")
NOTHING = Headers(())


def sticky(*, salt: str = "team-a/chat", origins: tuple[str, ...] = ORIGINS, **rules: object) -> Sticky:
    return Sticky(StickyCookie.model_validate(rules), origins, salt=salt)


def given_by(one: Sticky, origin: str = ORIGINS[0]) -> bytes:
    """Return name and value of the cookie for an origin."""
    ((name, value),) = one.lines(origin, named=None, secure=False, answer=NOTHING)
    assert name == b"Set-Cookie"
    return value.partition(b";")[0]


def sent(*lines: bytes) -> Headers:
    return Headers(tuple((b"Cookie", line) for line in lines))


def test_every_relay_accepts_the_cookie_of_another() -> None:
    """The value depends on the key and the origin only, not on other origins or their order."""
    for origin in ORIGINS:
        cookie = given_by(sticky(), origin)
        assert sticky(origins=ORIGINS[::-1]).chosen(sent(cookie)) == origin
    assert sticky(origins=ORIGINS[1:]).chosen(sent(given_by(sticky()))) is None


def test_the_key_makes_the_value() -> None:
    """Another key, or another domain without a key, gives other values; no value shows an address."""
    made = [
        given_by(one)
        for one in (sticky(), sticky(salt="team-b/chat"), sticky(key="k" * 16), sticky(key="l" * 16))
    ]
    assert len(set(made)) == len(made)
    assert sticky(key="k" * 16, salt="other").chosen(sent(made[2])) == ORIGINS[0]
    assert not any(b"10.0" in value for value in made)


def test_the_cookie_is_found_among_others() -> None:
    """At any place of any line; a longer name or an unknown value is ignored."""
    cookie = given_by(sticky())
    assert sticky().chosen(sent(b"a=1; " + cookie + b"; b=2")) == ORIGINS[0]
    assert sticky().chosen(sent(b"a=1", cookie)) == ORIGINS[0]
    assert sticky().chosen(sent(b"wsedge-origin=0; " + cookie)) == ORIGINS[0]
    for line in (b"x" + cookie, cookie + b"0", b"wsedge-origin", b""):
        assert sticky().chosen(sent(line)) is None


def test_origins_do_not_get_the_cookie() -> None:
    """The cookie is removed, and other cookies are unchanged."""
    cookie = given_by(sticky())
    odd = b'a="1;2" ;;b'
    assert sticky().without(sent(odd)) == sent(odd)
    assert sticky().without(sent(cookie)) == NOTHING
    assert sticky().without(sent(b"a=1; " + cookie + b";b=2")) == sent(b"a=1; b=2")
    assert sticky().without(sent(odd, b"x; " + cookie + b"; " + cookie)) == sent(odd, b"x")
    assert sticky().without(sent(b"my-" + cookie)) == sent(b"my-" + cookie)


def test_a_cookie_is_set_when_it_is_new() -> None:
    """A client that sent the cookie gets it again only if the cookie has a Max-Age."""
    assert sticky().lines(ORIGINS[0], named=ORIGINS[0], secure=False, answer=NOTHING) == []
    assert sticky().lines(ORIGINS[0], named=ORIGINS[1], secure=False, answer=NOTHING) != []
    ((_, value),) = sticky(maxAgeSeconds=60).lines(ORIGINS[0], named=ORIGINS[0], secure=False, answer=NOTHING)
    assert value.endswith(b"; Max-Age=60")
    assert sticky().lines("10.0.0.9:80/443", named=None, secure=False, answer=NOTHING) == []


def test_the_scope_is_accepted_by_browsers() -> None:
    """Over TLS also for pages of other sites; browsers reject SameSite=None without Secure."""
    ((_, plain),) = sticky(name="home").lines(ORIGINS[0], named=None, secure=False, answer=NOTHING)
    ((_, secure),) = sticky(name="home").lines(ORIGINS[0], named=None, secure=True, answer=NOTHING)
    assert plain.startswith(b"home=")
    assert plain.partition(b";")[2] == b" Path=/; HttpOnly; SameSite=Lax"
    assert secure.partition(b";")[2] == b" Path=/; HttpOnly; SameSite=None; Secure"


def test_a_public_answer_has_no_cookie() -> None:
    """A public answer gets no cookie; a private answer gets it."""
    public = Headers(((b"Cache-Control", b"max-age=1, Public"),))
    private = Headers(((b"Cache-Control", b"private"),))
    assert sticky().lines(ORIGINS[0], named=None, secure=False, answer=public) == []
    assert sticky().lines(ORIGINS[0], named=None, secure=False, answer=private) != []


def test_other_headers_stay_in_their_order() -> None:
    """Only the cookie's pair is removed."""
    cookie = given_by(sticky())
    headers = Headers(((b"Host", b"a"), (b"Cookie", b"x=1; " + cookie), (b"Origin", b"https://a")))
    assert sticky().without(headers) == Headers(
        ((b"Host", b"a"), (b"Cookie", b"x=1"), (b"Origin", b"https://a"))
    )
