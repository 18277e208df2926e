"""Conversations: the frames that one end sends, and what it must get from a strict echo.

They are the cases 1 to 7 and 10 of the Autobahn test suite (247 cases; Apache-2.0; its cases 9, 12 and 13
are about load and compression), written anew as data and under its numbers:

conversation    what a conversation consists of
messages        cases 1, 2, 10: messages, pings and pongs of all lengths
violations      cases 3, 4: reserved bits and opcodes
fragments       cases 5: fragments, in order and out of order
texts           cases 6: UTF-8, valid and invalid, fragmented between and within code points
closes          cases 7: Close frames, valid and invalid
echo            the strict echo of RFC 6455, which does no I/O
play            both ends on sockets

How they were checked: the suite's fuzzing client with its test server, and its fuzzing server with its test
client (autobahntestsuite 25.10.1, Python 2.7), ran with a recording tap between them. For each case the
recorded frames of both directions, the codes of Closes and the end that ended TCP first were compared with
these tables; `closes` names the differences, which the suite allows. A case that stops in the middle when
the echo closes (4.1.5 in single bytes) is compared as far as it was sent.
"""

from __future__ import annotations

from typing import Final

from support.conversations import closes, fragments, messages, texts, violations
from support.conversations.conversation import Conversation

CASES: Final[dict[str, Conversation]] = {
    **messages.CASES,
    **violations.CASES,
    **fragments.CASES,
    **texts.CASES,
    **closes.CASES,
}
