"""What a session is to be."""

import attrs

from actors.resources import Budget
from actors.verdict.detector import LoginDetector


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What one session is to be. Times are seconds."""

    id: str
    url: str
    headless: bool
    creation_timeout_s: float
    max_duration_s: float
    warm_max_age_s: float
    detector: LoginDetector
    budget: Budget
