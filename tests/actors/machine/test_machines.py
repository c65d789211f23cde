"""What every machine does for a session. The same tests run on the fake machine and on the local one."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from greenroom.actors.browser.client.pool import open_pool
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import (
    BrowserLost,
    EngineUnavailable,
    GreenroomError,
    NotLoggedIn,
    ProfileLocked,
    ProfileNotFound,
    ResourcesExhausted,
    UpstreamUnreachable,
)
from greenroom.actors.lifecycle import ProcessCount, ProfileUse
from greenroom.actors.machine.local import LocalMachine
from greenroom.actors.machine.ports import Browser, Machine
from greenroom.actors.resources import Needs
from greenroom.actors.testing import FakeBrowser, FakeMachine
from greenroom.actors.verdict import LoginReason, LoginState, Method, Verdict
from tests.actors.browser.scripted_hosts import PRELUDE, PUPPET
from tests.actors.machine.machines import AMPLE, open_puppet_machine
from tests.actors.profile.test_generations import killed_while_making

URL = "pass"  # a puppet runs the URL that it is asked to load


@attrs.frozen(kw_only=True)
class Subject:
    """A machine under test, and how to act on it from outside. `refuse` makes its launches fail."""

    machine: Machine
    change_master: Callable[[], None]
    remove_master: Callable[[], None]
    refuse: Callable[[], None]
    lose: Callable[[Browser], Awaitable[None]]
    fill: Callable[[], Machine]

    async def kinds_of(self, session: str) -> set[str]:
        """Return which kinds of things a session has. Where its temporary files are doesn't matter."""
        return set((await self.machine.survey()).kinds_of(session)) - {"scratch"}


def fake_subject() -> Subject:
    """Return a fake machine."""
    machine = FakeMachine()
    nobody = Verdict(state=LoginState.LOGGED_OUT, reason=LoginReason.NO_PROFILE, method=Method.HTML)

    def fail_with(name: str, error: GreenroomError) -> FakeMachine:
        setattr(machine, name, error)
        return machine

    async def lose(browser: Browser) -> None:
        assert isinstance(browser, FakeBrowser)
        browser.crash()

    machine.site_error = UpstreamUnreachable("The site can't be reached")
    return Subject(
        machine=machine,
        change_master=lambda: setattr(machine, "version", "2"),
        remove_master=lambda: setattr(machine, "clone_error", NotLoggedIn(nobody)),
        refuse=lambda: setattr(machine, "launch_error", EngineUnavailable("The browser does not start")),
        lose=lose,
        fill=lambda: fail_with("clone_error", ResourcesExhausted("There is too little memory")),
    )


# A puppet whose browsers show a page, end when asked to, and don't start while there is a `flag`.
_BROWSERS = """
browsers = {}

def launch(message):
    if os.path.exists(FLAG):
        return tell("Failed", id=message.id, session=message.session, detail="no")
    markers[message.session] = message.marker
    browsers[message.session] = start(message.marker)
    while message.marker not in environ_of(browsers[message.session]): pass
    done(message)

def close(message):
    browsers[message.session].kill()
    browsers[message.session].wait()
    done(message)

def inspect(message):
    tell("Found", id=message.id, session=message.session, finding={"method": message.method})

def navigate(message):
    obey(message) if message.url else done(message)

handlers |= {"Launch": launch, "Navigate": navigate, "Close": close, "Inspect": inspect}
ready()
"""


@contextlib.asynccontextmanager
async def open_local_subject(folder: Path) -> AsyncIterator[Subject]:
    """Open a local machine with puppets as hosts."""
    flag = folder / "flag"
    script = PUPPET.replace("\nready()\n", f"\nFLAG = {str(flag)!r}\n{_BROWSERS}")
    async with open_puppet_machine(folder, script) as machine:
        master = machine.cloner.master

        async def lose(browser: Browser) -> None:
            await browser.navigate("tell('Lost', session=message.session, detail='crashed')")

        def fill() -> LocalMachine:
            return attrs.evolve(machine, needs=Needs(memory_bytes=1 << 60))

        yield Subject(
            machine=machine,
            change_master=(master / "new").touch,
            remove_master=lambda: (master.rename(folder / "elsewhere"), None)[1],
            refuse=flag.touch,
            lose=lose,
            fill=fill,
        )


