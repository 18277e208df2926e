"""Load RelayConfig and the certificates that it names.

A configuration is valid only as a whole: the file parses and validates; every certificate file exists,
parses, has its key and (when given) its fingerprint. `Material` has the checked bytes, so the relay never
uses a file that was rotated after the check.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from wsedge_relay.config.material import KeyPair, Material
from wsedge_relay.contract import AuthorityFile, CertificateFiles, RelayConfig
from wsedge_relay.errors import ConfigRefusedError, without_userinfo
from wsedge_statistics.contract import unknown_fields

MAX_FILE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A checked configuration with its certificates."""

    config: RelayConfig
    material: Material
    unknown: tuple[str, ...] = ()  # paths of fields in the file that this version does not define


def load(path: Path, secrets_dir: Path) -> LoadedConfig:
    """Read and check a configuration file and every file that it names.

    Raises ConfigRefusedError, which names the file, the field and the rule.
    """
    config, unknown = parse(path, _read(path, path, "the configuration"))
    try:
        return LoadedConfig(config, _material(path, config, secrets_dir), unknown)
    except ConfigRefusedError as refused:
        raise ConfigRefusedError(
            refused.file,
            refused.problems,
            generation=config.generation,
            files=named_files(config, secrets_dir),
            transient=refused.transient,
        ) from refused


def parse(path: Path, content: bytes) -> tuple[RelayConfig, tuple[str, ...]]:
    """Return the RelayConfig in `content`, the bytes of the file `path`, and the paths of unknown fields.

    Raises ConfigRefusedError. It names unknown fields too: a required field may be misspelt.
    """
    try:
        document = json.loads(content)
    except UnicodeDecodeError as error:
        raise ConfigRefusedError(path, [f"not JSON: {error}"]) from error
    except json.JSONDecodeError as error:
        raise ConfigRefusedError(
            path, [f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"]
        ) from error
    except RecursionError as error:
        raise ConfigRefusedError(path, ["not a RelayConfig: nested too deeply"]) from error
    except ValueError as error:  # a number with more digits than Python's limit (sys.set_int_max_str_digits)
        raise ConfigRefusedError(path, [f"not a RelayConfig: {error}"]) from error
    generation = document.get("generation") if isinstance(document, dict) else None
    try:
        return RelayConfig.model_validate_json(content, extra="forbid"), ()
    except ValidationError as error:
        unknown = unknown_fields(error)
    try:
        return RelayConfig.model_validate_json(content), unknown
    except ValidationError as error:
        raise ConfigRefusedError(
            path,
            [*_problems(error), *(f"{field}: is not a field of RelayConfig" for field in unknown)],
            generation=generation if isinstance(generation, str) else None,
        ) from error


def named_files(config: RelayConfig, secrets_dir: Path) -> tuple[Path, ...]:
    """Return every certificate, key and authority file that a configuration names."""
    names: list[str] = []
    for domain in config.domains:
        for files in (domain.tls, domain.originTLS.clientCertificate):
            if files is not None:
                names += [files.certificateFile, files.keyFile]
        if domain.originTLS.authority is not None:
            names.append(domain.originTLS.authority.file)
    return tuple(secrets_dir / name for name in names)


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        given = problem.get("input")
        if problem["type"] == "missing":
            message = "is required"
        elif "key" in problem["loc"]:
            pass  # a sticky cookie's key is a secret, even an invalid one
        elif isinstance(given, str | int | float) and len(str(given)) <= 100:
            shown = without_userinfo(given) if isinstance(given, str) else given
            message = f"{message} (it is {json.dumps(shown)})"
        yield f"{where}: {message}" if where else message


def _material(path: Path, config: RelayConfig, secrets_dir: Path) -> Material:
    pairs: dict[tuple[str, str], KeyPair] = {}
    authorities: dict[str, str] = {}
    refusals: list[ConfigRefusedError] = []
    for index, domain in enumerate(config.domains):
        at = f"domains.{index}"
        wanted = [
            (f"{at}.tls", domain.tls),
            (f"{at}.originTLS.clientCertificate", domain.originTLS.clientCertificate),
        ]
        for where, files in wanted:
            if files is not None:
                try:
                    pairs[files.certificateFile, files.keyFile] = _key_pair(where, files, secrets_dir)
                except ConfigRefusedError as refused:
                    refusals.append(refused)
        authority = domain.originTLS.authority
        if authority is not None:
            try:
                authorities[authority.file] = _authority(f"{at}.originTLS.authority", authority, secrets_dir)
            except ConfigRefusedError as refused:
                refusals.append(refused)
    if refusals:
        problems = [problem for refused in refusals for problem in refused.problems]
        raise ConfigRefusedError(path, problems, transient=any(refused.transient for refused in refusals))
    return Material(pairs, authorities)


def _key_pair(where: str, files: CertificateFiles, secrets_dir: Path) -> KeyPair:
    certificate_path, key_path = secrets_dir / files.certificateFile, secrets_dir / files.keyFile
    certificate = _read(certificate_path, certificate_path, f"{where}.certificateFile")
    key = _read(key_path, key_path, f"{where}.keyFile")
    _check_fingerprint(where, certificate_path, files.fingerprint, certificate + key)
    pair = KeyPair(certificate, key)
    try:
        pair.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = f"the key in {key_path} does not belong to the certificate in {certificate_path}"
        else:
            problem = (
                f"{certificate_path} and {key_path} are not a PEM certificate and its unencrypted key"
                f" ({error.reason or error})"
            )
        raise ConfigRefusedError(certificate_path, [f"{where}: {problem}"]) from error
    except OSError as error:
        problem = f"cannot check {certificate_path}: {error.strerror}"
        raise ConfigRefusedError(certificate_path, [f"{where}: {problem}"], transient=True) from error
    return pair


def _authority(where: str, authority: AuthorityFile, secrets_dir: Path) -> str:
    path = secrets_dir / authority.file
    content = _read(path, path, f"{where}.file")
    _check_fingerprint(where, path, authority.fingerprint, content)
    try:
        text = content.decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        raise ConfigRefusedError(path, [f"{where}.file: {path} holds no PEM certificates"]) from error
    return text


def _check_fingerprint(where: str, path: Path, wanted: str | None, content: bytes) -> None:
    if wanted is not None and hashlib.sha256(content).hexdigest() != wanted:
        raise ConfigRefusedError(
            path, [f"{where}.fingerprint: {path} has other content than this generation names"]
        )


def _read(file: Path, path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        problem = f"{where}: cannot read {path}: {os.strerror(error.errno or 0)}"
        # A missing file needs no retry: when it appears, its signature changes.
        transient = not isinstance(error, FileNotFoundError)
        raise ConfigRefusedError(file, [problem], transient=transient) from error
    except ValueError as error:  # a NUL in the name
        raise ConfigRefusedError(file, [f"{where}: no file name: {str(path)!r}"]) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigRefusedError(file, [f"{where}: {path} is larger than {MAX_FILE_BYTES >> 20} MiB"])
    return content
