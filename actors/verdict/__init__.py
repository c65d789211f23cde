"""Who is looking at this page? Evidence on a page, and judgement of it.

The order in which a browser's page is asked is in `actors.verdict.detector`.
"""

from actors.verdict.html import analyse_html, too_long_html
from actors.verdict.policy import Decision, decide
from actors.verdict.verdict import (
    Evidence,
    Finding,
    Gate,
    LoginReason,
    LoginState,
    Method,
    Strength,
    Verdict,
)

__all__ = [
    "Decision",
    "Evidence",
    "Finding",
    "Gate",
    "LoginReason",
    "LoginState",
    "Method",
    "Strength",
    "Verdict",
    "analyse_html",
    "decide",
    "too_long_html",
]
