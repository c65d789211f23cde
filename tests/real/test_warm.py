"""Warm sessions on a real browser: handed out, replaced when the login changes, gone at the end."""

import os
from collections.abc import Set as AbstractSet

import pytest
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.programs import programs
from tests.real.conftest import POLL_S, Client, clones_in, open_client

pytestmark = pytest.mark.browser

PATIENCE_S = patience(60)


async def until_warm(client: Client, *, without: AbstractSet[str] = frozenset()) -> str:
    """Wait until a session other than `without` is warm; return its id."""
    with trio.fail_after(PATIENCE_S):
        while True:
            listed = (await client.http.get("/tiktok/session")).json()
            ids = {path.name for path in clones_in(client.clones_dir)} - without
            if listed["warm"] == 1 and len(ids) == 1:
                return ids.pop()
            await trio.sleep(POLL_S)


async def test_request_gets_the_warm_session_and_the_next_one_another(settings: DaemonSettings) -> None:
    """The warm browser becomes the session. Until then it counts as owned, not as leaked."""
    async with open_client(settings, warm_sessions=1) as client:
        ahead = await until_warm(client)
        leaks = (await client.http.get("/leaks")).json()
        owners = {process["session"] for process in leaks["owned"]["processes"]}
        assert {owner for owner in owners if not owner.startswith("host-")} == {ahead}
        assert leaks["message"] == "Nothing is leaked"
        answer = await client.create()
        assert (answer.status_code, answer.headers["X-Session-Id"]) == (200, ahead)
        session = await client.session(answer.headers["Location"])
        assert "warm" in session["phase_ms"]
        assert await until_warm(client, without={ahead}) != ahead


async def test_changed_master_and_killed_browser_are_not_handed_out(settings: DaemonSettings) -> None:
    """A clone of an older login, and a browser that died while it waited, are replaced before any request."""
    async with open_client(settings, warm_sessions=1) as client:
        stale = await until_warm(client)
        os.utime(settings.user_data_master_dir / "cookies.sqlite")
        dead = await until_warm(client, without={stale})
        for program in programs(own_processes()):
            if "firefox" in program.name and program.has(str(settings.clones_dir)):
                program.kill()
        answer = await client.create()
        assert answer.status_code == 200
        assert answer.headers["X-Session-Id"] not in {stale, dead}
        ended = (await client.http.get(f"/tiktok/session/{stale}")).json()["session"]
        assert ended["end_reason"] == "discarded"