@pytest.fixture(params=["fake", "local"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    """A machine of each kind."""
    if request.param == "fake":
        yield fake_subject()
    else:
        async with open_local_subject(tmp_path) as local:
            yield local


async def test_workspace_has_a_clone_then_a_browser_then_nothing(subject: Subject) -> None:
    """On entry it has only the clone. The launch adds processes, and leaving removes everything."""
    async with subject.machine.open_workspace("a") as workspace:
        assert workspace.profile_version == await subject.machine.profile_version()
        assert await subject.kinds_of("a") == {"clone", "ledger entry"}
        assert (workspace.ended, workspace.freed_bytes, workspace.left) == (ProcessCount(), 0, ())
        browser = await workspace.launch(headless=True)
        assert await subject.kinds_of("a") == {"clone", "ledger entry", "processes"}
        await browser.rehearse(URL)
        await browser.navigate(URL)
        await browser.refresh()
        await browser.probe()
        assert (await browser.inspect(Method.HTML, {})).method is Method.HTML
        usage = await workspace.measure()
        assert usage.processes > 0
        assert usage.disk_bytes > 0
    assert await subject.kinds_of("a") == set()
    assert workspace.ended.by_force > 0
    assert workspace.ended.politely == 0
    assert workspace.freed_bytes > 0
    assert workspace.left == ()


async def test_browser_that_closes_politely_is_not_killed(subject: Subject) -> None:
    """The counts of closed and killed processes show it."""
    async with subject.machine.open_workspace("a") as workspace:
        browser = await workspace.launch(headless=True)
        await browser.close()
    assert workspace.ended.politely > 0
    assert workspace.ended.by_force == 0


async def test_workspace_without_a_launch_ended_no_process(subject: Subject) -> None:
    """A session that leaves the queue for a launch has only a clone to remove."""
    async with subject.machine.open_workspace("a") as workspace:
        pass
    assert workspace.ended == ProcessCount()
    assert workspace.freed_bytes > 0
    assert await subject.kinds_of("a") == set()


async def test_lost_browser_is_noticed_and_leaves_nothing(subject: Subject) -> None:
    """Waiters learn of it, and so do later requests. The other session lives on."""
    async with subject.machine.open_workspace("b") as other:
        b = await other.launch(headless=True)
        async with subject.machine.open_workspace("a") as workspace:
            a = await workspace.launch(headless=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_expect_loss, a)
                await trio.testing.wait_all_tasks_blocked(0.01)
                with contextlib.suppress(BrowserLost):
                    await subject.lose(a)
            with pytest.raises(BrowserLost):
                await a.probe()
        assert await subject.kinds_of("a") == set()
        await b.navigate(URL)
        assert await subject.kinds_of("b") == {"clone", "ledger entry", "processes"}
    assert await subject.kinds_of("b") == set()


async def _expect_loss(browser: Browser) -> None:
    with pytest.raises(BrowserLost):
        await browser.wait_lost()


async def test_launch_that_is_refused_leaves_nothing(subject: Subject) -> None:
    """What was started for the launch goes away with the workspace."""
    subject.refuse()
    with pytest.RaisesGroup(EngineUnavailable, allow_unwrapped=True):
        async with subject.machine.open_workspace("a") as workspace:
            await workspace.launch(headless=True)
    assert await subject.kinds_of("a") == set()


async def test_missing_master_is_reported_on_entering(subject: Subject) -> None:
    """Nothing was made. Asking for the version gives the same error."""
    subject.remove_master()
    with pytest.raises(NotLoggedIn):
        async with subject.machine.open_workspace("a"):
            pytest.fail("there is a clone")
    with pytest.raises(NotLoggedIn):
        await subject.machine.profile_version()
    assert await subject.kinds_of("a") == set()


async def test_master_that_changes_has_another_version(subject: Subject) -> None:
    """A workspace keeps the version that it was made from."""
    async with subject.machine.open_workspace("a") as workspace:
        before = workspace.profile_version
        subject.change_master()
        assert workspace.profile_version == before != await subject.machine.profile_version()
        async with subject.machine.open_workspace("b") as later:
            assert later.profile_version == await subject.machine.profile_version()


async def test_machine_without_room_refuses(subject: Subject) -> None:
    """It refuses before anything exists."""
    with pytest.raises(ResourcesExhausted, match="memory"):
        async with subject.fill().open_workspace("a"):
            pytest.fail("there is a clone")
    assert await subject.kinds_of("a") == set()


@pytest.mark.parametrize("is_launched", [False, True], ids=["cloned", "launched"])
async def test_error_in_the_block_comes_out_and_leaves_nothing(subject: Subject, is_launched: bool) -> None:
    """The error may come out in a group."""
    with pytest.RaisesGroup(ProfileLocked, allow_unwrapped=True):
        async with subject.machine.open_workspace("a") as workspace:
            if is_launched:
                await workspace.launch(headless=True)
            raise ProfileLocked
    assert await subject.kinds_of("a") == set()
    assert workspace.freed_bytes > 0


@pytest.mark.parametrize("is_launched", [False, True], ids=["cloned", "launched"])
async def test_cancellation_in_the_block_leaves_nothing(subject: Subject, is_launched: bool) -> None:
    """The cancellation that ends the session doesn't cut its cleanup short."""
    with trio.CancelScope() as scope:
        async with subject.machine.open_workspace("a") as workspace:
            if is_launched:
                await workspace.launch(headless=True)
            scope.cancel(reason="a test")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert await subject.kinds_of("a") == set()
    assert workspace.freed_bytes > 0


async def test_browser_has_the_proxy_of_its_profile(tmp_path: Path) -> None:
    """Others have the usual one. No password is in what a host that fails says."""
    tells = """
ready()
for message in requests():
    tell("Failed", id=message.id, session=message.session, detail=f"{message.proxy} hunter2")
"""
    own = Proxy(server="http://own:80", username="me", password="hunter2")
    async with open_puppet_machine(tmp_path, PRELUDE + tells) as machine:
        hosts = attrs.evolve(machine.pool.hosts, proxy=Proxy(server="http://usual:80"), proxies={"shop": own})
        (machine.store.make("shop") / "prefs.js").touch()
        async with open_pool(hosts, sessions_per_host=1, budget=AMPLE) as pool:
            behind = attrs.evolve(machine, pool=pool)
            for name, server in (("shop", "http://own:80"), ("default", "http://usual:80")):
                async with behind.open_workspace(name, ProfileUse(name=name)) as workspace:
                    with pytest.raises(EngineUnavailable) as told:
                        await workspace.launch(headless=True)
                assert server in str(told.value.detail)
                assert "hunter2" not in str(told.value.detail)


async def test_problems_that_would_stop_sessions_are_reported(subject: Subject) -> None:
    """There is a place for clones, but nobody listens at the site's address."""
    assert await subject.machine.place_problem() is None
    with pytest.raises(UpstreamUnreachable, match="The site can't be reached"):
        await subject.machine.reach_site()


async def test_profile_of_a_first_login_that_was_killed_is_gone_at_the_next_start(tmp_path: Path) -> None:
    """So a session of it is of no profile, rather than of one that nobody is logged in to."""
    store = tmp_path / "profiles"
    store.mkdir()
    await trio.to_thread.run_sync(killed_while_making, store / "shop")
    assert (store / "shop").is_dir()
    (store / "mine").mkdir()
    async with open_puppet_machine(tmp_path) as machine:
        assert [profile.name for profile in await machine.profiles()] == ["default", "mine"]
        with pytest.raises(ProfileNotFound):
            async with machine.open_workspace("a", ProfileUse(name="shop")):
                pass
    assert [path.name for path in store.iterdir()] == ["mine"]
