"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says how busy the machine is; speed is shown by benches.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
