"""A short siege of a daemon by many clients; `make fuzz` has the long one."""

from tests.patience import patience
from tests.siege.plan import SHORT
from tests.siege.running import run


def test_siege_delays_nobody_and_leaves_nothing() -> None:
    """Idle, slow, large and gone clients, and idle WebSockets, all at once, in front of real sockets."""
    outcome = run(SHORT)
    assert outcome.slowest_s < patience(1.0), outcome.text()
    assert outcome.is_clean, outcome.text()
