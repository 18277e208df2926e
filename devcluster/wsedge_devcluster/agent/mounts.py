"""Puts real folders in the place of mount paths: a process of this machine has no mounts of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A mount path counts where a path can begin (start of the text, or after what separates paths in
# arguments: = : , ; quotes brackets white space) and where its last component ends.
_BEFORE = r"(?<![^\s=:,;\"'(\[{@])"
_AFTER = r"(?=$|[/\s=:,;\"')\]}])"


def replace_mount_paths(text: str, mounts: Mapping[str, str]) -> str:
    """Return `text` with each mount path at a path's beginning replaced by its folder, the longest first."""
    paths = sorted((path for path in mounts if path != "/"), key=len, reverse=True)
    if not paths:
        return text
    pattern = _BEFORE + "(" + "|".join(re.escape(path.rstrip("/")) for path in paths) + ")" + _AFTER
    folders = {path.rstrip("/"): folder for path, folder in mounts.items()}
    return re.sub(pattern, lambda found: folders[found[1]], text)
