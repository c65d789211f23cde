"""However a local machine's workspace ends, nothing of its session is left. Its hosts are puppets."""

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog.testing
import trio
import trio.testing

from greenroom.actors.browser.cells.marks import pids_of
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.pool import HostPool
from greenroom.actors.errors import (
    BrowserLost,
    CloneFailed,
    EngineUnavailable,
    GreenroomError,
    ResourcesExhausted,
)
from greenroom.actors.ledger import Ledger
from greenroom.actors.profile import ProfileCloner, removal
from greenroom.actors.resources import Needs
from tests.actors.browser.scripted_hosts import PRELUDE, PUPPET, SANDBOXES
from tests.actors.machine.machines import NOTHING, assert_nothing_of, open_puppet_machine
from tests.cancelling import cancelled_at_step
from tests.patience import patience

SOME = Needs(disk_bytes=1, inodes=1, memory_bytes=1, file_descriptors=0, pids=1)


def fail(*_args: object, **_kwargs: object) -> Any:
    raise OSError(errno.EIO, "a test")


async def fail_async(*_args: object, **_kwargs: object) -> Any:
    raise OSError(errno.EIO, "a test")


@pytest.mark.parametrize(
    ("owner", "name", "failure"),
    [
        (ProfileCloner, "look", fail),
        (Ledger, "_write", fail_async),
        (ProfileCloner, "_make_empty", fail),
        (ProfileCloner, "_fill", fail),
        (HostPool, "_find_place", fail),
        ("greenroom.actors.browser.client.host.open_scratch", None, fail),
        (ScraplingFetcherAdapter, "launch", fail_async),
    ],
    ids=["look", "entry", "directory", "copy", "place", "scratch", "launch"],
)
async def test_step_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str | None, failure: object
) -> None:
    """Whichever step of making a workspace or launching in it breaks, the next session works."""
    async with open_puppet_machine(tmp_path) as plain:
        machine = attrs.evolve(plain, needs=SOME)
        host = await machine.pool._members[0].wait_open()  # this host must stay unharmed
        await host.link.wait_ready()
        with monkeypatch.context() as patch:
            patch.setattr(*((owner, name, failure) if name else (owner, failure)))
            with pytest.raises(OSError, match="a test"):
                async with machine.open_workspace("a") as workspace:
                    await workspace.launch(headless=True)
        assert_nothing_of(machine, "a")
        async with machine.open_workspace("a") as workspace:
            await workspace.launch(headless=True)
        assert_nothing_of(machine, "a")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("tell('Failed', id=message.id, session=message.session, detail='no')", EngineUnavailable),
        ("os._exit(1)", BrowserLost),
    ],
    ids=["refused", "host-lost"],
)
async def test_launch_that_fails_leaves_nothing(
    tmp_path: Path, reply: str, error: type[GreenroomError]
) -> None:
    """This includes a second try in another host that is lost too."""
    script = PUPPET.replace("\ndef launch(message):\n", f"\ndef launch(message):\n    {reply}\n    return\n")
    assert script != PUPPET
    async with open_puppet_machine(tmp_path, script) as machine:
        with pytest.raises(error):
            async with machine.open_workspace("a") as workspace:
                await workspace.launch(headless=True)
        assert_nothing_of(machine, "a")
    assert workspace.freed_bytes > 0


@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize("command", ["os._exit(1)", "tell('Lost', session='', detail='gives up')"])
async def test_workspace_whose_host_is_lost_leaves_nothing(
    tmp_path: Path, sandbox: str, command: str
) -> None:
    """Its browser ends with it, even without a sandbox. The next session gets another host."""
    async with open_puppet_machine(tmp_path, sandbox=sandbox) as machine:
        async with machine.open_workspace("a") as workspace:
            browser = await workspace.launch(headless=True)
            with contextlib.suppress(BrowserLost):
                await browser.navigate(command)
            with pytest.raises(BrowserLost):
                await browser.wait_lost()
        assert_nothing_of(machine, "a")
        assert workspace.ended.politely == 0
        async with machine.open_workspace("a") as workspace:
            await (await workspace.launch(headless=True)).navigate("pass")
        assert_nothing_of(machine, "a")


async def test_workspace_cancelled_at_any_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    """From the first look at the master to the last moment of the workspace."""
    async with open_puppet_machine(tmp_path) as plain:
        machine = attrs.evolve(plain, needs=SOME)
        reached = False
        step = 0
        while not reached:
            step += 1
            with trio.fail_after(patience(10)), cancelled_at_step(step) as scope:
                async with machine.open_workspace("a") as workspace:
                    browser = await workspace.launch(headless=True)
                    await browser.navigate("pass")
                    reached = True
                    scope.cancel(reason="no checkpoint is left to try")
            assert_nothing_of(machine, "a")
    assert step > 8


async def test_workspace_cancelled_while_it_ends_leaves_nothing(tmp_path: Path) -> None:
    """A second reason to end doesn't cut short the end that has begun."""
    async with open_puppet_machine(tmp_path) as machine:
        for step in range(1, 25):
            with trio.CancelScope() as scope:
                async with machine.open_workspace("a") as workspace:
                    await workspace.launch(headless=True)
                    scope.cancel(reason="a test")
                    with cancelled_at_step(step):
                        await trio.lowlevel.checkpoint()
            assert_nothing_of(machine, "a")


