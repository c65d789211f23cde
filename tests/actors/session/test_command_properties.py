"""Any mix of commands, ends, departures and faults: each command is answered once, and the session ends."""

from typing import Any

import attrs
import outcome
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom.actors.admission import Admission
from greenroom.actors.errors import BrowserLost, GreenroomError, InternalFailure, SessionEnded, SessionNotLive
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import SessionInfo, SessionState
from greenroom.actors.resources import Budget
from greenroom.actors.session.actor import CLOSE_GRACE_S, SessionActor
from greenroom.actors.session.mailbox import Caller, SessionHandle
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict.detector import LoginDetector
from tests.actors.session.test_commands import FOR_EVER, Work

CREATION_S, LIFE_S = 30.0, 60.0
MAX_REMOVAL_S, MAX_SLOWNESS_S = 10.0, 20.0

# Many of these times coincide with each other or with a deadline.
MOMENTS = st.sampled_from([0.0, 4.0, 5.0, 8.0, 30.0, 60.0, 64.0, 65.0, 90.0]) | st.floats(0, 100)
MACHINES = st.fixed_dictionaries(
    {},
    optional={
        "launch_s": st.sampled_from([0.0, 4.0, 40.0]),
        "probe_s": st.sampled_from([0.0, 1.0, 4.0]),
        "close_s": st.sampled_from([0.0, 3.0, FOR_EVER]),
        "remove_s": st.floats(0, MAX_REMOVAL_S),
    },
)
ERRORS = st.sampled_from([None, None, GreenroomError("It can't be done"), KeyError("x"), BrowserLost("gone")])
COMMANDS = st.builds(
    Work,
    seconds=st.sampled_from([0.0, 1.0, 4.0, FOR_EVER]) | st.floats(0, 70),
    error=ERRORS,
    slow_to_cancel_s=st.sampled_from([0.0, 0.0, MAX_SLOWNESS_S]),
)


@attrs.define(eq=False, kw_only=True)
class Asker:
    """A caller that asks for a command at some time, waits so long, and remembers the outcome."""

    at: float
    patience_s: float
    command: Work
    answers: list[outcome.Maybe[str]] = attrs.field(factory=list, init=False)
    answered_at: float = attrs.field(default=-1, init=False)
    state_when_asked: SessionState | None = attrs.field(default=None, init=False)
    has_left: bool = attrs.field(default=False, init=False)

    @property
    def leaves_at(self) -> float:
        return self.at + self.patience_s

    async def ask(self, handle: SessionHandle) -> None:
        await trio.sleep(self.at)
        self.state_when_asked = handle.info().state
        with trio.move_on_after(self.patience_s) as patience:
            try:
                self.answers.append(outcome.Value(await handle.run(self.command)))
            except GreenroomError as exc:
                self.answers.append(outcome.Error(exc))
            self.answered_at = trio.current_time()
        self.has_left = patience.cancelled_caught


ASKERS = st.builds(Asker, at=MOMENTS, patience_s=st.just(FOR_EVER) | st.floats(0, 70), command=COMMANDS)


@attrs.define(eq=False)
class Story:
    """One session, its callers, and everything else that happens to it."""

    machine: FakeMachine
    askers: list[Asker]
    deeds: list[tuple[float, str]]
    events: list[SessionEvent] = attrs.field(factory=list)
    ended_at: float = -1
    returned_at: float = -1

    async def tell(self) -> None:
        """Run the story to its end. It can't return while a caller is unanswered."""
        reply_to, _reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](1)
        spec = SessionSpec(
            id="a",
            url="https://example.test/",
            headless=True,
            creation_timeout_s=CREATION_S,
            max_duration_s=LIFE_S,
            warm_max_age_s=600,
            detector=LoginDetector(timeout_s=8, retries=1, selectors={}),
            budget=Budget(memory_bytes=1 << 30, processes=20, disk_bytes=1 << 30),
        )
        actor = SessionActor(
            spec=spec,
            caller=Caller(reply_to=reply_to, deadline=trio.current_time() + CREATION_S),
            machine=self.machine,
            admission=Admission(1),
            publish=self._hear,
        )
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                outside = trio.CancelScope()
                for asker in self.askers:
                    nursery.start_soon(asker.ask, actor.handle)
                for at, deed in self.deeds:
                    nursery.start_soon(self._do, at, deed, actor.handle, outside)
                with outside:
                    await actor.run()
                self.returned_at = trio.current_time()

    def _hear(self, heard: SessionEvent) -> None:
        self.events.append(heard)
        if heard.session.state is SessionState.ENDED:
            self.ended_at = trio.current_time()

    async def _do(self, at: float, deed: str, handle: SessionHandle, outside: trio.CancelScope) -> None:
        await trio.sleep(at)
        match deed:
            case "crash" if self.machine.browsers:
                self.machine.browsers["a"].crash()
            case "end":
                await handle.end()
            case "wait":
                assert (await handle.wait_ended()).state is SessionState.ENDED
            case "cancel" if self.ended_at < 0:
                outside.cancel(reason="from outside")
            case _:
                pass


