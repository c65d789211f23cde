"""From evidence to a verdict: the only place that decides who is looking at a page."""

from collections.abc import Iterable, Sequence

import attrs

from greenroom.actors.verdict.verdict import Evidence, Gate, LoginReason, LoginState, Strength

# Each of these proves a login by itself. The login flag doesn't; it only supports or contradicts a proof.
_PROOFS_OF_LOGIN = {LoginReason.VIEWER_OBJECT, LoginReason.VIEWER_API, LoginReason.VIEWER_CONTROLS}
# Any of these decides, whatever else was found: it is not the page that was asked for. The first one counts.
_STOPS = (
    LoginReason.NOT_TIKTOK,
    LoginReason.CHALLENGE,
    LoginReason.REGION_BLOCKED,
    LoginReason.RATE_LIMITED,
    LoginReason.BLOCKED,
)


@attrs.frozen
class Decision:
    """The result of judging evidence.

    After a conclusive one no other method is needed; any other may still be overruled. `may_pass` means that
    the page may lead to another one by itself. `gate` is what keeps the viewer from the site.
    """

    state: LoginState
    reason: LoginReason
    conclusive: bool
    may_pass: bool = False
    gate: Gate | None = None


def decide(evidence: Sequence[Evidence]) -> Decision:
    """Judge by the strongest evidence alone; if that contradicts itself, the state is UNCERTAIN.

    Structure beats DOM, DOM beats absence, and words decide nothing. LOGGED_IN needs a proof and, unless the
    proof comes from TikTok's endpoints, a page that was read to its end. If a page contradicts itself, the
    endpoints decide.
    """
    for reason in _STOPS:
        if found := [piece for piece in evidence if piece.reason is reason]:
            may_pass = all(piece.may_pass for piece in found)
            return Decision(LoginState.UNCERTAIN, reason, conclusive=True, may_pass=may_pass)
    asked = [piece for piece in evidence if piece.reason is LoginReason.VIEWER_API]
    shown = [piece for piece in evidence if piece.reason is not LoginReason.VIEWER_API]
    decision = _judge(shown)
    if decision is _CONFLICT and any(_tells(piece) for piece in asked):
        decision = _judge(asked)
    elif decision.state is LoginState.UNCERTAIN or any(_points_in(piece) for piece in asked):
        decision = _judge(evidence)
    return _behind(next((piece.gate for piece in evidence if piece.gate), None), decision)


def _judge(evidence: Sequence[Evidence]) -> Decision:
    against = _controls_against_the_flag(evidence)
    told_logged_in = False  # by evidence that is not a proof
    for strength in (Strength.STRUCTURE, Strength.DOM, Strength.ABSENCE):
        telling = [piece for piece in evidence if piece.strength is strength and _tells(piece)]
        states = {piece.points_to for piece in telling}
        if LoginState.LOGGED_OUT in states and (LoginState.LOGGED_IN in states or told_logged_in or against):
            return _CONFLICT
        if strength is Strength.ABSENCE and any(_is_unknown(piece) for piece in evidence):
            return _CONFLICT
        if LoginState.LOGGED_OUT in states:
            conclusive = strength is not Strength.ABSENCE
            return Decision(LoginState.LOGGED_OUT, telling[0].reason, conclusive)
        proofs = [piece for piece in telling if piece.reason in _PROOFS_OF_LOGIN]
        if _is_cut_short(evidence):
            proofs = [piece for piece in proofs if piece.reason is LoginReason.VIEWER_API]
        if proofs:
            return Decision(LoginState.LOGGED_IN, proofs[0].reason, conclusive=True)
        told_logged_in = told_logged_in or bool(telling)
    unreadable = any(piece.reason is LoginReason.UNREADABLE for piece in evidence)
    reason = LoginReason.UNREADABLE if unreadable else LoginReason.NOTHING_FOUND
    return Decision(LoginState.UNCERTAIN, reason, conclusive=False)


_CONFLICT = Decision(LoginState.UNCERTAIN, LoginReason.CONFLICT, conclusive=False)


def _behind(gate: Gate | None, decision: Decision) -> Decision:
    """Return the decision on a page with a gate in front of it. A gate never makes a viewer logged in."""
    if gate is None or decision.state is LoginState.LOGGED_OUT:
        return decision
    if decision.state is LoginState.UNCERTAIN and decision.reason is not LoginReason.NOTHING_FOUND:
        return decision
    return attrs.evolve(decision, reason=LoginReason.ACCOUNT_RESTRICTED, gate=gate)


def _controls_against_the_flag(evidence: Iterable[Evidence]) -> bool:
    """Return whether a page has a viewer's controls but a flag that says that nobody is logged in."""
    found = {(piece.points_to, piece.reason) for piece in evidence}
    return {
        (LoginState.LOGGED_OUT, LoginReason.LOGIN_FLAG),
        (LoginState.LOGGED_IN, LoginReason.VIEWER_CONTROLS),
    } <= found


def _tells(piece: Evidence) -> bool:
    return piece.points_to is not LoginState.UNCERTAIN


def _points_in(piece: Evidence) -> bool:
    return piece.points_to is LoginState.LOGGED_IN


def _is_unknown(piece: Evidence) -> bool:
    """Return whether something unknown is at the viewer's place."""
    return piece.reason is LoginReason.CONFLICT and piece.strength is Strength.ABSENCE


def _is_cut_short(evidence: Iterable[Evidence]) -> bool:
    """Return whether the page was not read to its end; the unread part may contradict a login."""
    return any(
        piece.reason is LoginReason.UNREADABLE and piece.strength is Strength.STRUCTURE for piece in evidence
    )
