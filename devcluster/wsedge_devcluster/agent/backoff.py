"""The kubelet's back-off: none before the first restart, then 10 s, doubling to 300 s."""

from __future__ import annotations

_FIRST, _MAX = 10.0, 300.0


class BackOff:
    """Delays between attempts, in seconds times `scale`."""

    def __init__(self, scale: float, *, eager: bool) -> None:
        """`eager`: the first delay is 0, as for restarts of containers; image pulls wait from the first."""
        self._scale, self._eager = scale, eager
        self._attempts = 0

    def next(self, ran_seconds: float = 0.0) -> float:
        """Return the delay before the next attempt. A container that ran twice the maximum starts over."""
        if ran_seconds >= 2 * _MAX * self._scale:
            self._attempts = 0
        exponent = self._attempts - self._eager
        self._attempts += 1
        if exponent < 0:
            return 0.0
        # The exponent is bounded, so that years of failures do not overflow the power.
        return float(min(_FIRST * 2 ** min(exponent, 16), _MAX)) * self._scale
