"""Loading a configuration: the whole is valid, or the error names each problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from support.relay_process import certificate, config, domain, fingerprint, write
from wsedge_relay.config.load import MAX_FILE_BYTES, load
from wsedge_relay.contract import RelayConfig
from wsedge_relay.errors import ConfigRefusedError

CERTIFICATE, KEY = certificate()
FILES = {"certificateFile": "tls.crt", "keyFile": "tls.key"}


def refusal(folder: Path, document: object) -> ConfigRefusedError:
    """Return the refusal of a document."""
    path = folder / "relay.json"
    if isinstance(document, bytes):
        path.write_bytes(document)
    else:
        write(path, document)
    with pytest.raises(ConfigRefusedError) as caught:
        load(path, folder)
    return caught.value


def test_the_smallest_configuration_loads(tmp_path: Path) -> None:
    """A listen address, a domain, an account and an origin are enough."""
    loaded = load(write(tmp_path / "relay.json", config()), tmp_path)
    assert loaded.config.domains[0].heartbeatSeconds == 60
    assert not loaded.material.key_pairs


def test_an_unknown_field_is_ignored_and_named(tmp_path: Path) -> None:
    """An unknown field belongs to a newer operator, or is misspelt; the other fields apply."""
    document = config(domain(heartbeat=5), later={"a": 1})
    loaded = load(write(tmp_path / "relay.json", document), tmp_path)
    assert loaded.config == load(write(tmp_path / "known.json", config(domain())), tmp_path).config
    assert loaded.unknown == ("domains.0.heartbeat", "later")


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
    "bytes that are no text": (
        b"\xff\xff\xff",
        "not JSON: 'utf-8' codec can't decode byte 0xff in position 0:",
    ),
    "nested without end": (b"[" * 100_000, "not a RelayConfig: nested too deeply"),
    "a number without end": (b"1" * 5000, "not a RelayConfig: Exceeds the limit (4300 digits)"),
    "a list": ([], "input should be an object"),
    "another version": (config(version=2), "version: input should be 1 (it is 2)"),
    # By which the admin port, which has no login, would be on every address.
    "a host that is empty": (
        config(listen={"host": "", "http": None}),
        "listen.host: string should have at least 1 character",
    ),
    "no generation": ({"version": 1}, "generation: is required"),
    # Named beside what is wrong: it may be the missing field, misspelt.
    "an unknown field instead of one that must be": (
        config({**{k: v for k, v in domain().items() if k != "originProtocol"}, "protocol": "HTTP"}),
        "domains.0.protocol: is not a field of RelayConfig",
    ),
    "a heartbeat out of bounds": (
        config(domain(heartbeatSeconds=301)),
        "domains.0.heartbeatSeconds: input should be less than or equal to 300 (it is 301)",
    ),
    "plain requests passed beside HTTP/2": (
        config(domain(tls={**FILES, "http2": True}, passThrough={})),
        "domains.0: passThrough: plain requests are not passed over HTTP/2, so tls.http2 must be off",
    ),
    "no origin protocol": (
        config({name: value for name, value in domain().items() if name != "originProtocol"}),
        "domains.0.originProtocol: is required",
    ),
    "no origin": (
        config(domain(origins=[])),
        "domains.0.origins: tuple should have at least 1 item after validation, not 0",
    ),
    "an account that is no namespace": (
        config(domain(account="Team A")),
        "domains.0.account: string should match pattern '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' (it is \"Team A\")",
    ),
    "a domain twice": (config(domain(), domain()), "domains.1.domain: chat.example.com is named twice"),
    "a statistics address that is none": (
        config(statistics={"url": "stats:8080"}),
        "statistics.url: string should match pattern '^https?://[^\\s/?#]+(/[^\\s?#]*)?$' (it is ",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_configuration_names_the_field_and_the_rule(tmp_path: Path, case: str) -> None:
    """The message names the field, the rule and the value."""
    document, message = BAD[case]
    assert any(problem.startswith(message) for problem in refusal(tmp_path, document).problems)


def test_a_cookies_key_is_not_shown(tmp_path: Path) -> None:
    """Even an invalid key is a secret, and the log and the admin port show the refusal."""
    (problem,) = refusal(
        tmp_path, config(domain(originRequest={"stickyCookie": {"key": "hunter2"}}))
    ).problems
    assert problem.startswith("domains.0.originRequest.stickyCookie.key: ")
    assert "hunter2" not in problem


def test_a_user_and_password_in_a_url_are_not_shown(tmp_path: Path) -> None:
    """The refusal shows the URL without them."""
    (problem,) = refusal(tmp_path, config(statistics={"url": "ftp://user:hunter2@stats:8080"})).problems
    assert problem.endswith('(it is "ftp://stats:8080")')


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    """The refusal has all problems, and the generation if it can be parsed."""
    refused = refusal(tmp_path, config(domain(heartbeatSeconds=0, enabled="perhaps")))
    assert len(refused.problems) == 2
    assert refused.generation == "team-a/chat@1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message has the path and the system's reason."""
    with pytest.raises(ConfigRefusedError, match=r"cannot read .*relay\.json: No such file or directory"):
        load(tmp_path / "relay.json", tmp_path)


