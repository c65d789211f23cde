"""What is kept of a session that ends, in a real supervisor on a fake machine."""

import json
from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import MockClock

from greenroom import SessionEvent, SupervisorConfig, UpstreamUnreachable, Usage, open_supervisor
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.supervisor.api import Supervisor
from greenroom.supervisor.history import EndedSession, Outcome
from greenroom.supervisor.history.entry import entry_of
from greenroom.supervisor.history.rows import row_of

USAGE = Usage(memory_bytes=100, processes=5, disk_bytes=10, files=3)


class Kept(list[EndedSession]):
    """What is kept of the sessions whose events it hears."""

    def hear(self, event: SessionEvent) -> None:
        if (entry := entry_of(event)) is not None:
            self.append(entry)


def config(**changes: object) -> SupervisorConfig:
    base = SupervisorConfig(warm_sessions=0, max_launching=1000)
    return attrs.evolve(base, **changes)  # type: ignore[arg-type]


async def test_session_is_kept_once_when_it_has_ended(autojump_clock: MockClock) -> None:
    """With its times, and the highest of each figure that was sampled."""
    kept = Kept()
    machine = FakeMachine(clone_s=1, launch_s=2, navigate_s=3, usage=USAGE)
    async with open_supervisor(config(), machine=machine, subscriber=kept.hear) as supervisor:
        info = await supervisor.create_session()
        await trio.sleep(6)
        machine.usage = attrs.evolve(USAGE, memory_bytes=700, processes=2)
        await trio.sleep(5)
        machine.usage = attrs.evolve(USAGE, memory_bytes=50, disk_bytes=30)
        await trio.sleep(6)
        assert kept == []
        await supervisor.end_session(info.id)
        receipt = (await supervisor.get_session(info.id)).receipt
    assert receipt is not None
    [entry] = kept
    assert (entry.id, entry.outcome, entry.end_reason) == (info.id, Outcome.SERVED, EndReason.DELETED)
    assert (entry.creation_ms, entry.phase_ms["live"]) == (6000, 17_000)
    assert entry.phase_ms == receipt.phase_ms
    assert (entry.peak_memory_bytes, entry.peak_processes, entry.peak_disk_bytes) == (700, 5, 30)
    assert (entry.processes, entry.bytes_freed) == (receipt.processes, receipt.bytes_freed)
    assert (entry.profile, entry.error, entry.was_warm, entry.has_bundle) == ("default", None, False, False)


async def test_creation_of_a_warm_session_counts_from_its_request(autojump_clock: MockClock) -> None:
    """Nobody waited for what came before. One that nobody has asked for is not kept."""
    kept = Kept()
    machine = FakeMachine(clone_s=1, launch_s=2, navigate_s=3)
    async with open_supervisor(config(warm_sessions=1), machine=machine, subscriber=kept.hear) as supervisor:
        await trio.sleep(60)
        info = await supervisor.create_session()
        await trio.sleep(60)
    [entry] = kept
    assert (entry.id, entry.was_warm, entry.creation_ms) == (info.id, True, 3000)
    assert entry.phase_ms["warm"] > 50_000


async def crash(supervisor: Supervisor, machine: FakeMachine) -> None:
    info = await supervisor.create_session()
    machine.browsers[info.id].crash()
    await supervisor.handle(info.id).wait_ended()


async def expire(supervisor: Supervisor, machine: FakeMachine) -> None:
    await supervisor.create_session()
    await trio.sleep(400)


async def be_refused(supervisor: Supervisor, machine: FakeMachine) -> None:
    machine.navigate_error = UpstreamUnreachable("secret text of an error")
    with pytest.raises(UpstreamUnreachable):
        await supervisor.create_session()


async def be_logged_out(supervisor: Supervisor, machine: FakeMachine) -> None:
    machine.page = LoginState.LOGGED_OUT
    with pytest.raises(Exception, match="not logged in"):
        await supervisor.create_session()


async def leave(supervisor: Supervisor, machine: FakeMachine) -> None:
    machine.launch_s = 20
    with trio.move_on_after(5):
        await supervisor.create_session()
    await trio.sleep(60)


@pytest.mark.parametrize(
    ("happen", "outcome", "reason", "error"),
    [
        (crash, Outcome.BROKEN, EndReason.BROWSER_LOST, "BrowserLost"),
        (expire, Outcome.SERVED, EndReason.EXPIRED, None),
        (be_refused, Outcome.REFUSED, EndReason.FAILED, "UpstreamUnreachable"),
        (be_logged_out, Outcome.REFUSED, EndReason.NOT_LOGGED_IN, "NotLoggedIn"),
        (leave, Outcome.CANCELLED, EndReason.CALLER_LEFT, None),
    ],
)
async def test_outcome_follows_from_how_far_it_came_and_why_it_ended(
    autojump_clock: MockClock,
    happen: Callable[..., object],
    outcome: Outcome,
    reason: EndReason,
    error: str | None,
) -> None:
    """The error's kind is kept, and none of its text."""
    kept, machine = Kept(), FakeMachine()
    async with open_supervisor(config(), machine=machine, subscriber=kept.hear) as supervisor:
        await happen(supervisor, machine)  # type: ignore[misc]
    [entry] = kept
    assert (entry.outcome, entry.end_reason, entry.error) == (outcome, reason, error)
    assert (entry.creation_ms is None) == (outcome in {Outcome.REFUSED, Outcome.CANCELLED})
    assert "secret" not in json.dumps(row_of(entry))


def test_only_fields_of_the_list_are_stored() -> None:
    """What is added to sessions or receipts is not stored before somebody adds it here."""
    assert {field.name for field in attrs.fields(EndedSession)} == {
        *("id", "created_at", "ended_at", "outcome", "end_reason", "error", "profile", "profile_mode"),
        *("purpose", "was_warm", "login_state", "login_reason", "creation_ms", "phase_ms"),
        *("peak_memory_bytes", "peak_processes", "peak_disk_bytes", "processes", "bytes_freed", "left"),
        *("held", "commit", "refused_calls", "has_bundle"),
    }
