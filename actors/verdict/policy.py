"""From evidence to a verdict: the one place at which it is decided who is looking at a page."""

from collections.abc import Iterable, Sequence

import attrs

from actors.verdict.verdict import Evidence, LoginReason, LoginState, Strength

# Alone, each of these proves a login. The login flag does not: it bears a proof out, or speaks against it.
_PROOFS_OF_LOGIN = {LoginReason.VIEWER_OBJECT, LoginReason.VIEWER_API, LoginReason.VIEWER_CONTROLS}
# These end it, whatever else there is: what is shown is not the page that was asked for.
_STOPS = (LoginReason.NOT_TIKTOK, LoginReason.CHALLENGE)


@attrs.frozen
class Decision:
    """What evidence amounts to. A conclusive one needs no other method; any other may yet be overruled."""

    state: LoginState
    reason: LoginReason
    conclusive: bool


def decide(evidence: Sequence[Evidence]) -> Decision:
    """Judge by the strongest evidence alone; whatever contradicts itself there is UNCERTAIN.

    Structure beats DOM, DOM beats absence, and words decide nothing. LOGGED_IN needs a proof and, unless it
    comes from TikTok's endpoints, a page that was read to its end.
    """
    found = {piece.reason for piece in evidence}
    for reason in _STOPS:
        if reason in found:
            return Decision(LoginState.UNCERTAIN, reason, conclusive=True)
    told_logged_in = False  # by what is no proof
    for strength in (Strength.STRUCTURE, Strength.DOM, Strength.ABSENCE):
        telling = [piece for piece in evidence if piece.strength is strength and _tells(piece)]
        states = {piece.points_to for piece in telling}
        if LoginState.LOGGED_OUT in states and (LoginState.LOGGED_IN in states or told_logged_in):
            return Decision(LoginState.UNCERTAIN, LoginReason.CONFLICT, conclusive=True)
        if LoginState.LOGGED_OUT in states:
            conclusive = strength is not Strength.ABSENCE
            return Decision(LoginState.LOGGED_OUT, telling[0].reason, conclusive)
        proofs = [piece for piece in telling if piece.reason in _PROOFS_OF_LOGIN]
        if _is_cut_short(evidence):
            proofs = [piece for piece in proofs if piece.reason is LoginReason.VIEWER_API]
        if proofs:
            return Decision(LoginState.LOGGED_IN, proofs[0].reason, conclusive=True)
        told_logged_in = told_logged_in or bool(telling)
    unreadable = LoginReason.UNREADABLE in found
    reason = LoginReason.UNREADABLE if unreadable else LoginReason.NOTHING_FOUND
    return Decision(LoginState.UNCERTAIN, reason, conclusive=False)


def _tells(piece: Evidence) -> bool:
    return piece.points_to is not LoginState.UNCERTAIN


def _is_cut_short(evidence: Iterable[Evidence]) -> bool:
    """Return whether the page was not read to its end, where what speaks against a login may stand."""
    return any(
        piece.reason is LoginReason.UNREADABLE and piece.strength is Strength.STRUCTURE for piece in evidence
    )
