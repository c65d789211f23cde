"""Who is looking at this page? Pure judgement on a page's content, and the order in which to ask."""

from actors.verdict.detector import InspectablePage, LoginDetector
from actors.verdict.dom import SELECTOR_NAMES, judge_elements
from actors.verdict.html import LOGGED_IN_INDICATORS, LOGGED_OUT_INDICATORS, analyse_html
from actors.verdict.verdict import Finding, LoginState, Method, Verdict

__all__ = [
    "LOGGED_IN_INDICATORS",
    "LOGGED_OUT_INDICATORS",
    "SELECTOR_NAMES",
    "Finding",
    "InspectablePage",
    "LoginDetector",
    "LoginState",
    "Method",
    "Verdict",
    "analyse_html",
    "judge_elements",
]
