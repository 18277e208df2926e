"""The compiled pump under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.relay.forms import OTHER_BUILD, cannot, need_compiler
from wsedge_relay.pump.build import build

ROOT = Path(__file__).parents[4]
FLAGS = "-O0 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
TESTS = ("pump/test_pump.py", "pump/test_message_bytes.py", "test_fuzz_corpus.py")


def sanitizer() -> Path:
    """Return the compiler's AddressSanitizer, which must be loaded before other libraries."""
    compiler = os.environ.get("CC", "gcc")
    try:
        told = subprocess.run(
            [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        cannot(f"no {compiler}: {error}")
    library = Path(told.stdout.strip())
    if not library.is_absolute():
        cannot(f"{compiler} has no AddressSanitizer")
    return library


@pytest.fixture
def sanitized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Compile the pump with the sanitizers; return an environment that uses it."""
    need_compiler()
    library = sanitizer()
    with monkeypatch.context() as patch:
        patch.setenv("CFLAGS", FLAGS)
        patch.setenv("CC", os.environ.get("CC", "gcc"))
        modules = [file for file in build(tmp_path) if file.suffix == ".so"]
    for module in modules:
        assert b"__asan_report_load" in module.read_bytes()
        assert b"__ubsan_handle" in module.read_bytes()
    return {
        **os.environ,
        OTHER_BUILD: str(tmp_path),
        "LD_PRELOAD": str(library),
        "PYTHONMALLOC": "malloc",  # so that each object is its own block of memory
        # Python itself does not free all at its end, and the relay's code is no C to leak by itself.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def test_the_compiled_pump_keeps_to_its_memory(sanitized: dict[str, str]) -> None:
    """Its tests and the fuzz corpus access no byte out of bounds, and overflow no integer."""
    tests = [str(ROOT / "tests" / "unit" / "relay" / name) for name in TESTS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", "compiled", "-p", "no:cacheprovider", *tests],
        env=sanitized,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    assert "skipped" not in done.stdout