DEATHS = {
    "before-it-is-ready": "",
    "before-it-is-asked": "ready()",
    "at-its-first-request": "ready(); next(requests())",
}


@pytest.mark.parametrize("does", DEATHS.values(), ids=DEATHS.keys())
@pytest.mark.parametrize("lives", [True, False], ids=["first-alone", "every-host"])
async def test_host_that_dies_before_a_browser_runs_is_tried_once_more(
    tmp_path: Path, does: str, lives: bool
) -> None:
    """The session goes on in another host. If that dies too, the session gets the error.

    The first host lives until the session has its place there: before, the pool would replace it by itself.
    """
    started, is_taken = tmp_path / "started", tmp_path / "is taken"
    dying = f"""
with open({str(started)!r}, "a") as file:
    is_first = not file.tell()
    file.write("x")
if is_first or not {lives}:
    while not os.path.exists({str(is_taken)!r}):
        time.sleep(0.01)
    {does or "pass"}
    sys.exit()
"""
    async with open_puppet_machine(tmp_path, PUPPET.replace(PRELUDE, PRELUDE + dying)) as machine:
        async with machine.open_workspace("a") as workspace:
            is_taken.touch()  # nothing else runs until the launch has taken the place
            with contextlib.nullcontext() if lives else pytest.raises(BrowserLost):
                browser = await workspace.launch(headless=True)
            assert started.read_text() == "xx"
            if lives:
                await browser.navigate("pass")
                assert len(pids_of(workspace.entry.marker)) == 1
                assert await trio.Path(workspace.entry.scratch).is_dir()
        assert_nothing_of(machine, "a")


async def test_browser_that_is_lost_at_its_launch_is_not_tried_again(tmp_path: Path) -> None:
    """The profile may be the cause, so only the loss of a host is worth a second try."""
    script = PUPPET.replace(
        "\nready()\n",
        "\nhandlers['Launch'] = lambda m: tell('Lost', session=m.session, detail='crashed')\nready()\n",
    )
    async with open_puppet_machine(tmp_path, script) as machine:
        with pytest.raises(BrowserLost) as caught, structlog.testing.capture_logs() as logs:
            async with machine.open_workspace("a") as workspace:
                await workspace.launch(headless=True)
        assert caught.value.detail == "crashed"
        assert logs == []
        assert_nothing_of(machine, "a")


async def test_promise_is_kept_once_the_browser_runs(tmp_path: Path) -> None:
    """The promise counts as used once the clone is made and the browser launched, not after a mere try."""
    refusing = """
def refuse(message):
    handlers["Launch"] = launch
    tell("Failed", id=message.id, session=message.session, detail="no")
handlers["Launch"] = refuse
ready()
"""
    async with open_puppet_machine(tmp_path, PUPPET.replace("\nready()\n", refusing)) as plain:
        machine = attrs.evolve(plain, needs=SOME)
        async with machine.open_workspace("a") as workspace:
            assert machine.promises.outstanding == attrs.evolve(SOME, disk_bytes=0, inodes=0)
            with pytest.raises(EngineUnavailable):
                await workspace.launch(headless=True)
            assert machine.promises.outstanding == attrs.evolve(SOME, disk_bytes=0, inodes=0)
        async with machine.open_workspace("b") as workspace:
            await workspace.launch(headless=True)
            assert machine.promises.outstanding == NOTHING


async def test_refusal_for_want_of_room_leaves_nothing(tmp_path: Path) -> None:
    """Nor does it use up room that was promised to others."""
    async with open_puppet_machine(tmp_path) as machine:
        async with attrs.evolve(machine, needs=SOME).open_workspace("b"):
            with pytest.raises(ResourcesExhausted):
                async with attrs.evolve(machine, needs=Needs(pids=1 << 60)).open_workspace("a"):
                    pytest.fail("there is a clone")
            assert machine.promises.outstanding.pids == SOME.pids
        assert_nothing_of(machine, "a")
        assert_nothing_of(machine, "b")


async def test_clone_that_stays_is_reported_and_listed_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser, its temporary files and the promise are gone all the same."""

    def refuse(path: Path) -> None:
        if path.name == "a":
            raise CloneFailed("It can't be removed")
        remove(path)

    remove: Callable[[Path], None] = removal.remove_tree
    async with open_puppet_machine(tmp_path) as machine:
        with monkeypatch.context() as patch:
            patch.setattr(removal, "remove_tree", refuse)
            with pytest.raises(CloneFailed):
                async with machine.open_workspace("a") as workspace:
                    await workspace.launch(headless=True)
        assert workspace.left == ("a",)
        assert pids_of(workspace.entry.marker) == []
        assert not await trio.Path(workspace.entry.scratch).exists()
        assert machine.promises.outstanding == NOTHING
        assert (await machine.survey()).kinds_of("a") == ("clone", "ledger entry")
        remove(Path(workspace.entry.clone))
        async with machine.ledger.hold("a"):
            pass
        assert_nothing_of(machine, "a")
