"""The plans of the soaks: how often each fault comes, how long things take, and the settings."""

from collections.abc import Mapping
from pathlib import Path

from greenroom import SupervisorConfig
from tests.soak.faults import Fault
from tests.soak.running import SESSIONS_PER_HOST, Plan

# How many of 100 cycles have each fault. Silent hosts cost seconds, so there are few of them.
_BROWSERLESS: Mapping[Fault, int] = {
    Fault.NONE: 25,
    Fault.DELETED: 15,
    Fault.CALLER_LEFT: 15,
    Fault.HOST_KILLED: 12,
    Fault.BROWSER_KILLED: 8,
    Fault.GARBAGE: 5,
    Fault.STOPPED: 2,
    Fault.UNANSWERED: 2,
    Fault.LAUNCH_REFUSED: 5,
    Fault.UNREACHABLE: 3,
    Fault.NOT_LOGGED_IN: 5,
    Fault.CLONE_FAILS: 3,
}
_BROWSER: Mapping[Fault, int] = {
    Fault.NONE: 25,
    Fault.DELETED: 15,
    Fault.CALLER_LEFT: 15,
    Fault.HOST_KILLED: 12,
    Fault.BROWSER_KILLED: 12,
    Fault.STOPPED: 4,
    Fault.LAUNCH_REFUSED: 5,
    Fault.NOT_LOGGED_IN: 6,
    Fault.CLONE_FAILS: 6,
}


def browserless_plan(cycles: int, concurrency: int, seed: int) -> Plan:
    """Return the plan of a soak without a browser."""
    return Plan(
        cycles=cycles,
        concurrency=concurrency,
        browserless=True,
        weights=_BROWSERLESS,
        seed=seed,
        delay_s=0.25,
        stalled_s=2.5,
        heartbeat_s=0.5,
        alone=0.9,  # so that most other sessions live long enough for their own faults
    )


def browser_plan(cycles: int, concurrency: int, seed: int) -> Plan:
    """Return the plan of a soak with Firefox."""
    return Plan(
        cycles=cycles,
        concurrency=concurrency,
        browserless=False,
        weights=_BROWSER,
        seed=seed,
        delay_s=6.0,
        stalled_s=8.0,
        heartbeat_s=1.0,
        alone=0,
    )


def soak_config(plan: Plan, folder: Path, sandbox: str, url: str) -> SupervisorConfig:
    """Return settings for a soak in `folder`, which has the master profile in `master`."""
    return SupervisorConfig(
        user_data_master_dir=folder / "master",
        clones_dir=folder / "clones",
        tiktok_url=url,
        engine="firefox",
        sandbox=sandbox,
        max_sessions=4 * plan.concurrency,
        max_launching=plan.concurrency,
        sessions_per_host=SESSIONS_PER_HOST,
        warm_sessions=0,
        max_session_duration=0.15 if plan.browserless else 2.0,
        session_creation_timeout=5.0 if plan.browserless else 30.0,
        login_detection_timeout=1.0 if plan.browserless else 8.0,
        login_detection_retries=1,
    )
