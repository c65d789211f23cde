"""Counts the specification's indicator patterns. Every page is full of them, so they decide nothing.

Each pattern is literal words with `.*` between them. Python's `re` takes quadratic time for such a pattern
on a long minified line, so this counts them in linear time: a greedy `a.*b` matches at most once a line, if
an `a` comes before the line's last `b`.
"""

from greenroom.actors.verdict.verdict import Evidence, LoginReason, LoginState, Strength

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
# Counting stops here: a page with a million short lines would otherwise take a second.
MAX_COUNT = 1_000
# Only this much of a page is searched: the search for all words takes longer than everything else.
MAX_CHARS = 200_000


def count_words(html: str) -> Evidence:
    """Return by how much one kind of indicator outnumbers the other, and which state that suggests.

    Looks at the first `MAX_CHARS` characters, in linear time. Never raises.
    """
    lowered = html[:MAX_CHARS].lower()
    balance = sum(count_pattern(pattern, lowered) for pattern in LOGGED_IN_INDICATORS)
    balance -= sum(count_pattern(pattern, lowered) for pattern in LOGGED_OUT_INDICATORS)
    state = LoginState.UNCERTAIN
    if balance:
        state = LoginState.LOGGED_IN if balance > 0 else LoginState.LOGGED_OUT
    return Evidence(
        rule="indicator words",
        place="anywhere in the HTML",
        points_to=state,
        strength=Strength.WORDS,
        reason=LoginReason.NOTHING_FOUND,
        count=abs(balance),
    )


def count_pattern(pattern: str, text: str) -> int:
    """Count what `re.findall(pattern, text)` would, up to `MAX_COUNT`, for words joined by `.*`."""
    first, *rest = pattern.split(".*")
    if not rest:
        return min(text.count(first), MAX_COUNT)
    count = start = 0
    while count < MAX_COUNT and (at := text.find(first, start)) >= 0:
        end = text.find("\n", at)
        if end < 0:
            end = len(text)
        count += _occur_in_order(text, at + len(first), end, rest)
        start = end + 1
    return count


def _occur_in_order(text: str, start: int, end: int, words: list[str]) -> bool:
    for word in words:
        at = text.find(word, start, end)
        if at < 0:
            return False
        start = at + len(word)
    return True
