"""The history of ended sessions, over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from greenroom.actors.errors import UpstreamUnreachable
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.history import open_history
from greenroom.web.http.history_schemas import MAX_LIMIT
from greenroom.web.http.openapi import describe_api
from tests.patience import patience
from tests.web.http.front import Front, error, open_front

HISTORY = "/tiktok/history"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@asynccontextmanager
async def open_kept(path: Path, machine: FakeMachine | None = None, **settings: Any) -> AsyncIterator[Front]:
    """Run a daemon that keeps its history at `path`."""
    async with (
        open_history(path, days=30) as history,
        open_front(machine, history=history, **settings) as front,
    ):
        yield front


async def history_of(front: Front, total: int | None = None, **query: Any) -> Any:
    """Return the answer to a query, once there are so many in all."""
    with trio.fail_after(patience(10)):
        while True:
            answer = await front.client.get(HISTORY, params=query)
            assert answer.status_code == 200, answer.text
            if total is None or answer.json()["total"] == total:
                return answer.json()
            await trio.sleep(0.01)


async def fail(front: Front) -> httpx.Response:
    """Ask for a session that is refused, of which a bundle is kept."""
    front.machine.navigate_error = UpstreamUnreachable("The site does not answer")
    answer = await front.create()
    front.machine.navigate_error = None
    return answer


def bytes_in(folder: Path) -> bytes:
    """Return all that is in a directory's files."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_ended_sessions_are_listed_with_figures_and_stay_over_a_restart(path: Path) -> None:
    """The last first. A bundle has its address as long as it is there; the next daemon has it, too."""
    machine = FakeMachine()
    async with open_kept(path, machine) as front:
        empty = await history_of(front)
        assert (empty["sessions"], empty["total"]) == ([], 0)
        assert (empty["creation_ms"], empty["phase_ms"]) == (None, {})
        session = await front.establish()
        await front.client.delete(session)
        refused = (await fail(front)).json()["error_details"]
        before = await history_of(front, 2)
    kept = bytes_in(path.parent)
    assert refused["session_id"].encode() in kept
    assert b"does not answer" not in kept  # no text of an error is
    first, last = before["sessions"]
    assert (first["id"], first["outcome"], first["error"]) == (
        refused["session_id"],
        "refused",
        "UpstreamUnreachable",
    )
    assert first["bundle"] == refused["bundle"] == f"/tiktok/session/{first['id']}/bundle"
    assert (last["id"], last["end_reason"], last["bundle"]) == (session.rpartition("/")[2], "deleted", None)
    assert before["outcomes"] == {"served": 1, "broken": 0, "refused": 1, "cancelled": 0}
    assert before["creation_ms"]["count"] == before["phase_ms"]["live"]["count"] == 1
    assert before["phase_ms"]["navigating"]["count"] == 2
    assert (before["next"], before["problem"]) == (None, None)
    async with open_kept(path, machine) as front:
        assert await history_of(front) == before
        assert (await front.client.get(session)).status_code == 404  # only the history knows it
        assert (await front.client.get(first["bundle"])).status_code == 200
        machine.bundles.clear()
        assert [one["bundle"] for one in (await history_of(front))["sessions"]] == [None, None]


async def test_pages_and_filters(path: Path) -> None:
    """A cursor goes on where a page ended; the figures are on all that the filter lets through."""
    async with open_kept(path) as front:
        for _ in range(3):
            await front.client.delete(await front.establish())
        await fail(front)
        everything = await history_of(front, 4)
        seen: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await history_of(front, limit=1, **cursor)
            seen += page["sessions"]
            assert page["total"] == 4
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert seen == everything["sessions"]
        middle = seen[1]["ended_at"]
        for query, count in (
            ({"outcome": "served"}, 3),
            ({"end_reason": "failed"}, 1),
            ({"profile": "default"}, 4),
            ({"profile": "other"}, 0),
            ({"id": seen[2]["id"]}, 1),
            ({"id": "none"}, 0),
            ({"since": middle}, 2),
            ({"until": middle}, 2),
            ({"since": middle, "outcome": "served"}, 1),
        ):
            found = await history_of(front, **query)
            assert (found["total"], len(found["sessions"])) == (count, count), query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("outcome=fine", "$.outcome"),
        ("outcome=", "$.outcome"),
        ("end_reason=none", "$.end_reason"),
        ("profile=../x", "$.profile"),
        ("profile=a%0A", "$.profile"),
        ("since=yesterday", "$.since"),
        ("since=2026-11-27T12:00:00", "$.since"),  # where?
        ("until=1e30", "$.until"),
        ("until=nan", "$.until"),
        ("limit=0", "$.limit"),
        (f"limit={MAX_LIMIT + 1}", "$.limit"),
        ("limit=many", "$.limit"),
        ("limit=1&limit=2", "?limit"),
        ("outcome=null", "?outcome"),
        ("cursor=nonsense", "$.cursor"),
        (f"cursor={'x' * 100}", "$.cursor"),
        ("colour=red", "colour"),
    ],
)
async def test_bad_filter_is_refused_and_named(shared: Front, query: str, field: str) -> None:
    """In the usual shape."""
    answer = await shared.client.get(f"{HISTORY}?{query}")
    assert answer.status_code == 422
    body = answer.json()
    assert (body["error_details"]["code"], body["message"]) == ("INVALID_REQUEST", "Invalid request")
    assert field in body["error_details"]["details"]


