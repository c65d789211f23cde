"""Who may act in a live session's pages: programs, unless a person has taken control."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import trio

from greenroom.actors.errors import ControlHeld, GreenroomError
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import Held
from greenroom.actors.session.record import SessionRecord

MAX_TTL_S: Final = 3600.0
# How many of those who have held control a session remembers.
MAX_HELD: Final = 100


@attrs.frozen(kw_only=True, repr=False)
class Lease:
    """Control, as it was given to a person. Whoever shows `token` holds it, until `until` at the latest."""

    token: str
    held: Held
    deadline: float

    @property
    def until(self) -> datetime:
        """When it ends by itself."""
        return self.held.until


@attrs.define(eq=False, repr=False)
class Control:
    """Lets programs act, or the one person who has taken control. The session's record shows who it is."""

    _record: SessionRecord
    _lease: Lease | None = attrs.field(default=None, init=False)
    _change: trio.Event = attrs.field(factory=trio.Event, init=False)

    def take(self, by: str, ttl_s: float, token: str | None = None) -> Lease:
        """Give control to a person for `ttl_s`; with the `token` of their lease, for so long from now.

        Raises `ControlHeld` if another person has it.
        """
        before = self._current
        if before is not None and not _is_same(token, before.token):
            raise self._held_error(before)
        if before is None and self._lease is not None:  # it is over, and nobody has noticed yet
            self._note_end(self._lease)
        ttl_s = min(ttl_s, MAX_TTL_S)
        now = datetime.now(UTC)
        held = Held(
            by=before.held.by if before else by,
            since=before.held.since if before else now,
            until=now + timedelta(seconds=ttl_s),
        )
        token = before.token if before else secrets.token_urlsafe(24)
        self._lease = Lease(token=token, held=held, deadline=trio.current_time() + ttl_s)
        self._record.control = held
        self._wake()
        if before is None:
            self._record.publish(EventKind.CONTROL)
        return self._lease

    def give_back(self, token: str | None = None) -> None:
        """Let programs act again. With no `token`, whoever has control loses it; raises `ControlHeld` for a
        wrong one.
        """  # noqa: D205  # one sentence each would say less
        lease = self._current
        if lease is None:
            return
        if token is not None and not _is_same(token, lease.token):
            raise self._held_error(lease)
        self._end(lease)

    def check(self, token: str | None) -> None:
        """Raise `ControlHeld` unless whoever shows `token`, or a program without one, may act now."""
        lease = self._current
        if lease is not None and not _is_same(token, lease.token):
            raise self._held_error(lease)

    def check_by_hand(self, token: str | None) -> None:
        """Raise `ControlHeld` unless whoever shows `token` has control. Programs have other ways to act."""
        if self._current is None:
            error = ControlHeld("Programs have control of this session: take control first")
            raise self._record.add_to(error)
        self.check(token)

    def why_held(self) -> str:
        """Return why programs may not act, for people to read; "" if they may."""
        if (lease := self._current) is None:
            return ""
        until = lease.held.until.isoformat(timespec="seconds")
        return f"CONTROL_HELD: {lease.held.by} has control of this session until {until} at the latest"

    async def wait_held(self) -> None:
        """Return once a person has control."""
        while self._current is None:
            await self._change.wait()

    async def wait_free(self) -> None:
        """Return once programs may act."""
        while self._current is not None:
            await self._change.wait()

    async def run(self) -> None:
        """End leases when their time is over, for as long as the session lives."""
        while True:
            change, lease = self._change, self._lease
            with trio.move_on_at(lease.deadline if lease else float("inf")):
                await change.wait()
                continue
            if lease is not None and self._lease is lease:
                self._end(lease)

    def stop(self) -> None:
        """Note the end of the lease, if there is one: the session ends."""
        if self._lease is not None:
            self._note_end(self._lease)

    @property
    def _current(self) -> Lease | None:
        lease = self._lease
        return lease if lease is not None and trio.current_time() < lease.deadline else None

    def _end(self, lease: Lease) -> None:
        self._note_end(lease)
        self._wake()
        self._record.publish(EventKind.CONTROL)

    def _note_end(self, lease: Lease) -> None:
        self._lease = self._record.control = None
        ended = attrs.evolve(lease.held, until=min(lease.held.until, datetime.now(UTC)))
        self._record.held = (*self._record.held, ended)[-MAX_HELD:]

    def _wake(self) -> None:
        self._change.set()
        self._change = trio.Event()

    def _held_error(self, lease: Lease) -> GreenroomError:
        return self._record.add_to(ControlHeld("A person has control of this session", held=lease.held))


def _is_same(given: str | None, token: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(), token.encode())
