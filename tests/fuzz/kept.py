"""The stored inputs: seeds with names in seeds/TARGET, the grown corpus in corpus/TARGET.tar.xz.

Seeds are for readers: each name states what the seed shows. The grown corpus is for the fuzzer and the
replay: each of its inputs reaches code that the others do not. Equal inputs make equal archives.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SEEDS: Final = Path(__file__).parent / "seeds"
CORPUS: Final = Path(__file__).parent / "corpus"


def inputs(target: str) -> dict[str, bytes]:
    """Return every stored input of a target by its name: seeds first, then the grown corpus."""
    seeds = {f"seeds/{target}/{file.name}": file.read_bytes() for file in sorted((SEEDS / target).iterdir())}
    with tarfile.open(archive_of(target)) as archive:
        grown = {}
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None, f"{member.name} is no file"
            grown[f"{archive_of(target).name}:{member.name}"] = content.read()
    return seeds | grown


def unpack(target: str, folder: Path) -> None:
    """Write every stored input of a target into `folder`, which is empty or absent, for libFuzzer."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs(target).values():
        (folder / _name(data)).write_bytes(data)


def pack(target: str, contents: Iterable[bytes]) -> None:
    """Replace the grown corpus of a target; seeds stay outside of the archive."""
    seeds = {file.read_bytes() for file in (SEEDS / target).iterdir()}
    archive_of(target).write_bytes(packed(set(contents) - seeds))


def packed(contents: Iterable[bytes]) -> bytes:
    """Return an archive of inputs, without dates, owners and the machine's order."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:xz", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted((_name(data), data) for data in contents):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return written.getvalue()


def archive_of(target: str) -> Path:
    """Return the path of a target's grown corpus."""
    return CORPUS / f"{target}.tar.xz"


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
