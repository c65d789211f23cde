"""Any sequence of requests, departures and faults: all requests are answered, and no place is lost."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import SessionCount, SessionEvent, Supervisor, SupervisorConfig, open_supervisor
from greenroom.actors.errors import CloneFailed, GreenroomError, ProfileLocked, UpstreamUnreachable
from greenroom.actors.testing import FakeBrowser, FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.supervisor import registry
from greenroom.supervisor.registry import Registry

MAX_SESSIONS = 3
CREATION_S, LIFE_S = 30.0, 60.0
ANSWERED_S = 250.0
SETTLED_S = 400.0
MOMENTS = st.sampled_from([0.0, 0.5, 4.0, 5.0, 10.0, 30.0]) | st.floats(0, 100)
STEPS = ("clone_s", "launch_s", "navigate_s", "inspect_s", "close_s", "remove_s", "survey_s")
MACHINES = st.fixed_dictionaries(
    {},
    optional={step: st.sampled_from([0.0, 0.5, 2.0, 4.0]) for step in STEPS}
    | {"probe_s": st.sampled_from([0.4, 2.0])},
)
# What may go wrong for a while: a field of the machine, or a step that raises an unforeseen error.
MACHINE_FAULTS: dict[str, tuple[str, object]] = {
    "locked": ("clone_error", ProfileLocked()),
    "site down": ("navigate_error", UpstreamUnreachable("HTTP 500")),
    "odd": ("launch_error", KeyError("x")),
    "not removed": ("remove_error", CloneFailed("It could not be removed")),
    "no thread": ("sample_error", RuntimeError("can't start new thread")),
    "logged out": ("page", LoginState.LOGGED_OUT),
    "other master": ("version", "2"),
}
STEP_FAULTS: dict[str, tuple[Any, str]] = {
    "start": (Registry, "_start"),
    "claim": (registry, "_claim"),
    "make room": (Registry, "_make_room"),
    "probe": (FakeBrowser, "probe"),
}
REQUESTS = ["create", "create", "leave", "leave", "keyed", "end", "look", "crash", "drain"]
DEEDS = st.tuples(MOMENTS, st.sampled_from([*REQUESTS, *MACHINE_FAULTS, *STEP_FAULTS]), MOMENTS)


@attrs.define(eq=False)
class Story:
    """One supervisor, its faults, and everybody who asks it for something."""

    machine: FakeMachine
    warm: int
    deeds: list[tuple[float, str, float]]
    waiting: int = 0
    most: int = 0
    wrong: Counter[str] = attrs.field(factory=Counter)

    async def tell(self) -> None:
        """Run the story to its end."""
        config = SupervisorConfig(
            max_sessions=MAX_SESSIONS,
            warm_sessions=self.warm,
            max_launching=2,
            session_creation_timeout=CREATION_S,
            max_session_duration=LIFE_S,
        )
        async with open_supervisor(config, machine=self.machine, subscriber=self._hear) as supervisor:
            async with trio.open_nursery() as nursery:
                for at, deed, lasts_s in self.deeds:
                    nursery.start_soon(self._do, supervisor, at, deed, lasts_s)
            assert self.waiting == 0
            await trio.sleep(SETTLED_S)
            count = await supervisor.count_sessions()
            assert count == SessionCount(sessions=0, warm=count.warm)
            if not any(deed == "drain" for _, deed, _ in self.deeds):
                for _ in range(MAX_SESSIONS):
                    await supervisor.create_session()
                assert await supervisor.count_sessions() == SessionCount(sessions=MAX_SESSIONS, warm=0)
        assert (self.machine.clones, self.machine.browsers) == (set(), {})
        assert self.most <= MAX_SESSIONS

    def _hear(self, _event: SessionEvent) -> None:
        self.most = max(self.most, len(self.machine.clones))

    async def _do(self, supervisor: Supervisor, at: float, deed: str, lasts_s: float) -> None:
        await trio.sleep(at)
        match deed:
            case "create":
                await self._ask(supervisor.create_session())
            case "leave":
                with trio.move_on_after(lasts_s):
                    await self._ask(supervisor.create_session())
            case "keyed":
                with trio.move_on_after(lasts_s):
                    await self._ask(supervisor.create_session("key"))
            case "end":
                for info in await supervisor.list_sessions():
                    await self._ask(supervisor.end_session(info.id))
            case "look":
                await self._ask(supervisor.find_leaks())
            case "drain":
                await self._ask(supervisor.drain(lasts_s))
            case "crash":
                for browser in list(self.machine.browsers.values()):
                    browser.crash()
            case _:
                await self._go_wrong(deed, lasts_s)

    async def _go_wrong(self, fault: str, lasts_s: float) -> None:
        for change in (1, -1):
            self.wrong[fault] += change
            if fault in MACHINE_FAULTS:
                name, value = MACHINE_FAULTS[fault]
                right = getattr(attrs.fields(FakeMachine), name).default
                setattr(self.machine, name, value if self.wrong[fault] else right)
            await trio.sleep(lasts_s)

    async def _ask(self, request: Awaitable[object]) -> None:
        """Wait for the answer. It must come in time and be one of our own errors or results."""
        self.waiting += 1
        try:
            with trio.fail_after(ANSWERED_S):
                await request
        except GreenroomError as error:
            event(type(error).__name__)
        finally:
            self.waiting -= 1


def _failing_if(wrong: Counter[str], fault: str, step: Callable[..., Any]) -> Callable[..., Any]:
    def take(*args: Any, **kwargs: Any) -> Any:
        if wrong[fault]:
            raise RuntimeError("nobody foresaw this")
        return step(*args, **kwargs)

    return take


@settings(max_examples=2 * settings().max_examples)
@given(fields=MACHINES, warm=st.integers(0, 2), deeds=st.lists(DEEDS, max_size=8))
def test_any_story_ends_with_every_answer_given_and_every_place_free(
    fields: dict[str, float], warm: int, deeds: list[tuple[float, str, float]]
) -> None:
    """Whatever goes wrong and when, every request gets its answer and every session ends."""
    story = Story(FakeMachine(**fields), warm, deeds)  # type: ignore[arg-type]  # all of them are seconds
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        for fault, (owner, name) in STEP_FAULTS.items():
            patch.setattr(owner, name, _failing_if(story.wrong, fault, getattr(owner, name)))
        trio.run(story.tell, clock=MockClock(autojump_threshold=0))
