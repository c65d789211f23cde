"""What is kept of sessions that fail, with a fake machine in virtual time."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.actions.actions import Click, Dialog, Field, FillForm, Type
from greenroom.actors.actions.inputs import Key, Paste, Text
from greenroom.actors.commands import Act
from greenroom.actors.errors import BrowserLost, CreationTimedOut, GreenroomError, NotLoggedIn
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.recorder.pace import SHARE
from greenroom.actors.resources import Budget
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from tests.actors.session.test_actor import Session, open_session

RECORDED = {"recorder_s": 60}
TINY = Budget(memory_bytes=1, processes=1, disk_bytes=1)


def lines(bundle: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bundle[name].splitlines()]


async def fail(session: Session, machine: FakeMachine, reason: EndReason) -> GreenroomError | None:
    """Wait until the session has failed; return what its caller was told."""
    refusal: GreenroomError | None = None
    if reason in {EndReason.NOT_LOGGED_IN, EndReason.CREATION_TIMEOUT}:
        refusal = await session.refused()
    else:
        await session.established()
        if reason is EndReason.BROWSER_LOST:
            await trio.sleep(5)
            machine.browsers["a"].crash()
    await session.ended.wait()
    assert session.reason is reason
    return refusal


@pytest.mark.parametrize(
    ("reason", "machine", "spec"),
    [
        (EndReason.NOT_LOGGED_IN, {"page": LoginState.LOGGED_OUT}, {}),
        (EndReason.CREATION_TIMEOUT, {"navigate_s": 1e6}, {}),
        (EndReason.BROWSER_LOST, {}, {}),
        (EndReason.OVER_BUDGET, {}, {"budget": TINY}),
    ],
)
async def test_bundle_is_kept_of_a_session_that_fails(
    autojump_clock: MockClock, reason: EndReason, machine: dict[str, Any], spec: dict[str, Any]
) -> None:
    """With what happened, what its pages said, and the page itself if there still was one."""
    fake = FakeMachine(console=["a line"], html=b"<p>the page", **machine)
    async with open_session(fake, **RECORDED, **spec) as session:
        refusal = await fail(session, fake, reason)
    bundle = fake.bundles["a"]
    about = json.loads(bundle["about.json"])
    assert (about["session"], about["reason"]) == ("a", reason.value)
    events = lines(bundle, "events.ndjson")
    assert events[0]["event"] == "cloning"
    assert events[-1] == {**events[-1], "event": "ending", "reason": reason.value}
    assert [line["text"] for line in lines(bundle, "console.ndjson")] == ["a line"]
    has_page = reason is not EndReason.BROWSER_LOST
    assert ("page.html" in bundle, "page.png" in bundle) == (has_page, has_page)
    assert session.actor.info().has_bundle
    if refusal is not None:
        assert refusal.has_bundle


async def test_session_that_ends_well_leaves_no_bundle(autojump_clock: MockClock) -> None:
    """Neither does one without a recorder that fails."""
    fake = FakeMachine()
    async with open_session(fake, **RECORDED) as session:
        await session.established()
        await session.actor.handle.end()
    assert not session.actor.info().has_bundle
    fake.page = LoginState.LOGGED_OUT
    async with open_session(fake) as session:
        refusal = await session.refused()
        await session.ended.wait()
    assert isinstance(refusal, NotLoggedIn)
    assert not refusal.has_bundle
    assert fake.bundles == {}


async def test_only_the_last_time_is_kept(autojump_clock: MockClock) -> None:
    """What happened before is left out."""
    fake = FakeMachine()
    async with open_session(fake, recorder_s=10, max_duration_s=300) as session:
        await session.established()
        handle = session.actor.handle
        await handle.run(Act((Click(target="early"),)))
        await trio.sleep(100)
        await handle.run(Act((Click(target="late"),)))
        fake.browsers["a"].crash()
        await session.ended.wait()
    targets = [line.get("target") for line in lines(fake.bundles["a"], "events.ndjson")]
    assert targets == ["late", None]


async def test_what_was_typed_is_in_no_bundle(autojump_clock: MockClock) -> None:
    """By actions or by hand, in whatever the page says of it."""
    typed = ["typed-by-action", "in-a-form", "pasted-by-hand", "keyed-by-hand", "told-a-dialog"]
    fake = FakeMachine(console=[f"the user said {text}!" for text in typed])
    fake.html = " ".join(typed).encode()
    async with open_session(fake, **RECORDED) as session:
        await session.established()
        handle = session.actor.handle
        await handle.run(Act((Type(target="#a", text=typed[0]), Dialog(text=typed[4]))))
        await handle.run(Act((FillForm(fields=(Field(target="#b", value=typed[1]),)),)))
        lease = (await handle.take_control("Ada", 60)).token
        async with handle.watch("Ada") as watching:
            await watching.do_by_hand(Paste(text=typed[2]), lease)
            for character in typed[3]:
                await watching.do_by_hand(Text(text=character), lease)
            await watching.do_by_hand(Key(key="Enter"), lease)
        await trio.sleep(30)
        fake.browsers["a"].crash()
        await session.ended.wait()
    whole = b"".join(fake.bundles["a"].values())
    assert b"the user said" in whole
    for text in typed:
        assert text.encode() not in whole


@pytest.mark.parametrize(
    "trouble",
    [{"record_s": 1e6}, {"record_error": RuntimeError("a bug")}, {"keep_error": OSError("no space")},
     {"record_error": BrowserLost("gone")}],
    ids=["hangs", "fails", "disk is full", "lost"],
)  # fmt: skip
async def test_recorder_that_fails_harms_no_session(
    autojump_clock: MockClock, trouble: dict[str, Any]
) -> None:
    """The session lives its time, and its failure is answered and cleaned up a little later at most."""
    fake = FakeMachine(**trouble)
    async with open_session(fake, **RECORDED, max_duration_s=60) as session:
        await session.established()
        await session.ended.wait()
        assert (session.reason, trio.current_time()) == (EndReason.EXPIRED, 60)
    fake.navigate_s = 1e6
    started = trio.current_time()
    async with open_session(fake, **RECORDED) as session:
        assert isinstance(await session.refused(), CreationTimedOut)
        assert trio.current_time() - started < 31
        await session.ended.wait()
        assert trio.current_time() - started < 38
    assert ("a" in fake.bundles) == ("keep_error" not in trouble)
    assert session.actor.info().has_bundle == ("keep_error" not in trouble)


async def test_looks_take_a_small_share_of_the_time(autojump_clock: MockClock) -> None:
    """The more they take, the rarer they get; pictures only if they are wished for."""
    fake = FakeMachine(record_s=0.5)
    async with open_session(fake, **RECORDED, recorder_pictures=True, max_duration_s=300) as session:
        await session.established()
        await session.ended.wait()
    assert 0 < len(fake.pictures) <= 300 * SHARE / 0.5
    fake = FakeMachine()
    async with open_session(fake, **RECORDED, max_duration_s=60) as session:
        await session.established()
        await session.ended.wait()
    assert fake.pictures == []
