"""What one session should be."""

import attrs

from greenroom.actors.resources import Budget
from greenroom.actors.verdict.detector import LoginDetector


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What one session should be. Times are in seconds."""

    id: str
    url: str
    headless: bool
    creation_timeout_s: float
    max_duration_s: float
    warm_max_age_s: float
    detector: LoginDetector
    budget: Budget
