"""What these tests share."""

from __future__ import annotations

import pytest

# So that a difference between two transcripts is shown.
pytest.register_assert_rewrite("support_clients.transcripts")
