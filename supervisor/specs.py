"""From the configuration to what one session should be."""

import math
import uuid

from greenroom.actors.lifecycle import Purpose
from greenroom.actors.session.order import Order
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.verdict import Method
from greenroom.actors.verdict.detector import LoginDetector
from greenroom.supervisor.config import OnLoginLost, SupervisorConfig

# While somebody uses the page, it says enough itself, and its site is not asked each time.
_WHILE_USED = (Method.DOM, Method.HTML)


def new_spec(config: SupervisorConfig, order: Order) -> SessionSpec:
    """Return the specification of a new session, with an id of its own."""
    duration_s = config.max_session_duration if order.duration_s is None else order.duration_s
    is_session = order.purpose is Purpose.SESSION
    is_by_hand = order.purpose in {Purpose.LOGIN, Purpose.BROWSE}
    return SessionSpec(
        id=str(uuid.uuid4()),
        url=order.url or config.tiktok_url,
        headless=config.headless if order.headless is None else order.headless,
        purpose=order.purpose,
        profile=order.profile,
        state=order.state,
        creation_timeout_s=config.session_creation_timeout,
        max_duration_s=duration_s,
        ceiling_s=duration_s if is_by_hand else max(duration_s, config.max_extended_duration),
        idle_timeout_s=(is_session and config.idle_timeout) or math.inf,
        ends_without_login=is_session and config.on_login_lost is OnLoginLost.END,
        recorder_s=config.recorder_seconds if is_session else 0,
        recorder_pictures=config.recorder_pictures,
        warm_max_age_s=config.warm_max_age,
        detector=LoginDetector(
            timeout_s=config.login_detection_timeout,
            retries=0 if is_by_hand else config.login_detection_retries,
            selectors=config.selectors,
            methods=_WHILE_USED if is_by_hand else tuple(Method),
            allow_restricted=config.allow_restricted,
        ),
        budget=config.session_budget,
    )
