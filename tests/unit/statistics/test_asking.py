"""Questions answered without HTTP, from a ledger in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from support.statistics.application import BUCKET, MemoryLedger, services_over, two_accounts
from support.statistics.build import directory_message, row, seconds, usage
from wsedge_statistics.asking import Question, Warned, ask, list_domains, list_options
from wsedge_statistics.contract import Directory
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import (
    ForbiddenError,
    LedgerDeadlineError,
    QueryError,
    UnknownAccountError,
    UnknownDomainError,
)
from wsedge_statistics.identity.callers import Caller, Policy
from wsedge_statistics.ledger.budget import Stop, begin
from wsedge_statistics.numbers.granularity import Granularity
from wsedge_statistics.services import Services
from wsedge_statistics.tenure import Tenures

READER = Caller("system:serviceaccount:team-a:default", "team-a")
ADMIN = Caller("system:serviceaccount:ops:admin", "ops")


@pytest.fixture
def services() -> Services:
    """Two accounts; team-a also has counts of a domain that the Directory lists no longer."""
    ledger = MemoryLedger()
    for fields in ({"sentBytes": 7}, {"domain": "former.example", "sentBytes": 5, "region": "beijing"}):
        ledger.add(usage(row(BUCKET, **fields)))
    ledger.add(usage(row(BUCKET, domain="b.example", account="team-b", sentBytes=1)))
    return services_over(ledger, two_accounts(), policy=Policy(admins=frozenset({ADMIN.subject})))


async def test_a_question_is_settled_and_answered(services: Services) -> None:
    """The result has the account, the billing zone, whole slots and the sums of its own domains."""
    result = await ask(services, READER, Question(), kind="traffic")
    assert (result.account, result.range.granularity) == ("team-a", "5m")
    assert [zone.name for zone in result.zones] == ["Asia/Shanghai"]
    assert [part.counts.sent for part in result.parts] == [12]
    assert result.complete_until == BUCKET


async def test_filters_select(services: Services) -> None:
    """Domains, region and ISP reach the ledger; an administrator reads every account."""
    for caller, question, sent in (
        (READER, Question(domains=frozenset({"former.example"})), 5),
        (READER, Question(region="beijing"), 5),
        (ADMIN, Question(account="team-b"), 1),
        (ADMIN, Question(), 13),
    ):
        result = await ask(services, caller, question, kind="traffic")
        assert [part.counts.sent for part in result.parts] == [sent]


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
    """Each raises the error of its kind."""
    with pytest.raises(error):
        await ask(services, READER, question, kind="traffic")


async def test_an_administrator_is_told_of_an_account_that_never_existed(services: Services) -> None:
    """A plan or counts make an account known; a tenant's own account needs neither."""
    for name in ("taem-a", "team-a@12345678"):
        for work in (
            ask(services, ADMIN, Question(account=name), kind="traffic"),
            list_options(services, ADMIN, name),
            list_domains(services, ADMIN, name),
        ):
            with pytest.raises(UnknownAccountError, match=name):
                await work
    services.directory, services.tenures = DirectoryView(), Tenures()
    assert (await ask(services, ADMIN, Question(account="team-b"), kind="traffic")).parts
    newcomer = Caller("system:serviceaccount:new:default", "new")
    assert (await ask(services, newcomer, Question(account="new"), kind="traffic")).parts == []


async def test_a_filter_that_nothing_was_counted_under_is_warned_of(services: Services) -> None:
    """The same words for a name that only another account has: tenants learn nothing of each other."""
    services.ledger.add(  # type: ignore[attr-defined]
        usage(row(BUCKET, domain="b.example", account="team-b", region="harbin", isp="unicom"))
    )
    for region in ("harbin", "harbn"):
        result = await ask(services, READER, Question(region=region, isp="unicom"), kind="traffic")
        assert result.parts == []
        assert result.warnings == (
            Warned("region", f"region {region!r} was never counted"),
            Warned("isp", "isp 'unicom' was never counted"),
        )
    assert (
        await ask(services, ADMIN, Question(region="harbin", isp="unicom"), kind="traffic")
    ).warnings == ()


