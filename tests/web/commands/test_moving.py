"""`greenroom import` and `export`, in front of a fake machine."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio

from greenroom.actors.errors import LoginFileInvalid, NotLoggedIn, ProfileLocked, ProfileUnusable
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.web.client import ApiError
from greenroom.web.commands.desk import Desk, open_desk
from greenroom.web.commands.login import Way, log_in
from greenroom.web.commands.moving import export_login, import_login
from greenroom.web.groups import sole_error_bare
from greenroom.web.practice import open_practice_site
from tests.actors.profile.logins import keep_login
from tests.actors.profile.profile_trees import locked_by_other_process, make_profile
from tests.actors.profile.test_local_storage import row, write_origin
from tests.web.http.front import Front, make_settings, open_front

URL = "https://www.tiktok.com/"
LATER = datetime.now(UTC) + timedelta(days=30)
LINE = f".tiktok.com\tTRUE\t/\tTRUE\t{int(LATER.timestamp())}\tsessionid\tcanary\n"


@asynccontextmanager
async def desk_at(front: Front) -> AsyncIterator[Desk]:
    """A desk at a daemon that runs."""
    async with open_desk(make_settings(), url=front.url, own=False) as desk:
        yield desk


async def bring(desk: Desk, source: Path, *, takes_all: bool = False) -> list[str]:
    """Import a login; return what the command said."""
    said: list[str] = []
    await import_login(desk, source, said.append, profile="shop", url=URL, takes_all=takes_all)
    return said


async def test_what_is_taken_and_what_is_not_is_said(tmp_path: Path) -> None:
    """Only what is of the site leaves this machine."""
    source = tmp_path / "cookies.txt"
    expired = LINE.replace("sessionid", "old").replace(str(int(LATER.timestamp())), "1700000000")
    source.write_text(LINE + expired + LINE.replace(".tiktok.com", ".other.test"))
    async with open_front() as front, desk_at(front) as desk:
        assert await bring(desk, source) == [
            "Left out, since they have expired: old.",
            "Left out, since they are of other sites: 1. --all takes them, too.",
            "Trying the login in a browser, with 1 cookie ...",
            "Logged in. Saved as generation 1 of the profile shop.",
        ]
        assert "with 2 cookies" in (await bring(desk, source, takes_all=True))[1]


async def test_local_storage_of_a_firefox_profile_is_taken_with_its_cookies(tmp_path: Path) -> None:
    """Of the site, unless all are asked for. What does not fit is said, and what is damaged ends it."""
    source = keep_login(make_profile(tmp_path / "firefox"), host=".tiktok.com", expires_at=LATER)
    path = write_origin(source, [row("a", "ü"), row("b", ""), row("half", "\ud83d")])
    write_origin(source, [row("c", "")], folder="https+++other.test")
    async with open_front() as front, desk_at(front) as desk:
        assert await bring(desk, source) == [
            "Left out, since they are of other sites: 1. --all takes them, too.",
            "Left out of local storage, since they are too large, too many or no text: 1.",
            "Trying the login in a browser, with 1 cookie and local storage of 2 entries ...",
            "Logged in. Saved as generation 1 of the profile shop.",
        ]
        assert "local storage of 3 entries" in (await bring(desk, source, takes_all=True))[1]
        path.write_bytes(b"rotten" * 100)
        with pytest.raises(ProfileUnusable, match=r"What www\.tiktok\.com keeps in local storage"):
            await bring(desk, source)
        assert len(front.machine.committed) == 2


async def test_source_that_can_not_be_read_begins_nothing(tmp_path: Path) -> None:
    """Nor one that a browser has open, nor one without a login."""
    profile = make_profile(tmp_path / "firefox")
    (tmp_path / "bad.txt").write_text(LINE + "x")
    async with open_front() as front, desk_at(front) as desk:
        with pytest.raises(LoginFileInvalid, match=r"Can't read .*missing: No such file"):
            await bring(desk, tmp_path / "missing")
        with pytest.raises(LoginFileInvalid, match="Line 2 has 1 fields"):
            await bring(desk, tmp_path / "bad.txt")
        with locked_by_other_process(profile), pytest.raises(ProfileLocked):
            await bring(desk, profile)
        (profile / "cookies.sqlite").unlink()
        with pytest.raises(LoginFileInvalid, match=r"no login at www\.tiktok\.com that lasts"):
            await bring(desk, profile)
        assert front.machine.uses == {}


async def test_refusal_of_the_daemon_is_told(tmp_path: Path) -> None:
    """With the hint of its verdict."""
    source = tmp_path / "cookies.txt"
    source.write_text(LINE)
    async with open_front(FakeMachine(page=LoginState.LOGGED_OUT)) as front, desk_at(front) as desk:
        with pytest.raises(ApiError, match=r"Not logged in to TikTok: .*login"):
            await bring(desk, source)
        assert front.machine.committed == []


async def test_export_leaves_a_file_that_exists_alone(tmp_path: Path) -> None:
    """Before a browser runs."""
    target = tmp_path / "state.json"
    target.write_text("mine")
    async with open_front() as front, desk_at(front) as desk:
        with pytest.raises(LoginFileInvalid, match="exists already"):
            await export_login(desk, target, lambda _: None, profile="shop", url=URL, takes_all=False)
        assert (target.read_text(), front.machine.uses) == ("mine", {})


async def test_own_desk_raises_what_happened_and_launches_nothing_ahead(tmp_path: Path) -> None:
    """Errors are typed there, so that the command can say what the log would."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    source = tmp_path / "cookies.txt"
    source.write_text(LINE)
    settings = attrs.evolve(make_settings(), warm_sessions=3)

    async def import_there() -> None:
        async with open_desk(settings, own=True, machine=machine) as desk:
            assert desk.is_own
            await bring(desk, source)

    with pytest.raises(NotLoggedIn), sole_error_bare(layers=math.inf):
        await import_there()
    assert [use.name for use in machine.uses.values()] == ["shop"]
    assert (machine.clones, machine.browsers, machine.committed) == (set(), {}, [])


async def test_session_that_was_begun_is_ended_if_the_command_is_stopped(tmp_path: Path) -> None:
    """Its answer may come after that. Nobody else would end it before its time."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT, launch_s=0.3)
    async with open_front(machine) as front, desk_at(front) as desk:
        with trio.move_on_after(0.1) as stopping:
            await log_in(desk, lambda _: None, way=Way.LIVE, profile="shop")
        assert stopping.cancelled_caught
        assert (machine.clones, len(machine.uses)) == (set(), 1)


async def test_daemon_that_runs_is_used_unless_the_command_is_to_be_alone() -> None:
    """What answers there must be one. If nothing does, the command has its own."""
    async with open_front() as front:
        settings = make_settings(bind=front.url.removeprefix("http://"))
        async with open_desk(settings, own=False) as desk:
            assert not desk.is_own
        async with open_desk(settings, own=True, machine=FakeMachine()) as desk:
            assert desk.is_own
    async with open_practice_site() as site:
        settings = make_settings(bind=site.removeprefix("http://"))
        async with open_desk(settings, own=False, machine=FakeMachine()) as desk:
            assert desk.is_own
    async with open_desk(settings, own=False, machine=FakeMachine()) as desk:
        assert desk.is_own
