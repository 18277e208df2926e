"""The wire forms of a signed request, against a client that was written by the documents alone."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.statistics.dcdn import acs3_headers, percent, plus_form, rpc_parameters
from wsedge_statistics.dcdn.incoming import Incoming, read_incoming
from wsedge_statistics.dcdn.signatures import Signed, read_signed
from wsedge_statistics.errors import RpcError

KEY = ("LTAI5example", "a secret of the account's owner!")
ACTION = "DescribeDcdnService"

# The example of the documents of signature version 1.0, with key `testid` and secret `testsecret`.
DOCUMENTED = {
    "Format": "XML",
    "AccessKeyId": "testid",
    "Action": "DescribeRegions",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    "SignatureVersion": "1.0",
    "Version": "2014-05-26",
    "Timestamp": "2016-02-23T12:46:24Z",
    "Signature": "OLeaidS1JvxuMvnyHOwuJ+uX5qY=",
}


def incoming(
    query: Mapping[str, str] | str = "",
    *,
    form: str | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> Incoming:
    encoded = query if isinstance(query, str) else plus_form(query)
    named = dict(headers or {})
    if form is not None:
        named["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    pairs = [(name.encode(), value.encode()) for name, value in named.items()]
    return read_incoming(method, "/", pairs, encoded.encode(), (form or "").encode())


def refused(request: Incoming) -> RpcError:
    with pytest.raises(RpcError) as caught:
        read_signed(request)
    return caught.value


def test_the_example_of_the_documents_is_verified() -> None:
    """The documents print parameters, secret and signature."""
    signed = read_signed(incoming(DOCUMENTED, method="GET"))
    assert signed.matches("testsecret")
    assert not signed.matches("testsecret&")
    assert (signed.key_id, signed.action, signed.is_acs3) == ("testid", "DescribeRegions", False)
    assert signed.timestamp == datetime(2016, 2, 23, 12, 46, 24, tzinfo=UTC)
    assert signed.string_to_sign.startswith(
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format"
    )


# The example of the documents of signature version 3.
DOCUMENTED_QUERY = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
DOCUMENTED_HEADERS = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-version": "2014-05-26",
    "x-acs-date": "2023-10-26T10:22:32Z",
    "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "Authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;"
    "x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
    "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
}


def test_the_example_of_version_3_is_verified() -> None:
    """The documents print request, secret and each step."""
    signed = read_signed(incoming(DOCUMENTED_QUERY, headers=DOCUMENTED_HEADERS))
    assert signed.matches("YourAccessKeySecret")
    digest = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    assert signed.string_to_sign == f"ACS3-HMAC-SHA256\n{digest}"
    assert (signed.key_id, signed.action) == ("YourAccessKeyId", "RunInstances")


def test_all_parameters_may_be_in_a_form() -> None:
    """Query and form are signed as one; a blank value is a value."""
    pairs = rpc_parameters(ACTION, KEY, more={"DomainName": "a.example, b.example", "Empty": ""})
    form = {name: pairs.pop(name) for name in ("DomainName", "Empty")}
    signed = read_signed(incoming(pairs, form=plus_form(form)))
    assert signed.matches(KEY[1])
    assert signed.parameters["DomainName"] == "a.example, b.example"
    assert signed.parameters["Empty"] == signed.parameters["SignatureType"] == ""


def test_headers_sign_query_and_body() -> None:
    """ACS3: what SignedHeaders lists, in the order of the list."""
    query = {"DomainName": "a.example", "Odd": "* ~+/中"}
    headers = acs3_headers(ACTION, KEY, "dcdn.example:8090", query)
    signed = read_signed(incoming(query, headers=headers))
    assert signed.is_acs3
    assert signed.matches(KEY[1])
    assert (signed.key_id, signed.action, signed.version) == (KEY[0], ACTION, "2018-01-15")
    for other in ({**query, "DomainName": "b.example"}, {"Odd": query["Odd"]}, {**query, "More": ""}):
        assert not read_signed(incoming(other, headers=headers)).matches(KEY[1])
    for name in ("host", "x-acs-action", "x-acs-date", "accept"):
        changed = {**headers, name: "2026-01-01T00:00:00Z"}
        assert not read_signed(incoming(query, headers=changed)).matches(KEY[1])


def test_a_form_in_an_acs3_body_is_signed_by_its_digest() -> None:
    """Another body, or a header with the digest of another body, is another signature."""
    headers = acs3_headers(ACTION, KEY, "h", body=b"DomainName=a.example")
    signed = read_signed(incoming(form="DomainName=a.example", headers=headers))
    assert signed.matches(KEY[1])
    assert signed.parameters == {"DomainName": "a.example"}
    assert not read_signed(incoming(form="DomainName=b.example", headers=headers)).matches(KEY[1])


@given(
    pairs=st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "Signature"),
        st.text(max_size=8),
        max_size=6,
    ),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    plus=st.booleans(),
)
def test_every_encoding_of_parameters_has_one_signature(
    pairs: dict[str, str], secret: str, plus: bool
) -> None:
    """A space as plus or %20, each character bare or encoded: what is decoded is signed."""
    signing = rpc_parameters(ACTION, ("id", secret), more=pairs | _common(pairs))
    encoded = plus_form(signing) if plus else _encoded(signing)
    signed = read_signed(incoming(encoded))
    assert signed.matches(secret)
    assert dict(signed.parameters) == signing
    headers = acs3_headers(ACTION, ("id", secret), "h", pairs)
    query = plus_form(pairs) if plus else _encoded(pairs)
    assert read_signed(incoming(query, headers=headers)).matches(secret)


def _common(pairs: Mapping[str, str]) -> dict[str, str]:
    needed = {
        "Action": ACTION,
        "Version": "v",
        "AccessKeyId": "id",
        "Timestamp": "2026-01-01T00:00:00Z",
        "SignatureNonce": "n",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
    }
    return {name: value for name, value in needed.items() if name in pairs}


def _encoded(pairs: Mapping[str, str]) -> str:
    """Encode more than is needed: every byte but letters, in lower-case hexadecimal digits."""

    def quoted(text: str) -> str:
        return "".join(
            chr(byte) if chr(byte) in string.ascii_letters else f"%{byte:02x}" for byte in text.encode()
        )

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs.items())


@given(text=st.text(max_size=20))
def test_percent_encoding_is_that_of_the_standard(text: str) -> None:
    """The independent encoder and the product's agree on each string to sign."""
    signed = read_signed(incoming(rpc_parameters(ACTION, KEY, more={"Text": text})))
    assert percent(percent("Text") + "=" + percent(text)) in signed.string_to_sign


