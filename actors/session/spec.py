"""What one session should be."""

import math

import attrs

from greenroom.actors.lifecycle import DEFAULT_USE, ProfileUse, Purpose
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.resources import Budget
from greenroom.actors.verdict.detector import LoginDetector


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What one session should be. Times are in seconds.

    Once it is live it may live for `max_duration_s`, and be extended to `ceiling_s`; without a command or a
    client for `idle_timeout_s`, it ends. Of its last `recorder_s`, a bundle is kept if it fails. Its
    browser gets the `state`, if any, before it loads a page.
    """

    id: str
    url: str
    headless: bool
    purpose: Purpose = Purpose.SESSION
    profile: ProfileUse = DEFAULT_USE
    creation_timeout_s: float
    max_duration_s: float
    ceiling_s: float = math.inf
    idle_timeout_s: float = math.inf
    ends_without_login: bool = False
    recorder_s: float = 0
    recorder_pictures: bool = False
    warm_max_age_s: float
    detector: LoginDetector
    budget: Budget
    state: StorageState | None = attrs.field(default=None, repr=False)
