"""Live quotes: a slow reader gets the current prices, never a backlog of old ones.

`/quotes` sends {"batch": N, "quotes": {"SYMBOL": {"price": …, "open": …, "tick": …}}} with what has changed
since the client's last batch. The next one waits for the answer {"ack": N}: at most one batch is on its way,
however many buffers there are. The prices are a random walk. Runs as `python -m live_quotes.origin`.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from kit.checks import RefusedError, number, parse
from kit.origin import exchange, serve_until_stopped

TICK_SECONDS = 0.05
BATCH_SECONDS = 0.1  # more often is no help to an eye
OPEN = {"AURA": 48.2, "BOLT": 212.4, "CEDR": 17.65, "DUNE": 93.1, "ECHO": 5.42, "FJRD": 334.0}


@dataclass(frozen=True, slots=True)
class Quote:
    """A price, the day's first one, and the number of the market's tick that made it."""

    price: float
    open: float
    tick: int


class Market:
    """The current price of each symbol. One of them changes with each tick."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.tick = 0
        self.quotes = {symbol: Quote(price, price, 0) for symbol, price in OPEN.items()}

    def move(self) -> None:
        """Change one price by up to half a percent, which pulls it back to the day's first one."""
        self.tick += 1
        symbol = self._chance.choice(sorted(self.quotes))
        old = self.quotes[symbol]
        pull = 0.02 * (old.open - old.price) / old.open
        price = old.price * (1 + pull + self._chance.uniform(-0.005, 0.005))
        self.quotes[symbol] = Quote(round(price, 2), old.open, self.tick)

    def since(self, tick: int) -> dict[str, Quote]:
        """Return the quotes that have changed after a tick."""
        return {symbol: quote for symbol, quote in self.quotes.items() if quote.tick > tick}


class Reader:
    """One client: what it has, and which batch it has not acknowledged yet."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._tick = -1
        self._sent = 0
        self._ready = asyncio.Event()
        self._ready.set()

    def accept(self, message: str | bytes) -> None:
        """Accept the acknowledgement of the batch that is on its way."""
        acknowledged = number(parse(message), "ack", least=1, most=2**53)
        if acknowledged != self._sent or self._ready.is_set():
            raise RefusedError("that batch is not on its way")
        self._ready.set()

    async def batches(self) -> AsyncIterator[str]:
        """Yield batches as JSON."""
        while True:
            await self._ready.wait()
            if quotes := self._market.since(self._tick):
                self._ready.clear()
                self._tick, self._sent = self._market.tick, self._sent + 1
                changed = {symbol: asdict(quote) for symbol, quote in quotes.items()}
                yield json.dumps({"batch": self._sent, "quotes": changed})
            await asyncio.sleep(BATCH_SECONDS)


async def main() -> None:
    """Trade and serve until SIGTERM."""
    market = Market(random.Random())  # noqa: S311  no secret

    async def trade() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            market.move()

    async def handle(client: ServerConnection, _path: str) -> None:
        reader = Reader(market)
        await exchange(client, reader.batches(), reader.accept, per_second=20, burst=20)

    trading = asyncio.create_task(trade())
    await serve_until_stopped(handle, Path(__file__).parent, paths=r"/(quotes)")
    trading.cancel()


if __name__ == "__main__":
    asyncio.run(main())
