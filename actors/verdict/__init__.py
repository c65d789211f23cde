"""Decides who is looking at a page: finds the evidence on it, and judges it.

`greenroom.actors.verdict.detector` asks a page in a browser, method after method.
"""

from greenroom.actors.verdict.html import analyse_html, too_long_html
from greenroom.actors.verdict.policy import Decision, decide
from greenroom.actors.verdict.verdict import (
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
