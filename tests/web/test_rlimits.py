"""Which limits are too low for which settings."""

import math

import pytest

from greenroom.actors.errors import ResourcesExhausted
from greenroom.supervisor.config import SupervisorConfig
from greenroom.web.rlimits import Limits, check_limits


def config(max_sessions: int, max_launching: int = 2) -> SupervisorConfig:
    return SupervisorConfig(max_sessions=max_sessions, max_launching=max_launching, warm_sessions=0)


@pytest.mark.parametrize(
    ("sessions", "launching", "files", "threads"),
    [(1, 1, 512, 212), (10, 2, 512, 2120), (100, 16, 1888, 21_200), (1, 16, 512, 212)],
)
def test_limits_that_suffice_just_so_are_taken_and_lower_ones_are_not(
    sessions: int, launching: int, files: int, threads: int
) -> None:
    """The need grows with the number of sessions. A browser alone needs a few hundred files."""
    settings = config(sessions, launching)
    check_limits(settings, Limits(files=files, threads=threads))
    check_limits(settings, Limits(files=math.inf, threads=math.inf))
    with pytest.raises(ResourcesExhausted, match=f"{files - 1:,} files, {files:,} are needed"):
        check_limits(settings, Limits(files=files - 1, threads=math.inf))
    with pytest.raises(
        ResourcesExhausted, match=f"{threads - 1:,} threads, {threads:,} are needed"
    ) as caught:
        check_limits(settings, Limits(files=math.inf, threads=threads - 1))
    assert "LimitNPROC" in str(caught.value.detail)
