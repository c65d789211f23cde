"""HTML content analysis: count the indicator patterns of the specification in a page's raw HTML.

Each pattern is literal words with `.*` between them. Python's `re` takes quadratic time for such a pattern
on a long minified line, so the same count is taken here in linear time: a greedy `a.*b` matches at most once
a line, namely where an `a` stands before the line's last `b`.
"""

from actors.verdict.verdict import Finding, LoginState, Method

LOGGED_IN_INDICATORS = (
    "profile-avatar",
    "user.*avatar",
    "logged.*in",
    "sign.*out",
    "log.*out",
    "account",
    "notification",
    "message",
    "inbox",
)
LOGGED_OUT_INDICATORS = (
    "login.*button",
    "sign.*in",
    "log.*in",
    "register",
    "create.*account",
    "join.*tiktok",
)


def analyse_html(html: str) -> Finding:
    """Judge a page by its raw HTML: more indicators of one kind than of the other decide, a tie is UNCERTAIN.

    Takes time linear in the size of the page. Never raises.
    """
    lowered = html.lower()
    lines = lowered.split("\n")
    logged_in = {pattern: count_pattern(pattern, lowered, lines) for pattern in LOGGED_IN_INDICATORS}
    logged_out = {pattern: count_pattern(pattern, lowered, lines) for pattern in LOGGED_OUT_INDICATORS}
    balance = sum(logged_in.values()) - sum(logged_out.values())
    if balance > 0:
        state = LoginState.LOGGED_IN
    elif balance < 0:
        state = LoginState.LOGGED_OUT
    else:
        state = LoginState.UNCERTAIN
    seen = {pattern: count for pattern, count in (logged_in | logged_out).items() if count}
    return Finding(method=Method.HTML, state=state, indicators=seen)


def count_pattern(pattern: str, text: str, lines: list[str]) -> int:
    """Count what `re.findall(pattern, text)` would, for words joined by `.*`; `lines` is `text` split."""
    first, *rest = pattern.split(".*")
    if not rest:
        return text.count(first)
    return sum(_stands_in_order(line, first, rest) for line in lines)


def _stands_in_order(line: str, first: str, rest: list[str]) -> bool:
    at = line.find(first)
    end = at + len(first)
    for word in rest:
        if at < 0:
            return False
        at = line.find(word, end)
        end = at + len(word)
    return at >= 0
