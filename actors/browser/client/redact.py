"""Takes secrets out of text before it is logged."""

import re
from collections.abc import Iterable

_MASK = "***"
_PATTERNS = (
    # user:password@, or only user@, in a URL: from the start to the last @ of the authority
    re.compile(r"(?<=://)[^/?#\s\"'<>]+(?=@)"),
    # cookie and authorization headers, up to the end of the line
    re.compile(r"(?i)(?<=cookie:)[^\r\n]+|(?<=authorization:)[^\r\n]+"),
    # the cookies in which TikTok keeps a login
    re.compile(r"(?i)(?<=\bsessionid=)[^;\s]+|(?<=\bsessionid_ss=)[^;\s]+|(?<=\bsid_tt=)[^;\s]+"),
    re.compile(r"(?i)(?<=\bsid_guard=)[^;\s]+|(?<=\buid_tt=)[^;\s]+"),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with each of `secrets`, URL credentials, and cookie values masked."""
    # Longest first, since one secret may be part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(_MASK, text)
    return text
