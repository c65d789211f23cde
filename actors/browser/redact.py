"""Takes secrets out of text before it is logged."""

import re
from collections.abc import Iterable

_MASK = "***"
_PATTERNS = (
    # user:password@ in a URL
    re.compile(r"(?<=://)[^/\s:@]{1,256}:[^/\s@]{0,256}(?=@)"),
    # cookie and authorization headers, up to the end of the line
    re.compile(r"(?i)(?<=cookie:)[^\r\n]+|(?<=authorization:)[^\r\n]+"),
    # the cookies in which TikTok keeps a login
    re.compile(r"(?i)(?<=\bsessionid=)[^;\s]+|(?<=\bsessionid_ss=)[^;\s]+|(?<=\bsid_tt=)[^;\s]+"),
    re.compile(r"(?i)(?<=\bsid_guard=)[^;\s]+|(?<=\buid_tt=)[^;\s]+"),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with each of `secrets`, URL credentials, and cookie values masked."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(_MASK, text)
    return text