@pytest.fixture
async def shared(path: Path) -> AsyncIterator[Front]:
    async with open_kept(path) as front:
        yield front


async def test_daemon_without_a_history_says_so() -> None:
    """Not that nothing has ended."""
    async with open_front() as front:
        answer = await front.client.get(HISTORY)
        assert (answer.status_code, answer.json()) == (
            404,
            error(
                "No history of ended sessions is kept",
                "HISTORY_NOT_KEPT",
                "Either history_days is 0, or there is no place for it: see the log",
            ),
        )


@pytest.fixture
def in_the_way(path: Path) -> Path:
    """A directory in the file's place."""
    path.mkdir()
    return path


async def test_file_that_can_not_be_read_or_written_disturbs_no_session(in_the_way: Path) -> None:
    """Sessions begin and end as always; the history says what is wrong with it."""
    path = in_the_way
    async with open_kept(path) as front:
        session = await front.establish()
        assert (await front.client.delete(session)).status_code == 204
        assert (await front.client.get(session)).json()["session"]["state"] == "ended"
        answer = await front.client.get(HISTORY)
        assert answer.status_code == 503
        assert str(path) not in answer.text


async def test_history_is_for_the_operator(path: Path) -> None:
    """Not without the token, and not with a link to one session."""
    token = "a-token-of-enough-characters"
    async with open_kept(path, token=token) as front:
        assert (await front.client.get(HISTORY)).status_code == 401
        operator = {"Authorization": f"Bearer {token}"}
        session = (await front.create(headers=operator)).headers["Location"]
        link = await front.client.post(f"{session}/links", json={"mode": "control"}, headers=operator)
        guest = {"Authorization": f"Bearer {link.json()['token']}"}
        assert (await front.client.get(HISTORY, headers=guest)).status_code == 403
        assert (await front.client.get(HISTORY, headers=operator)).status_code == 200


TOKENS = """
[worker]
token = "the-worker-s-own-token"
scope = "control"

[shop]
token = "the-shop-s-own-token"
scope = "read"
profiles = ["shop"]
"""


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    """One token for all profiles, and one for a single profile."""
    file = tmp_path / "tokens.toml"
    file.write_text(TOKENS)
    file.chmod(0o600)
    return file


async def test_token_for_some_profiles_sees_their_sessions_only(path: Path, tokens_file: Path) -> None:
    """In the list and in the figures. It gets no address of a bundle that it could not open."""
    worker, shop = ({"Authorization": f"Bearer the-{name}-s-own-token"} for name in ("worker", "shop"))
    machine = FakeMachine()
    async with open_kept(path, machine, tokens_file=tokens_file) as front:
        front.machine.navigate_error = UpstreamUnreachable("The site does not answer")
        for profile in ("default", "shop"):
            await front.create(headers={**worker, "X-Profile": profile})
        front.client.headers.update(worker)
        assert {one["profile"] for one in (await history_of(front, 2))["sessions"]} == {"default", "shop"}
        front.client.headers.update(shop)
        seen = await history_of(front)
        [session] = seen["sessions"]
        assert (session["profile"], seen["total"], seen["outcomes"]["refused"]) == ("shop", 1, 1)
        assert (await history_of(front, profile="default"))["total"] == 0
        assert (await front.client.get(session["bundle"])).status_code == 200
    async with open_kept(path, machine, tokens_file=tokens_file) as front:
        front.client.headers.update(shop)
        assert [one["bundle"] for one in (await history_of(front))["sessions"]] == [None]
        front.client.headers.update(worker)
        for one in (await history_of(front))["sessions"]:
            assert (await front.client.get(one["bundle"])).status_code == 200


async def test_description_has_the_fields_of_the_answer(path: Path) -> None:
    """And the parameters of the query, each of which may be left out."""
    description = describe_api(with_token=False)
    schemas = description["components"]["schemas"]
    async with open_kept(path) as front:
        await front.client.delete(await front.establish())
        answer = await history_of(front, 1)
    assert set(schemas["HistoryAnswer"]["properties"]) == set(answer)
    assert set(schemas["HistoryEntry"]["properties"]) == set(answer["sessions"][0])
    assert set(schemas["Percentiles"]["properties"]) == set(answer["creation_ms"])
    described = description["paths"][HISTORY]["get"]["parameters"]
    parameters = {one["name"]: one for one in described if one["in"] == "query"}
    assert set(parameters) == {
        *("id", "outcome", "end_reason", "profile", "since", "until", "cursor", "limit"),
    }
    assert not any(one.get("required") for one in parameters.values())
    assert parameters["limit"]["schema"]["default"] == 50
    reasons = parameters["end_reason"]["schema"]["$ref"].rpartition("/")[2]
    assert set(schemas[reasons]["enum"]) == {reason.value for reason in EndReason}
