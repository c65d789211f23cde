"""Any machine and any sequence of events: a session ends once, for one reason, and leaves nothing."""

import math
from typing import Any

import attrs
import outcome
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom.actors.admission import Admission
from greenroom.actors.errors import (
    CleanupIncomplete,
    CloneFailed,
    GreenroomError,
    ProfileLocked,
    UpstreamUnreachable,
)
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import EndReason, SessionInfo, SessionState
from greenroom.actors.resources import Budget, Usage
from greenroom.actors.session.actor import CLOSE_GRACE_S, SessionActor
from greenroom.actors.session.mailbox import Caller
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.actors.verdict.detector import LoginDetector

CREATION_S = 30.0
LIFE_S = 60.0
MAX_REMOVAL_S = 25.0
BUDGET = Budget(memory_bytes=1 << 30, processes=20, disk_bytes=1 << 30)
WITHIN, BEYOND = (Usage(memory_bytes=size, processes=2, disk_bytes=1) for size in (1, 2 << 30))

# Some of these times coincide with deadlines.
DURATIONS = st.sampled_from([0.0, 0.0, 0.5, 4.0, 8.0, 16.0, 29.0, 30.0, 31.0, math.inf]) | st.floats(0, 40)
ERRORS = st.sampled_from([None, None, None, ProfileLocked(), UpstreamUnreachable("HTTP 500"), KeyError("x")])
MOMENTS = st.sampled_from([0.0, 5.0, 8.0, 16.0, 30.0, 30.9, 60.0, 65.0, 90.0]) | st.floats(0, 130)
MACHINES = st.fixed_dictionaries(
    {},
    optional={
        "clone_s": DURATIONS,
        "launch_s": DURATIONS,
        "navigate_s": DURATIONS,
        "inspect_s": DURATIONS,
        "close_s": DURATIONS,
        "remove_s": st.floats(0, MAX_REMOVAL_S),
        "page": st.sampled_from(LoginState),
        "clone_error": ERRORS,
        "launch_error": ERRORS,
        "navigate_error": ERRORS,
        "remove_error": st.just(CloneFailed("It could not be removed")),
        "sample_error": st.just(RuntimeError("can't start new thread")),
    },
)
DEEDS = st.sampled_from(["crash", "delete", "leave", "cancel", "grow"])


@attrs.define(eq=False)
class Story:
    """One session, everything that happens to it, and all its answers."""

    machine: FakeMachine
    deeds: list[tuple[float, str]]
    events: list[SessionEvent] = attrs.field(factory=list)
    answers: list[tuple[float, outcome.Maybe[SessionInfo]]] = attrs.field(factory=list)
    owned_at_answer: list[bool] = attrs.field(factory=list)
    deletions: int = 0
    confirmed: int = 0
    hung_up: bool = False
    cancelled: bool = False
    closed: bool = False
    ended_at: float = math.inf

    async def tell(self) -> None:
        """Run the story to its end."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](1)
        spec = SessionSpec(
            id="a",
            url="https://example.test/",
            headless=True,
            creation_timeout_s=CREATION_S,
            max_duration_s=LIFE_S,
            warm_max_age_s=600,
            detector=LoginDetector(timeout_s=8, retries=1, selectors={}),
            budget=BUDGET,
        )
        caller = Caller(reply_to=reply_to, deadline=trio.current_time() + CREATION_S)
        actor = SessionActor(
            spec=spec,
            caller=caller,
            machine=self.machine,
            admission=Admission(1),
            publish=self.events.append,
        )
        waiting, outside = trio.CancelScope(), trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait, reply, caller, waiting)
            for at, deed in self.deeds:
                nursery.start_soon(self._do, at, deed, actor, waiting, outside)
            with outside:
                await actor.run()
            self.ended_at = trio.current_time()
            while not (self.closed and self.deletions == self.confirmed):
                with trio.fail_after(1):  # a caller that still waits would wait forever
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel(reason="the story is over")

    async def _wait(
        self, reply: trio.MemoryReceiveChannel[Any], caller: Caller, waiting: trio.CancelScope
    ) -> None:
        """Wait for answers, as the supervisor's caller does: once answered, leaving means nothing."""
        with reply, waiting:
            async for answer in reply:
                self.answers.append((trio.current_time(), answer))
                self.owned_at_answer.append(bool(self.machine.clones or self.machine.browsers))
        self.closed = True
        if waiting.cancelled_caught and not self.answers:  # otherwise the answer came at that very moment
            self.hung_up = True
            caller.leave()

    async def _do(
        self, at: float, deed: str, actor: SessionActor, waiting: trio.CancelScope, outside: trio.CancelScope
    ) -> None:
        await trio.sleep(at)
        match deed:
            case "crash" if "a" in self.machine.browsers:
                self.machine.browsers["a"].crash()
            case "grow":
                self.machine.usage = BEYOND
            case "leave" if not self.answers:
                waiting.cancel(reason="the caller leaves")
            case "cancel" if math.isinf(self.ended_at):
                self.cancelled = True
                outside.cancel(reason="from outside")
            case "delete" if math.isinf(self.ended_at):
                await self._delete(actor)
            case _:
                pass

    async def _delete(self, actor: SessionActor) -> None:
        self.deletions += 1
        try:
            await actor.handle.end()
        except CleanupIncomplete:  # it had to look and couldn't
            assert self.machine.remove_error
            assert self.machine.sample_error
        assert (self.machine.clones, self.machine.browsers) == (set(), {})
        self.confirmed += 1


