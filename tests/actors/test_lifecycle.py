"""What a snapshot of a session says about its creation."""

from datetime import UTC, datetime

import pytest

from greenroom.actors.lifecycle import SessionInfo, SessionState


def lived(**phase_ms: int) -> SessionInfo:
    """Return a session that has been in these states."""
    return SessionInfo(
        id="a",
        state=SessionState.ENDED,
        created_at=datetime.now(UTC),
        expires_at=None,
        verdict=None,
        phase_ms=phase_ms,
        reason=None,
    )


@pytest.mark.parametrize(
    ("phase_ms", "creation_ms", "was_warm"),
    [
        ({"cloning": 1, "queued": 2, "launching": 4, "navigating": 8, "judging": 16, "live": 32}, 31, False),
        ({"cloning": 1, "launching": 2, "warm": 4, "navigating": 8, "judging": 16, "live": 32}, 24, True),
        ({"cloning": 1, "launching": 2, "navigating": 4, "live": 0, "ending": 8}, 7, False),
        ({"cloning": 1, "launching": 2, "warm": 4, "ending": 8}, None, True),
        ({"cloning": 1, "ending": 8}, None, False),
    ],
)
def test_creation_is_what_its_caller_waited_for(
    phase_ms: dict[str, int], creation_ms: int | None, was_warm: bool
) -> None:
    """What a warm session took before somebody asked for it is not, and what came after it was live."""
    session = lived(**phase_ms)
    assert (session.creation_ms, session.was_warm) == (creation_ms, was_warm)
    assert session.was_live == (creation_ms is not None)
