"""The launch queue: a fixed number at a time, first come first served."""

import contextlib
from collections import deque
from collections.abc import Iterator

import attrs
import trio

# The weight of the newest launch in the running estimate of how long a launch takes.
_WEIGHT = 0.3


@attrs.define(eq=False, kw_only=True)
class Place:
    """A place among the launching sessions, or in the queue. `deadline` is on Trio's clock."""

    _admission: "Admission"
    deadline: float
    is_patient: bool
    _granted: trio.Event = attrs.field(factory=trio.Event, init=False)
    _since: float = attrs.field(default=0, init=False)

    @property
    def is_free(self) -> bool:
        """Whether `wait` would return at once."""
        return self._admission.has_room_for(self)

    async def wait(self) -> None:
        """Wait until this session may launch."""
        self._admission.stand_in_line(self)
        try:
            await self._granted.wait()
        except trio.Cancelled:
            # Not only at the end of `place`'s block: cleaning up can take long, and needs no place.
            self._admission.leave(self)
            raise

    def grant(self) -> None:
        """Let this session launch."""
        self._since = trio.current_time()
        self._granted.set()

    def leave(self) -> None:
        """Note that this session has launched, and let the next one launch."""
        self._admission.leave(self, launched_in_s=trio.current_time() - self._since)


@attrs.define(eq=False)
class Admission:
    """Lets `max_launching` sessions launch at a time: each launch keeps a core busy for seconds.

    Patient sessions, which no caller waits for, launch one at a time, and only while no other is queued or
    in a hurry.
    """

    max_launching: int
    _places: set[Place] = attrs.field(factory=set, init=False)
    _launching: set[Place] = attrs.field(factory=set, init=False)
    _line: deque[Place] = attrs.field(factory=deque, init=False)
    _patient: deque[Place] = attrs.field(factory=deque, init=False)
    _idle: int = attrs.field(default=0, init=False)  # patient places that don't launch yet
    _hurried: int = attrs.field(default=0, init=False)
    _launch_s: float = attrs.field(default=0, init=False)

    @property
    def queued(self) -> int:
        """How many sessions wait until they may launch."""
        return len(self._line) + len(self._patient)

    @property
    def launching(self) -> int:
        """How many sessions launch now."""
        return len(self._launching)

    @contextlib.contextmanager
    def place(self, *, deadline: float, is_patient: bool = False) -> Iterator[Place]:
        """Own a place: within the block, `wait` for the launch, and `leave` once it is over.

        Leaving the block in any way also leaves the place.
        """
        place = Place(admission=self, deadline=deadline, is_patient=is_patient)
        self._places.add(place)
        self._idle += is_patient
        try:
            yield place
        finally:
            self.leave(place)

    @contextlib.contextmanager
    def hurry(self) -> Iterator[None]:
        """Keep patient launches from starting during the block: a caller is about to get a session."""
        self._hurried += 1
        try:
            yield
        finally:
            self._hurried -= 1
            self._admit()

    def overload(self, deadline: float) -> float | None:
        """Return None if a session that came now could probably launch by `deadline`, else a delay.

        After that many seconds it makes sense to try again: by then the next of the launching and queued
        sessions must have launched or given up. The duration of a launch is estimated from those that
        succeeded.
        """
        # `ahead` launches have to end first, `max_launching` at a time; the 1 below is this session's own.
        ahead = len(self._places) - self._idle + 1 - self.max_launching
        now = trio.current_time()
        if ahead <= 0 or now + (ahead / self.max_launching + 1) * self._launch_s <= deadline:
            return None
        return max(0.0, min(place.deadline for place in self._places) - now)

    def stand_in_line(self, place: Place) -> None:
        """Put a place at the end of its queue."""
        (self._patient if place.is_patient else self._line).append(place)
        self._admit()

    def leave(self, place: Place, *, launched_in_s: float | None = None) -> None:
        """Remove a place, if it is still there. A known duration of its launch goes into the estimate."""
        if place not in self._places:
            return
        self._places.remove(place)
        if place in self._launching:
            self._launching.remove(place)
        else:
            self._idle -= place.is_patient
            for line in (self._line, self._patient):
                with contextlib.suppress(ValueError):
                    line.remove(place)
        if launched_in_s is not None:
            weight = _WEIGHT if self._launch_s else 1
            self._launch_s += weight * (launched_in_s - self._launch_s)
        self._admit()

    def has_room_for(self, place: Place) -> bool:
        """Return whether the first in this place's queue may launch."""
        if len(self._launching) >= self.max_launching:
            return False
        if not place.is_patient:
            return True
        return not (self._line or self._hurried or any(other.is_patient for other in self._launching))

    def _admit(self) -> None:
        for line in (self._line, self._patient):
            while line and self.has_room_for(line[0]):
                self._grant(line.popleft())

    def _grant(self, place: Place) -> None:
        self._launching.add(place)
        self._idle -= place.is_patient
        place.grant()