@settings(max_examples=5 * settings().max_examples)
@given(fields=MACHINES, deeds=st.lists(st.tuples(MOMENTS, DEEDS), max_size=4))
def test_any_story_ends_with_nothing_owned_one_reason_and_one_answer(
    fields: dict[str, Any], deeds: list[tuple[float, str]]
) -> None:
    """Whatever happens and when: clean, in order and in time, and each waiter gets exactly one answer."""
    machine = FakeMachine(usage=WITHIN, **fields)
    story = Story(machine, deeds)
    with capture_logs():
        trio.run(story.tell, clock=MockClock(autojump_threshold=0))
    assert (machine.clones, machine.browsers) == (set(), {})
    _check_states(story)
    _check_answers(story)
    assert story.ended_at <= CREATION_S + LIFE_S + CLOSE_GRACE_S + MAX_REMOVAL_S + 0.001


def _check_states(story: Story) -> None:
    """Each state comes once, in order, ending included. There is one reason from then on."""
    states = [heard.session.state for heard in story.events]
    order: list[SessionState] = [
        state for state in SessionState if state not in {SessionState.QUEUED, SessionState.WARM}
    ]
    assert states == sorted(set(states), key=order.index)
    assert states[0] is SessionState.CLONING
    assert states[-2:] == [SessionState.ENDING, SessionState.ENDED]
    assert states[:-2] == order[: len(states) - 2]
    *before, ending, ended = (heard.session.reason for heard in story.events)
    assert set(before) <= {None, ended}
    assert ending is ended is not None
    receipt = story.events[-1].session.receipt
    assert receipt is not None
    assert receipt.reason is ended
    assert set(receipt.phase_ms) == {state.value for state in states[:-1]}
    event(ended.value)
    if ended is EndReason.CALLER_LEFT:
        assert story.hung_up
    if ended is EndReason.SHUTDOWN:
        assert story.cancelled


def _check_answers(story: Story) -> None:
    """One answer, in time. None if the caller left, and at most one if the whole nursery was cancelled."""
    assert len(story.answers) <= 1
    if not story.hung_up and not story.cancelled:
        assert len(story.answers) == 1
    if story.hung_up:
        assert story.answers == []
    live = any(heard.session.state is SessionState.LIVE for heard in story.events)
    for at, answer in story.answers:
        assert at <= CREATION_S + 1
        if isinstance(answer, outcome.Value):
            assert live
            assert answer.value.state is SessionState.LIVE
        else:
            assert not live
            assert isinstance(answer.error, GreenroomError)
            late = at >= CREATION_S
            assert late or story.owned_at_answer == [False]
