"""Write the software bill of materials as SPDX 2.3: `python -m wsedge_release.sbom OUTPUT.json`.

It lists every package of requirements.lock, with which a version is built, tested and run; the lock is what
is installed, so nothing has to be scanned. What an image contains, packages of its base too, is in the
image's own bill.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.document import CreationInfo, Document
from spdx_tools.spdx.model.package import (
    ExternalPackageRef,
    ExternalPackageRefCategory,
    Package,
)
from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from spdx_tools.spdx.writer.json.json_writer import write_document_to_file

from wsedge_release.versions import project_version

LOCK: Final = "requirements.lock"
ROOT_ID: Final = "SPDXRef-wsedge"
_DOCUMENT: Final = "SPDXRef-DOCUMENT"
_LOCKED: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_OTHER: Final = re.compile(r"\s*(?:#.*)?|\s.*|--.*")  # a remark, a hash, an option


def locked(text: str) -> list[tuple[str, str]]:
    """Return name and version of every package of a lock file.

    Raises ValueError for one without any, and for a line of another form: its package would be missing.
    """
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        package = _LOCKED.match(line)
        if package is not None:
            found.append((package[1], package[2]))
        elif not _OTHER.fullmatch(line):
            raise ValueError(f"{LOCK} has a line of an unknown form: {line}")
    if not found:
        raise ValueError(f"{LOCK} names no package")
    return sorted(found)


def document(version: str, packages: Sequence[tuple[str, str]], created: datetime) -> Document:
    """Return the bill of a version; its namespace is unique by version and instant, as SPDX asks."""
    namespace = f"https://wsedge.io/spdx/wsedge-{version}-{created:%Y%m%dT%H%M%SZ}"
    info = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id=_DOCUMENT,
        name=f"wsedge-{version}",
        data_license="CC0-1.0",
        document_namespace=namespace,
        creators=[Actor(ActorType.TOOL, f"wsedge_release-{version}")],
        created=created.replace(tzinfo=None, microsecond=0),
    )
    own = Package(ROOT_ID, "wsedge", SpdxNoAssertion(), version=version, files_analyzed=False)
    others = [_package(name, number) for name, number in packages]
    return Document(info, [own, *others], relationships=list(_relationships(others)))


def _package(name: str, version: str) -> Package:
    reference = ExternalPackageRef(
        ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", f"pkg:pypi/{name.lower()}@{version}"
    )
    identifier = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{name}-{version}")
    return Package(
        identifier,
        name,
        SpdxNoAssertion(),
        version=version,
        files_analyzed=False,
        external_references=[reference],
    )


def _relationships(others: Sequence[Package]) -> Iterator[Relationship]:
    yield Relationship(_DOCUMENT, RelationshipType.DESCRIBES, ROOT_ID)
    for package in others:
        yield Relationship(ROOT_ID, RelationshipType.DEPENDS_ON, package.spdx_id)


def created(environment: Mapping[str, str]) -> datetime:
    """Return the instant in SOURCE_DATE_EPOCH (reproducible-builds.org), else now."""
    epoch = environment.get("SOURCE_DATE_EPOCH")
    return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)


def main(arguments: Sequence[str] | None = None, root: Path = Path()) -> int:
    """Write the bill; return 1 when the validator of SPDX finds a fault in it."""
    parser = argparse.ArgumentParser(description="Writes the software bill of materials as SPDX 2.3 (JSON).")
    parser.add_argument("output", type=Path)
    output = parser.parse_args(arguments).output
    packages = locked((root / LOCK).read_text(encoding="utf-8"))
    bill = document(project_version(root), packages, created(os.environ))
    faults = validate_full_spdx_document(bill)
    for fault in faults:
        sys.stderr.write(f"{fault.validation_message}\n")
    if not faults:
        write_document_to_file(bill, str(output), validate=False)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