MISSING = ["Action", "Version", "AccessKeyId", "Timestamp", "SignatureNonce", "Signature"]


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.parametrize("blank", [False, True], ids=["absent", "blank"])
def test_a_missing_common_parameter_is_named(name: str, blank: bool) -> None:
    """The gateway's form: MissingAction, MissingSignature and so on."""
    pairs = rpc_parameters(ACTION, KEY)
    pairs.pop(name)
    error = refused(incoming({**pairs, name: ""} if blank else pairs))
    assert (error.status, error.code) == (400, f"Missing{name}")
    assert error.text == f"{name} is mandatory for this action."


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "another method": ({"SignatureMethod": "HMAC-SHA256"}, "IncompleteSignature"),
    "another version of the signature": ({"SignatureVersion": "2.0"}, "IncompleteSignature"),
    "a nonce without an end": ({"SignatureNonce": "n" * 129}, "IncompleteSignature"),
    "a time without its zone": ({"Timestamp": "2026-01-01T00:00:00"}, "InvalidTimeStamp.Format"),
    "a time in another zone": ({"Timestamp": "2026-01-01T00:00:00+08:00"}, "InvalidTimeStamp.Format"),
    "a day that does not exist": ({"Timestamp": "2026-02-30T00:00:00Z"}, "InvalidTimeStamp.Format"),
    "digits of another script": ({"Timestamp": "٢٠٢٦-01-01T00:00:00Z"}, "InvalidTimeStamp.Format"),
}


@pytest.mark.parametrize(("changes", "code"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_verified_is_refused(changes: dict[str, str], code: str) -> None:
    """The client is told which part it is."""
    assert refused(incoming(rpc_parameters(ACTION, KEY, more=changes))).code == code


def test_a_signature_without_its_method_is_the_only_one() -> None:
    """SignatureMethod and SignatureVersion have one value each; clients by hand leave them out."""
    pairs = rpc_parameters(ACTION, KEY)
    for name in ("SignatureMethod", "SignatureVersion"):
        pairs.pop(name)
    assert read_signed(incoming(pairs)).nonce


UNSIGNED = ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"]


@pytest.mark.parametrize("name", UNSIGNED)
def test_a_header_that_decides_must_be_signed(name: str) -> None:
    """Otherwise a reader of one request could send it again with another operation or nonce."""
    error = refused(incoming(headers=acs3_headers(ACTION, KEY, "h", leave_out=name)))
    assert error.code == "IncompleteSignature"
    assert f"{name} is not signed" in error.text
    headers = acs3_headers(ACTION, KEY, "h")
    headers.pop(name)
    assert f"{name} is missing" in refused(incoming(headers=headers)).text


@pytest.mark.parametrize("name", ["accept", "host"])
def test_other_headers_may_be_unsigned(name: str) -> None:
    """They decide nothing; SDKs differ in which of them they sign."""
    assert read_signed(incoming(headers=acs3_headers(ACTION, KEY, "h", leave_out=name))).matches(KEY[1])


AUTHORIZATIONS = {
    "the algorithm alone": "ACS3-HMAC-SHA256",
    "no signature": "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host",
    "an empty key": "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=00",
    "a comma in the list": "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,accept,Signature=00",
}


@pytest.mark.parametrize("text", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS.keys())
def test_a_malformed_authorization_is_told(text: str) -> None:
    """Its form is in the answer."""
    error = refused(incoming(headers={**acs3_headers(ACTION, KEY, "h"), "Authorization": text}))
    assert (error.code, "Credential=…" in error.text) == ("IncompleteSignature", True)


def test_another_authorization_leaves_the_parameters_in_force() -> None:
    """A proxy may add its own."""
    assert read_signed(incoming(rpc_parameters(ACTION, KEY), headers={"Authorization": "Bearer x"})).matches(
        KEY[1]
    )


@pytest.mark.parametrize("given", ["", "é", "\ud800", "x" * 5000])
def test_no_signature_breaks_the_comparison(given: str) -> None:
    """Whatever a client sends is compared and differs."""
    signed = Signed(False, "a", "v", "k", "n", datetime.now(UTC), "text", given, {})
    assert not signed.matches("secret")
