"""Questions answered without HTTP, from a ledger in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.statistics.build import directory_message, instant, row, seconds, usage
from support.statistics.model import NaiveLedger
from wsedge_statistics.asking import Question, ask, list_domains, list_options
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import ForbiddenError, QueryError, UnknownDomainError
from wsedge_statistics.identity.callers import Caller, Policy
from wsedge_statistics.ledger import Room, SeenKey
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.services import Services
from wsedge_statistics.tenure import Tenures, follow

NOW = instant("2026-06-15T12:02:00Z")
BUCKET = instant("2026-06-15T12:00:00Z")
READER = Caller("system:serviceaccount:team-a:default", "team-a")
ADMIN = Caller("system:serviceaccount:ops:admin", "ops")


class MemoryLedger(NaiveLedger):
    """A naive ledger that lists what it has counted."""

    def seen(self, account: str | None) -> list[SeenKey]:
        places = [(key, bucket) for (_, _, key, bucket, _) in self.largest]
        return [
            SeenKey(key, min(b for k, b in places if k == key), max(b for k, b in places if k == key))
            for key in dict.fromkeys(key for key, _ in places)
            if account in (None, key.account)
        ]


@pytest.fixture
def services() -> Services:
    """Two accounts, of which team-a also has counts of a domain that the Directory lists no longer."""
    directory = directory_message(domains={"chat.example.com": "team-a", "b.example": "team-b"})
    ledger: Any = MemoryLedger()
    for fields in ({"sentBytes": 7}, {"domain": "former.example", "sentBytes": 5, "region": "beijing"}):
        ledger.commit(usage(row(BUCKET, **fields)))
    ledger.commit(usage(row(BUCKET, domain="b.example", account="team-b", sentBytes=1)))
    return Services(
        ledger=ledger,
        clock=lambda: NOW,
        metrics=Metrics(),
        policy=Policy(admins=frozenset({ADMIN.subject})),
        verifier=None,
        directory=DirectoryView.of(directory),
        tenures=follow(Tenures(), directory, kept=timedelta(days=93)),
        room=Room(1, 1),
        default_zone="UTC",
        grace=timedelta(seconds=60),
        max_body=1,
        max_inflated=1,
    )


async def test_a_question_is_settled_and_answered(services: Services) -> None:
    """The result has the account, the billing zone, whole slots and the sums of its own domains."""
    result = await ask(services, READER, Question(), kind="traffic")
    assert (result.account, result.zone, result.range.granularity) == ("team-a", "Asia/Shanghai", "5m")
    assert result.series["sent"] == {seconds("2026-06-15T12:00:00Z"): 12}
    assert result.complete_until == BUCKET


async def test_filters_select(services: Services) -> None:
    """Domains, region and ISP reach the ledger; an administrator reads every account."""
    at = seconds("2026-06-15T12:00:00Z")
    for caller, question, sent in (
        (READER, Question(domains=frozenset({"former.example"})), 5),
        (READER, Question(region="beijing"), 5),
        (ADMIN, Question(account="team-b"), 1),
        (ADMIN, Question(), 13),
    ):
        result = await ask(services, caller, question, kind="traffic")
        assert result.series["sent"] == {at: sent}


REFUSED: dict[str, tuple[Question, type[Exception]]] = {
    "a misspelt domain": (Question(domains=frozenset({"caht.example.com"})), UnknownDomainError),
    "another account's domain": (Question(domains=frozenset({"b.example"})), UnknownDomainError),
    "another account": (Question(account="team-b"), ForbiddenError),
    "a time zone that does not exist": (Question(zone="Mars/Olympus"), QueryError),
    "half a range": (Question(start="2026-06-15T12:00:00Z"), QueryError),
}


@pytest.mark.parametrize(("question", "error"), REFUSED.values(), ids=REFUSED.keys())
async def test_wrong_questions_are_refused(
    services: Services, question: Question, error: type[Exception]
) -> None:
    """Each by the error of its kind, before the ledger is read."""
    with pytest.raises(error):
        await ask(services, READER, question, kind="traffic")


async def test_a_configured_domain_needs_no_counts(services: Services) -> None:
    """A domain of the Directory that nothing was counted for is answered by empty sums."""
    services.directory = DirectoryView.of(directory_message(domains={"new.example": "team-a"}))
    result = await ask(services, READER, Question(domains=frozenset({"new.example"})), kind="traffic")
    assert result.series == {}


async def test_domains_are_listed_whether_configured_or_only_counted(services: Services) -> None:
    """A domain without a Directory entry has its last count alone."""
    account, listed = await list_domains(services, READER, None)
    assert account == "team-a"
    assert [(each.domain, each.configured is not None, each.last_counted) for each in listed] == [
        ("chat.example.com", True, seconds("2026-06-15T12:00:00Z")),
        ("former.example", False, seconds("2026-06-15T12:00:00Z")),
    ]


async def test_options_are_the_regions_and_isps_that_were_counted(services: Services) -> None:
    """With the account's own time zone; the default zone where no account is asked for."""
    options = await list_options(services, READER, None)
    assert (options.regions, options.isps, options.zone) == (
        ("beijing", "shanghai"),
        ("telecom",),
        "Asia/Shanghai",
    )
    assert (await list_options(services, ADMIN, None)).zone == "UTC"
