"""Detect a changed configuration: an edit, a rename, a kubelet's `..data` swap, a rotated certificate.

`ConfigWatch` polls inode, size and time of every file of the configuration, and follows symbolic links. File
events of the kernel would miss changes behind a link, and some file systems have none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wsedge_relay.config.load import LoadedConfig, load, named_files
from wsedge_relay.contract import RelayState
from wsedge_relay.errors import ConfigRefusedError
from wsedge_relay.file_signature import Signature, signature_of

POLL_SECONDS: Final = 0.5
# A second edit within one tick of the file system's clock leaves the time unchanged, so a file that is
# younger than this is read again at each poll.
_YOUNG_SECONDS: Final = 2.0
_Signatures = tuple[Signature | None, ...]


class ConfigWatch:
    """The configuration in force, and the newest refusal. `poll` blocks on files: call it in a thread."""

    def __init__(
        self, path: Path, secrets_dir: Path, in_force: LoadedConfig, *, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._secrets_dir = secrets_dir
        self._now = now
        self._settled: _Signatures | None = None
        self._suspect: str | None = None
        self._files = named_files(in_force.config, secrets_dir)
        self.in_force = in_force
        self.refused: ConfigRefusedError | None = None
        self.refusals = 0

    def force(self) -> None:
        """Read the files at the next poll even if they look unchanged, and report a refusal again."""
        self._settled = None
        self.refused = None

    def poll(self) -> LoadedConfig | ConfigRefusedError | None:
        """Return a new configuration to put in force, a new refusal, or None without a change.

        A bad configuration is reported only when two polls in a row find the same problem, because a file
        that is edited in place may be read half written.
        """
        files = self._files
        before = self._signatures(files)
        if before == self._settled:
            return None
        outcome = self._load()
        if self._signatures(files) != before:
            return None  # a file changed during the load: the next poll decides
        doubted, self._suspect = self._suspect, None
        transient = False
        if isinstance(outcome, ConfigRefusedError):
            self._suspect = str(outcome)
            if doubted != self._suspect:
                return None
            transient = outcome.transient
        steady = files == self._files and not transient and not self._is_young(before)
        self._settled = before if steady else None
        return outcome if self._is_news(outcome) else None

    def accepted(self, loaded: LoadedConfig) -> None:
        """Store `loaded` as the configuration in force."""
        self.in_force = loaded
        self.refused = None

    def with_refusal(self, state: RelayState) -> RelayState:
        """Return `state` with the refused configuration, if any."""
        if self.refused is None:
            return state
        return state.model_copy(
            update={"refusedGeneration": self.refused.generation, "refusedReason": str(self.refused)}
        )

    def refuse(self, refused: ConfigRefusedError) -> bool:
        """Store a refused configuration; return whether the refusal is new."""
        if refused.transient:
            self._settled = None
        if not self._is_news(refused):
            return False
        self.refused = refused
        self.refusals += 1
        return True

    def out_of_reach(self, loaded: LoadedConfig, error: OSError) -> ConfigRefusedError:
        """Return the refusal of a configuration for which a resource is missing; the next poll retries."""
        problem = f"it cannot be put in force now: {error.strerror or error}"
        return ConfigRefusedError(self._path, [problem], generation=loaded.config.generation, transient=True)

    def _load(self) -> LoadedConfig | ConfigRefusedError:
        try:
            loaded = load(self._path, self._secrets_dir)
        except ConfigRefusedError as refused:
            self._files = refused.files or self._files
            return refused
        self._files = named_files(loaded.config, self._secrets_dir)
        if loaded.config.listen != self.in_force.config.listen:
            problem = "listen: other addresses need a restart of the relay"
            return ConfigRefusedError(self._path, [problem], generation=loaded.config.generation)
        return loaded

    def _is_news(self, outcome: LoadedConfig | ConfigRefusedError) -> bool:
        if isinstance(outcome, ConfigRefusedError):
            before = self.refused
            # A new generation with the same problem is a new refusal, because its author waits for a result.
            return before is None or outcome.generation != before.generation or str(outcome) != str(before)
        if outcome == self.in_force:
            self.refused = None  # the files again contain the configuration in force
            return False
        return True

    def _signatures(self, files: tuple[Path, ...]) -> _Signatures:
        return tuple(signature_of(path) for path in (self._path, *files))

    def _is_young(self, signatures: _Signatures) -> bool:
        newest = max((file[3] for file in signatures if file is not None), default=0)
        return newest / 1e9 > self._now() - _YOUNG_SECONDS
