"""Reviews by the API server: what is asked, remembered, and refused."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from support.statistics.application import MemoryLedger, request, services_over
from support.statistics.build import directory_message
from support.statistics.cluster import ISSUER, Signer
from wsedge_statistics.app import Application, build
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.identity.jwks import KeySet
from wsedge_statistics.identity.reviews import MOST_REMEMBERED, REMEMBERED_SECONDS, Reviews
from wsedge_statistics.identity.tokens import MAX_TOKEN, Verifier

SIGNER = Signer("first")


class ApiServer:
    """An API server in memory: tokens are names of users, `rights` are pairs of user and namespace."""

    def __init__(self) -> None:
        self.rights = {("jane", "team-a"), ("jane", "gone")}
        self.uids = {"team-a": "uid-a", "team-b": "uid-b"}
        self.asked: list[str] = []
        self.fault: Exception | None = None

    def open(self, path: str, document: Any = None) -> Any:
        self.asked.append(path.rpartition("/")[2])
        if self.fault is not None:
            raise self.fault
        if document is None:
            name = path.removeprefix("/api/v1/namespaces/")
            if name not in self.uids:
                raise FileNotFoundError(path)
            answer: Any = {"metadata": {"uid": self.uids[name]}}
        elif document["kind"] == "TokenReview":
            token = document["spec"]["token"]
            user = {"username": token}
            answer = {"status": {"authenticated": True, "user": user} if token in ("jane", "root") else {}}
        else:
            spec = document["spec"]
            place = (spec["user"], spec["resourceAttributes"]["namespace"])
            answer = {"status": {"allowed": place in self.rights}}
        return SimpleNamespace(answer=io.BytesIO(json.dumps(answer).encode()), close=lambda: None)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(server: ApiServer, clock: Clock) -> Application:
    keys = KeySet(lambda: json.dumps({"keys": [SIGNER.published]}).encode())
    lives = {"team-a": {"uid": "uid-a"}, "team-b": {"uid": "uid-b"}}
    owned = {"chat.example.com": "team-a", "b.example": "team-b"}
    services = services_over(
        MemoryLedger(),
        directory_message(domains=owned, lives=lives),
        policy=Policy(operators=frozenset({"root"}), admins=frozenset({"root"})),
        verifier=Verifier(keys, issuer=ISSUER),
        reviews=Reviews(server, issuer=ISSUER, monotonic=clock),
    )
    return build(services)


async def get(app: Application, token: str, path: str = "/v1/domains", **query: Any) -> Any:
    return await request(app, "GET", path, token=token, **query)


async def test_a_user_reads_an_account_that_it_may_read(app: Application, server: ApiServer) -> None:
    """The token and the right are asked about once, then remembered."""
    for _ in range(3):
        answer = await get(app, "jane", account="team-a")
        assert (answer.status, [each["domain"] for each in answer.json["domains"]]) == (
            200,
            ["chat.example.com"],
        )
    assert server.asked == ["tokenreviews", "subjectaccessreviews", "team-a"]


@pytest.mark.parametrize("account", ["team-b", "nowhere", "team-a@uid-a", "gone"])
async def test_every_other_account_is_403(app: Application, server: ApiServer, account: str) -> None:
    """With the same words, whether it exists or not; refusals are remembered too."""
    for _ in range(2):
        answer = await get(app, "jane", account=account)
        assert (answer.status, answer.json["detail"]) == (
            403,
            f"jane may not read account '{account}'. "
            "It needs the verb get on statistics.wsedge.io in the namespace.",
        )
    assert server.asked.count("tokenreviews") == 1
    assert server.asked.count("subjectaccessreviews") == (0 if "@" in account else 1)


async def test_a_user_names_the_account(app: Application) -> None:
    """400 without; an administrator by its name reads every account."""
    answer = await get(app, "jane")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "account")
    everything = await get(app, "root")
    assert [each["domain"] for each in everything.json["domains"]] == ["chat.example.com", "b.example"]


async def test_a_right_that_was_taken_away_ends(app: Application, server: ApiServer, clock: Clock) -> None:
    """After some seconds."""
    assert (await get(app, "jane", account="team-a")).status == 200
    server.rights.clear()
    clock.now = REMEMBERED_SECONDS
    assert (await get(app, "jane", account="team-a")).status == 200
    clock.now = REMEMBERED_SECONDS + 1
    assert (await get(app, "jane", account="team-a")).status == 403


async def test_a_namespace_that_was_created_again_shows_nothing_of_its_predecessor(
    app: Application, server: ApiServer
) -> None:
    """Until the operator has told of it: the right in it is of the new one."""
    server.uids["team-a"] = "uid-of-another"
    answer = await get(app, "jane", account="team-a")
    assert (answer.status, "created again" in answer.json["detail"]) == (403, True)


async def test_tokens_that_are_not_accepted_are_401(app: Application, server: ApiServer) -> None:
    """And asked about once; one that is too long is not asked about."""
    for _ in range(2):
        answer = await get(app, "mallory", account="team-a")
        assert answer.status == 401
        assert "mallory" not in answer.text.decode()
    assert server.asked == ["tokenreviews"]
    assert (await get(app, "x" * (MAX_TOKEN + 1), account="team-a")).status == 401
    assert server.asked == ["tokenreviews"]


async def test_tokens_for_this_program_need_no_review(app: Application, server: ApiServer) -> None:
    """They are verified by the cluster's keys, also while the API server fails."""
    server.fault = OSError("away")
    assert (await get(app, SIGNER.token("default", "team-b"))).status == 200
    assert server.asked == []


async def test_users_neither_report_nor_write_the_directory(app: Application, server: ApiServer) -> None:
    """Whatever their name is: those tokens are issued for this program."""
    for method, path in (("POST", "/ingest/v1/usage"), ("PUT", "/ingest/v1/directory")):
        assert (await request(app, method, path, {}, token="root")).status == 401
    assert server.asked == []


@pytest.mark.parametrize("fault", [OSError("refused"), ValueError("no token")])
async def test_while_the_api_server_fails_the_answer_is_503(
    app: Application, server: ApiServer, fault: Exception
) -> None:
    """And is not remembered."""
    server.fault = fault
    answer = await get(app, "jane", account="team-a")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    server.fault = None
    assert (await get(app, "jane", account="team-a")).status == 200


async def test_what_is_remembered_is_bounded(server: ApiServer, clock: Clock) -> None:
    """The oldest is forgotten: anybody can invent tokens."""
    reviews = Reviews(server, issuer=ISSUER, monotonic=clock)
    await reviews.user("jane")
    for number in range(MOST_REMEMBERED):
        clock.now = number / 1000
        with pytest.raises(Exception, match="neither"):
            await reviews.user(f"invented {number}")
    assert len(server.asked) == MOST_REMEMBERED + 1
    await reviews.user("jane")
    assert len(server.asked) == MOST_REMEMBERED + 2