async def test_a_configured_domain_needs_no_counts(services: Services) -> None:
    """A domain of the Directory without counts is answered by empty sums."""
    services.directory = DirectoryView.of(directory_message(domains={"new.example": "team-a"}))
    result = await ask(services, READER, Question(domains=frozenset({"new.example"})), kind="traffic")
    assert result.parts == []


async def test_the_zone_of_the_question_wins(services: Services) -> None:
    """A zone of the question is used instead of the billing zone."""
    result = await ask(services, READER, Question(zone="Europe/Berlin"), kind="traffic")
    assert [zone.name for zone in result.zones] == ["Europe/Berlin"]


def changed_zone(name: str) -> Directory:
    """Return a Directory in which team-a's zone is Asia/Shanghai, and from noon UTC of 10 June `name`."""
    document = directory_message().model_dump(mode="json")
    later = {"terms": document["accounts"][0]["periods"][0]["terms"] | {"timeZone": name}}
    document["accounts"][0]["periods"] += [later | {"start": "2026-06-10T12:00:00Z"}]
    return Directory.model_validate_json(json.dumps(document))


def week(zone: str | None = None) -> Question:
    return Question(
        start="2026-06-08T00:00:00Z", end="2026-06-13T00:00:00Z", granularity=Granularity.DAY, zone=zone
    )


@pytest.mark.parametrize(
    ("zone", "names", "after"),
    [
        ("Europe/Berlin", ["Asia/Shanghai", "Europe/Berlin"], 22),
        ("Mars/Olympus", ["Asia/Shanghai", "UTC"], 0),
    ],
)
async def test_past_days_are_cut_in_the_zone_in_force_then(
    services: Services, zone: str, names: list[str], after: int
) -> None:
    """The day of the change has two parts; an unknown zone is replaced by the default for its own days."""
    services.directory = DirectoryView.of(changed_zone(zone))
    result = await ask(services, READER, week(), kind="traffic")
    assert [each.name for each in result.zones] == names
    starts = [datetime.fromtimestamp(slot.start, tz=UTC) for slot in result.range.slots]
    assert [(at.day, at.hour) for at in starts[:4]] == [(7, 16), (8, 16), (9, 16), (10, 12)]
    assert {at.hour for at in starts[4:]} == {after}
    assert (await list_options(services, READER, None)).zone == names[-1]
    named = await ask(services, READER, week("Asia/Shanghai"), kind="traffic")
    assert {datetime.fromtimestamp(slot.start, tz=UTC).hour for slot in named.range.slots} == {16}


async def test_an_unknown_billing_zone_is_replaced_by_the_default(services: Services) -> None:
    """A Directory may name a zone that is newer than this program's database."""
    services.directory = DirectoryView.of(directory_message(zone="Mars/Olympus"))
    assert (await list_options(services, READER, None)).zone == "UTC"


async def test_an_unknown_default_zone_is_a_defect(services: Services) -> None:
    """The settings refuse it at the start."""
    services.default_zone = "Mars/Olympus"
    with pytest.raises(LookupError, match="Mars/Olympus"):
        await list_options(services, ADMIN, None)


async def test_domains_are_listed_whether_configured_or_only_counted(services: Services) -> None:
    """A domain without a Directory entry has its last count alone."""
    account, listed = await list_domains(services, READER, None)
    assert account == "team-a"
    assert [(each.domain, each.configured is not None, each.last_counted) for each in listed] == [
        ("chat.example.com", True, seconds("2026-06-15T12:00:00Z")),
        ("former.example", False, seconds("2026-06-15T12:00:00Z")),
    ]


async def test_options_are_the_regions_and_isps_that_were_counted(services: Services) -> None:
    """The time zone is the account's; for all accounts it is the default."""
    options = await list_options(services, READER, None)
    assert (options.regions, options.isps, options.zone) == (
        ("beijing", "shanghai"),
        ("telecom",),
        "Asia/Shanghai",
    )
    assert (await list_options(services, ADMIN, None)).zone == "UTC"


async def test_a_question_that_waits_too_long_for_its_turn_is_stopped(services: Services) -> None:
    """The time of waiting counts."""
    with begin(Stop(0)), pytest.raises(LedgerDeadlineError):
        await ask(services, READER, Question(), kind="traffic")
