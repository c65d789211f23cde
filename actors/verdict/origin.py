"""What a page's scripts, links, meta elements and comments say about the site that it is from.

The page's `pumbaa-ctx`, a meta element with the login flag, is noted here too. Each function returns what it
costs, in the units of `parsing`.
"""

import re

from greenroom.actors.verdict.arrival import path_of
from greenroom.actors.verdict.reading import Reading
from greenroom.actors.verdict.site import is_address, is_tiktok_address

PUMBAA = "pumbaa-ctx"
_FLAGS_COST = 40
_ADDRESS_COST = 150
_MAX_FLAGS_CHARS = 4_096
_MAX_SOURCE_CHARS = 1_000
_HOSTS = ("tiktok", "ttwstatic")
# Only TikTok's own pages load their scripts and styles from here. Other sites embed its player.
_OWN_SOURCE = re.compile(
    r"(?:https?:)?//[\w.-]+\.(?:ttwstatic|tiktokcdn|tiktokcdn-(?:us|eu))\.com/(?!.*embed)", re.ASCII
)
# The kinds of preloads that are code. Images prove nothing, since any site may show TikTok's.
_CODE = frozenset({"script", "style", "fetch"})
_SITE_NAMES = frozenset({"og:site_name", "application-name", "apple-mobile-web-app-title"})


def note_address(reading: Reading, address: str) -> int:
    """Note the address that the page claims to be from."""
    if is_address(address):
        is_own = is_tiktok_address(address)
        reading.is_proven |= is_own
        reading.is_tiktok |= is_own
        reading.is_other |= not is_own
        reading.path = reading.path or path_of(address)
    return _ADDRESS_COST


def note_source(reading: Reading, source: str) -> int:
    """Note where the page loads code from."""
    reading.is_tiktok |= any(name in source for name in _HOSTS)
    reading.is_proven |= bool(_OWN_SOURCE.match(source[:_MAX_SOURCE_CHARS]))
    return 0


def note_link(reading: Reading, attributes: dict[str, str]) -> int:
    """Note a link element: the page's canonical address, code, or a mere mention of a host."""
    address = attributes.get("href", "")
    relation = attributes.get("rel", "").lower().split()
    if "canonical" in relation:
        return note_address(reading, address)
    if "stylesheet" in relation or ("preload" in relation and attributes.get("as", "script") in _CODE):
        return note_source(reading, address)
    reading.is_tiktok |= any(name in address for name in _HOSTS)
    return 0


def note_meta(reading: Reading, attributes: dict[str, str]) -> int:
    """Note a meta element: the login flag, the site's name, the page's address, or a refresh."""
    name = attributes.get("property") or attributes.get("name") or ""
    content = attributes.get("content", "")
    if attributes.get("name") == PUMBAA:
        reading.login_flags.append(content[:_MAX_FLAGS_CHARS])
        reading.is_tiktok = reading.is_proven = True
        return _FLAGS_COST
    if name in _SITE_NAMES:
        reading.is_tiktok |= "tiktok" in content.lower()
        reading.is_proven |= content.strip().lower() == "tiktok"
    elif name == "og:url":
        if is_tiktok_address(content):
            reading.is_tiktok = reading.is_proven = True
        return _ADDRESS_COST
    elif attributes.get("http-equiv", "").lower() == "refresh":
        reading.may_pass = True
    return 0
