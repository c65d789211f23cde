"""From the configuration to what one session should be."""

import math
import uuid

from greenroom.actors.lifecycle import ProfileUse
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.verdict.detector import LoginDetector
from greenroom.supervisor.config import OnLoginLost, SupervisorConfig


def new_spec(config: SupervisorConfig, profile: ProfileUse) -> SessionSpec:
    """Return the specification of a new session, with an id of its own."""
    return SessionSpec(
        id=str(uuid.uuid4()),
        url=config.tiktok_url,
        headless=config.headless,
        profile=profile,
        creation_timeout_s=config.session_creation_timeout,
        max_duration_s=config.max_session_duration,
        ceiling_s=max(config.max_session_duration, config.max_extended_duration),
        idle_timeout_s=config.idle_timeout or math.inf,
        ends_without_login=config.on_login_lost is OnLoginLost.END,
        recorder_s=config.recorder_seconds,
        recorder_pictures=config.recorder_pictures,
        warm_max_age_s=config.warm_max_age,
        detector=LoginDetector(
            timeout_s=config.login_detection_timeout,
            retries=config.login_detection_retries,
            selectors=config.selectors,
            allow_restricted=config.allow_restricted,
        ),
        budget=config.session_budget,
    )