class TestCertificates:
    """Certificates are part of the configuration."""

    def load(self, folder: Path, certificate: bytes, key: bytes, **tls: str) -> Any:
        """Return the configuration with these files as a domain's certificate."""
        (folder / "tls.crt").write_bytes(certificate)
        (folder / "tls.key").write_bytes(key)
        return load(write(folder / "relay.json", config(domain(tls={**FILES, **tls}))), folder)

    def test_a_certificate_with_its_key_is_accepted(self, tmp_path: Path) -> None:
        """The result has the checked bytes."""
        loaded = self.load(tmp_path, CERTIFICATE, KEY, fingerprint=fingerprint(CERTIFICATE, KEY))
        pair = loaded.material.key_pair(loaded.config.domains[0].tls)
        assert (pair.certificate, pair.key) == (CERTIFICATE, KEY)

    def test_a_key_is_never_shown(self, tmp_path: Path) -> None:
        """Neither a log line nor a traceback shows the key."""
        loaded = self.load(tmp_path, CERTIFICATE, KEY)
        assert "PRIVATE" not in repr(loaded)

    def test_a_foreign_key_is_refused(self, tmp_path: Path) -> None:
        """A key that does not belong to the certificate would fail at the first client."""
        with pytest.raises(
            ConfigRefusedError, match=r"domains\.0\.tls: the key in .* does not belong to the"
        ):
            self.load(tmp_path, CERTIFICATE, certificate()[1])

    def test_files_that_are_no_pem_are_refused(self, tmp_path: Path) -> None:
        """The message names the required format."""
        with pytest.raises(ConfigRefusedError, match=r"are not a PEM certificate and its unencrypted key"):
            self.load(tmp_path, b"hello", KEY)

    def test_an_encrypted_key_is_refused_without_a_question(self, tmp_path: Path) -> None:
        """OpenSSL must not ask for a pass phrase on the terminal."""
        key = serialization.load_pem_private_key(KEY, None)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        with pytest.raises(ConfigRefusedError, match="unencrypted key"):
            self.load(tmp_path, CERTIFICATE, encrypted)

    def test_other_content_than_the_generation_names_is_refused(self, tmp_path: Path) -> None:
        """A generation in force proves that its certificates are in force."""
        with pytest.raises(ConfigRefusedError, match=r"tls\.fingerprint: .* has other content") as caught:
            self.load(tmp_path, CERTIFICATE, KEY, fingerprint="0" * 64)
        assert caught.value.generation == "team-a/chat@1"
        assert caught.value.files == (tmp_path / "tls.crt", tmp_path / "tls.key")

    def test_a_missing_file_is_named_with_its_field(self, tmp_path: Path) -> None:
        """Each field that names a missing file has its own problem."""
        authority = {"authority": {"file": "ca.crt"}, "clientCertificate": FILES}
        problems = refusal(tmp_path, config(domain(tls=FILES, originTLS=authority))).problems
        assert problems == (
            f"domains.0.tls.certificateFile: cannot read {tmp_path}/tls.crt: No such file or directory",
            "domains.0.originTLS.clientCertificate.certificateFile:"
            f" cannot read {tmp_path}/tls.crt: No such file or directory",
            f"domains.0.originTLS.authority.file: cannot read {tmp_path}/ca.crt: No such file or directory",
        )

    @pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff\xff"])
    def test_an_invalid_authority_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """Authorities must be PEM certificates."""
        (tmp_path / "ca.crt").write_bytes(content)
        document = config(domain(originTLS={"authority": {"file": "ca.crt"}}))
        assert "holds no PEM certificates" in str(refusal(tmp_path, document))

    def test_an_authority_is_accepted(self, tmp_path: Path) -> None:
        """The result has the text of the authorities."""
        (tmp_path / "ca.crt").write_bytes(CERTIFICATE)
        document = config(domain(originTLS={"authority": {"file": "ca.crt"}}))
        loaded = load(write(tmp_path / "relay.json", document), tmp_path)
        authority = loaded.config.domains[0].originTLS.authority
        assert authority is not None
        assert loaded.material.authority(authority) == CERTIFICATE.decode()


def test_the_schema_is_json() -> None:
    """`--schema` prints a JSON Schema for editors."""
    schema = RelayConfig.model_json_schema()
    assert json.loads(json.dumps(schema))["properties"]["domains"]["type"] == "array"


def test_a_file_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    """No system call accepts it, so the refusal is permanent."""
    tls = {**FILES, "certificateFile": "tls\0.crt"}
    refused = refusal(tmp_path, config(domain(tls=tls)))
    assert "domains.0.tls.certificateFile: no file name: " in str(refused)
    assert not refused.transient


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """The limit bounds memory: a wrong mount may be a disk image."""
    path = tmp_path / "relay.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ConfigRefusedError, match="is larger than 16 MiB"):
        load(path, tmp_path)