@settings(max_examples=500, deadline=None)
@given(
    fields=MACHINES,
    askers=st.lists(ASKERS, max_size=6),
    deeds=st.lists(st.tuples(MOMENTS, st.sampled_from(["crash", "end", "wait", "cancel"])), max_size=3),
)
def test_any_story_ends_with_every_command_answered_once(
    fields: dict[str, Any], askers: list[Asker], deeds: list[tuple[float, str]]
) -> None:
    """Callers that stay get exactly one answer, the right one. No command outlives the session."""
    story = Story(FakeMachine(**fields), askers, deeds)
    with capture_logs():
        trio.run(story.tell, clock=MockClock(autojump_threshold=0))
    assert (story.machine.clones, story.machine.browsers) == (set(), {})
    assert 0 <= story.ended_at <= CREATION_S + LIFE_S + CLOSE_GRACE_S + MAX_REMOVAL_S + 0.001
    assert story.ended_at <= story.returned_at <= story.ended_at + MAX_SLOWNESS_S + 0.001
    ending_at = _time_of(story, SessionState.ENDING)
    for asker in story.askers:
        _check(asker, story, ending_at)


def test_command_that_ends_as_its_session_is_cancelled_is_told_why() -> None:
    """Trio runs the tasks of one moment in any order, so this is tried several times."""
    for _ in range(100):
        # The first is asked once the session is live, and so early that its four seconds end at 4 exactly.
        askers = [Asker(at=at, patience_s=FOR_EVER, command=Work()) for at in (1e-280, 4.0, 4.0)]
        story = Story(FakeMachine(probe_s=4.0), askers, [(4.0, "cancel")])
        with capture_logs():
            trio.run(story.tell, clock=MockClock(autojump_threshold=0))
        answers = [answer for asker in askers for answer in asker.answers]
        reasons = {
            answer.error.end_reason
            for answer in answers
            if isinstance(answer, outcome.Error) and isinstance(answer.error, SessionEnded)
        }
        assert reasons <= {story.events[-1].session.reason}


def _time_of(story: Story, state: SessionState) -> float:
    """Return when a session entered a state, according to its receipt."""
    receipt = story.events[-1].session.receipt
    assert receipt is not None
    before = [ms for name, ms in receipt.phase_ms.items() if name != state.value]
    return sum(before) / 1000


def _check(asker: Asker, story: Story, ending_at: float) -> None:
    assert len(asker.answers) == (0 if asker.has_left else 1)
    assert asker.command.is_over or not asker.command.began.is_set()
    if asker.has_left:
        event("left")
        assert asker.command.cancelled_at is None or asker.command.cancelled_at <= asker.leaves_at + 0.01
        return
    [answer] = asker.answers
    command, reason = asker.command, story.events[-1].session.reason
    is_late = asker.at > ending_at + 0.01
    match answer:
        case outcome.Value(value=name):
            event("done")
            assert (name, command.error) == (command.name, None)
            assert command.cancelled_at is None
        case outcome.Error(error=SessionNotLive()):
            event("not live")
            assert asker.state_when_asked not in {SessionState.LIVE, SessionState.ENDING, SessionState.ENDED}
        case outcome.Error(error=SessionEnded() as error):
            event(f"ended: {error.end_reason.value}")
            assert error.end_reason is reason
            assert asker.answered_at <= max(ending_at, asker.at) + 0.01
        case outcome.Error(error=InternalFailure() as error):
            assert error.__cause__ is command.error
        case outcome.Error(error=error):
            assert error is command.error
            assert not isinstance(error, BrowserLost)
    if is_late:
        assert isinstance(answer, outcome.Error)
        assert isinstance(answer.error, SessionEnded)
