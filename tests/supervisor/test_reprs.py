"""The reprs of living objects: one short line each, and no secret."""

import gc
from collections.abc import Iterator

import pytest

from tests.web.http.front import open_front

PASSWORD = "hunter2-hunter2-hunter2"
SHORT = 1_500  # a session's information is the longest
LAYERS = ("greenroom.",)


@pytest.fixture
def _others_are_not_seen() -> Iterator[None]:
    """Keep objects that earlier tests left behind out of what the garbage collector lists."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_others_are_not_seen")
async def test_reprs_of_all_that_lives_in_a_daemon_are_short_and_without_secrets() -> None:
    """Tracebacks, debuggers and logs that quote an object show neither token nor proxy password."""
    async with open_front(token=PASSWORD, proxy=f"http://me:{PASSWORD}@host:80", warm_sessions=1) as front:
        for _ in range(2):
            await front.create(headers={"Authorization": f"Bearer {PASSWORD}"})
        seen = set()
        for thing in gc.get_objects():
            kind = type(thing)
            if str(kind.__module__).startswith(LAYERS) and not issubclass(kind, type):
                shown = repr(thing)
                seen.add(kind.__name__)
                assert "hunter2" not in shown, kind
                assert len(shown) <= SHORT, (kind, len(shown), shown[:1000])
                assert "\n" not in shown, kind
    assert seen >= {
        "Supervisor",
        "SessionEvent",
        "DaemonSettings",
        "SessionActor",
        "Registry",
        "EventStream",
    }
