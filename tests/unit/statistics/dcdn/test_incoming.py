"""A request as it arrived."""

from __future__ import annotations

import pytest

from wsedge_statistics.dcdn.incoming import MAX_PARAMETERS, read_incoming
from wsedge_statistics.errors import RpcError

FORM = [(b"Content-Type", b"application/x-www-form-urlencoded")]


def test_parameters_of_query_and_form_are_one() -> None:
    """The query's alone are kept too, since ACS3 signs them apart."""
    request = read_incoming("POST", "/", FORM, b"A=1&B=a+b%20c", b"C=%E4%B8%AD&D=")
    assert request.parameters == {"A": "1", "B": "a b c", "C": "中", "D": ""}
    assert request.query == {"A": "1", "B": "a b c"}


def test_a_body_of_another_type_has_no_parameters() -> None:
    """It is signed by its digest, and not read."""
    request = read_incoming("POST", "/", [(b"content-type", b"application/json")], b"A=1", b"B=2")
    assert (request.parameters, request.body) == ({"A": "1"}, b"B=2")


REFUSED: dict[str, tuple[bytes, bytes]] = {
    "a name twice in the query": (b"A=1&A=1", b""),
    "a name in query and form": (b"A=1", b"A=2"),
    "a name twice, once in another encoding": (b"A=1&%41=2", b""),
    "bytes that are not UTF-8": (b"A=%FF", b""),
    "bytes that are not ASCII": ("A=é".encode(), b""),
    "a form that is not UTF-8": (b"", b"A=%C0%80"),
    "more parameters than any call has": (b"&".join(b"a%d=" % n for n in range(MAX_PARAMETERS + 1)), b""),
}


@pytest.mark.parametrize(("query", "form"), REFUSED.values(), ids=REFUSED.keys())
def test_what_two_readers_could_read_differently_is_refused(query: bytes, form: bytes) -> None:
    """A proxy before this program may have checked the other value."""
    with pytest.raises(RpcError) as caught:
        read_incoming("POST", "/", FORM, query, form)
    assert (caught.value.status, caught.value.code) == (400, "InvalidParameter")


def test_as_many_parameters_as_allowed_pass() -> None:
    """The bound itself."""
    query = b"&".join(b"a%d=" % n for n in range(MAX_PARAMETERS))
    assert len(read_incoming("GET", "/", [], query, b"").parameters) == MAX_PARAMETERS


@pytest.mark.parametrize("name", [b"Authorization", b"X-Acs-Action", b"Host"])
def test_a_header_that_decides_is_given_once(name: bytes) -> None:
    """Others are joined, as HTTP has it."""
    with pytest.raises(RpcError, match="more than once"):
        read_incoming("POST", "/", [(name, b"a"), (name.lower(), b"b")], b"", b"")
    assert read_incoming("POST", "/", [(b"Accept", b" a"), (b"accept", b"b ")], b"", b"").headers == {
        "accept": "a,b"
    }


FORMATS: dict[str, tuple[bytes, bytes, bool]] = {
    "nothing": (b"", b"*/*", False),
    "JSON": (b"Format=JSON", b"", True),
    "json in small letters": (b"Format=json", b"", True),
    "XML": (b"Format=XML", b"application/json", False),
    "another word": (b"Format=yaml", b"application/json", False),
    "a new SDK's Accept": (b"", b"application/json", True),
}


@pytest.mark.parametrize(("query", "accept", "is_json"), FORMATS.values(), ids=FORMATS.keys())
def test_the_answer_has_the_form_that_is_asked_for(query: bytes, accept: bytes, is_json: bool) -> None:
    """XML is the default of the original."""
    assert read_incoming("GET", "/", [(b"Accept", accept)], query, b"").wants_json is is_json
