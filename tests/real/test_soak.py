"""A short soak without a browser: it runs the machinery of `make soak` in every test run."""

import os
from pathlib import Path

import attrs
import pytest
import trio

from tests.actors.profile.profile_trees import make_profile, snapshot
from tests.patience import patience
from tests.soak.faults import Fault
from tests.soak.plans import browserless_plan, soak_config
from tests.soak.running import Soak, hurried

CYCLES = 40
SOAK_S = patience(60)

pytestmark = pytest.mark.browser  # the real machine looks for a browser, although none is started here


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_sessions_with_random_faults_leave_nothing(tmp_path: Path, sandbox: str) -> None:
    """Sixty sessions with random faults: nothing is left, and each fault explains its session's end."""
    master, broken = (make_profile(tmp_path / name) for name in ("master", "broken"))
    os.mkfifo(broken / "pipe")
    before = snapshot(master)
    plan = browserless_plan(CYCLES, 8, seed=1)
    quick: dict[Fault, int] = {**plan.weights, Fault.UNANSWERED: 0}  # the other faults need no timeouts
    plan = attrs.evolve(plan, weights=quick, batches=2, stalled_s=patience(plan.stalled_s))
    soak = Soak(plan=plan, on_cycle=lambda _: None, on_batch=lambda _: None)
    config = soak_config(plan, tmp_path, sandbox, "http://127.0.0.1:9/")
    config = attrs.evolve(
        config,
        session_creation_timeout=patience(config.session_creation_timeout),
        login_detection_timeout=patience(config.login_detection_timeout),
    )
    with hurried(plan), trio.fail_after(SOAK_S):
        tally = await soak.run(config, broken)
    assert tally.cycles == CYCLES
    assert +tally.leaks == {}
    assert tally.surprises == []
    assert snapshot(master) == before
