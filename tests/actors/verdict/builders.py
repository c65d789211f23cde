"""Small pages and evidence, made by hand."""

import attrs

from greenroom.actors.verdict import (
    Decision,
    Evidence,
    Gate,
    LoginReason,
    LoginState,
    Strength,
    analyse_html,
    decide,
)
from greenroom.actors.verdict.arrival import Arrival
from greenroom.actors.verdict.dom import challenge as challenged

HERE = Arrival(is_proven=True)
LOGGED_IN, LOGGED_OUT, UNCERTAIN = LoginState.LOGGED_IN, LoginState.LOGGED_OUT, LoginState.UNCERTAIN
UNIVERSAL = "__UNIVERSAL_DATA_FOR_REHYDRATION__"
VIEWER = '{"uid":"6812","uniqueId":"quiet.heron"}'
SOMEBODY = f'{{"__DEFAULT_SCOPE__":{{"webapp.app-context":{{"user":{VIEWER}}}}}}}'
NOBODY = '{"__DEFAULT_SCOPE__":{"webapp.app-context":{"language":"en"}}}'


def script(name: str, text: str) -> str:
    return f'<script id="{name}" type="application/json">{text}</script>'


def code(text: str, id_: str = "") -> str:
    return f'<script id="{id_}">{text}</script>' if id_ else f"<script>{text}</script>"


def pumbaa(flag: str) -> str:
    return f'<meta name="pumbaa-ctx" content="host=www.tiktok.com,login={flag},region=NL">'


def e2e(*names: str) -> str:
    return "".join(f'<div data-e2e="{name}">x</div>' for name in names)


def judge(page: str | bytes, arrival: Arrival = HERE) -> tuple[LoginState, LoginReason]:
    """Judge a page that came from the requested address, unless `arrival` says otherwise."""
    decision = decide(analyse_html(page, arrival).evidence)
    return decision.state, decision.reason


def judge_file(page: str | bytes) -> tuple[LoginState, LoginReason]:
    """Judge a saved page, about which nothing else is known."""
    return judge(page, Arrival())


def piece(points_to: LoginState, strength: Strength, reason: LoginReason) -> Evidence:
    return Evidence(rule="rule", place="place", points_to=points_to, strength=strength, reason=reason)


SEEN = piece(LOGGED_IN, Strength.STRUCTURE, LoginReason.VIEWER_OBJECT)
SEEN_BY_API = piece(LOGGED_IN, Strength.STRUCTURE, LoginReason.VIEWER_API)
ABSENT = piece(LOGGED_OUT, Strength.ABSENCE, LoginReason.VIEWER_OBJECT)
FLAG_IN = piece(LOGGED_IN, Strength.STRUCTURE, LoginReason.LOGIN_FLAG)
FLAG_OUT = piece(LOGGED_OUT, Strength.STRUCTURE, LoginReason.LOGIN_FLAG)
CONTROLS = piece(LOGGED_IN, Strength.DOM, LoginReason.VIEWER_CONTROLS)
BUTTON = piece(LOGGED_OUT, Strength.DOM, LoginReason.LOGIN_BUTTON)
WORDS_IN = piece(LOGGED_IN, Strength.WORDS, LoginReason.NOTHING_FOUND)
CUT_SHORT = piece(UNCERTAIN, Strength.STRUCTURE, LoginReason.UNREADABLE)
BROKEN_DATA = piece(UNCERTAIN, Strength.ABSENCE, LoginReason.UNREADABLE)
CHALLENGE = challenged("rule", "place")
ABSENT_FROM_API = piece(LOGGED_OUT, Strength.ABSENCE, LoginReason.VIEWER_API)
UNKNOWN = piece(UNCERTAIN, Strength.ABSENCE, LoginReason.CONFLICT)
REFUSED = piece(UNCERTAIN, Strength.STRUCTURE, LoginReason.BLOCKED)
GATE = attrs.evolve(piece(UNCERTAIN, Strength.STRUCTURE, LoginReason.ACCOUNT_RESTRICTED), gate=Gate.AGE)
ELSEWHERE = piece(UNCERTAIN, Strength.STRUCTURE, LoginReason.NOT_TIKTOK)


def decided(*evidence: Evidence) -> Decision:
    """Return the decision, after checking that it doesn't depend on the order of the evidence."""
    decision = decide(evidence)
    assert decide(evidence[::-1]) == decision
    return decision


IN_FILE = script(UNIVERSAL, SOMEBODY)
OUT_FILE = script(UNIVERSAL, NOBODY)
