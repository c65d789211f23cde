"""DOM element detection: which of the configured selectors the rendered page matches."""

from collections.abc import Mapping

from actors.verdict.verdict import Finding, LoginState, Method

SELECTOR_NAMES = ("logged_in", "logged_out", "uncertain")


def judge_elements(matches: Mapping[str, int]) -> Finding:
    """Judge by the number of elements that match each named selector.

    Only `logged_in` matching, or only `logged_out`, decides; both or neither is UNCERTAIN.
    """
    logged_in = matches.get("logged_in", 0) > 0
    logged_out = matches.get("logged_out", 0) > 0
    if logged_in == logged_out:
        state = LoginState.UNCERTAIN
    elif logged_in:
        state = LoginState.LOGGED_IN
    else:
        state = LoginState.LOGGED_OUT
    seen = {name: count for name, count in matches.items() if count}
    return Finding(method=Method.DOM, state=state, indicators=seen)
