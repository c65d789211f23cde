"""The translations and experiments in a page's data, which make it heavy and hard to read.

They are the same for every viewer, so no word in them is evidence. All of them are invented.
"""

import functools

from greenroom.web.practice.pages.encode import Encoded, Encoder, encoded

TRANSLATION_CHARS = 375_000
EXPERIMENT_CHARS = 90_000

# The text of evidence and challenges. In translations, attributes and comments it means nothing.
TRAPS = (
    "profile-icon",
    "top-login-button",
    "nav-login-button",
    "header-login-button",
    "inbox-notifications",
    "top-dm-icon",
    "pumbaa-ctx",
    "Security Check",
    "captcha-verify-container",
    "oec-ttweb-captcha",
    "_wafchallengeid",
    "SlardarWAF",
    "Please wait...",
    '"user":{"uid":"1"}',
    '"webapp.app-context":{"user":{"uid":"1","uniqueId":"nobody"}}',
    '<a data-e2e="profile-icon" href="/@nobody">',
    '<button data-e2e="top-login-button" id="header-login-button">',
    '<meta name="pumbaa-ctx" content="login=0,region=XX">',
    '<meta name="pumbaa-ctx" content="login=1,region=XX">',
    '<div class="captcha-verify-container">',
    "window['SIGI_STATE']={AppContext:{appContext:{user:{uid:'1'}}}};",
    '<script id="SIGI_STATE">{"AppContext":{"appContext":{"user":{"uid":"1"}}}}</script>',
    '"name":"session_expired"',
)
_TOPICS = (
    *("account", "message", "inbox", "notification", "profile", "login", "register", "avatar", "creator"),
    *("captcha", "verify", "signup", "logout", "settings", "session", "user", "feed", "sound"),
)
_WORDS = (
    *("account", "message", "inbox", "notification", "sign out", "log in", "log out", "sign in", "register"),
    *("user avatar", "login button", "create an account", "join tiktok", "logged in", "profile-avatar"),
    *("security check", "profile icon", "messages", "two accounts", "notifications", "your café's inbox"),
)
_SENTENCES = (
    "Hold on: the {a} you picked needs a {b} of its own",
    "To see the {a} here, first open the {b} on your phone",
    "{count} more for the {a}, then the {b} rests",
    "Nothing to show yet. A fresh {a} appears next to the {b} as soon as there is one",
    "Shall we keep “{a}” beside “{b}” from now on?",
    "We couldn't move the {a}\nTry the {b} again in {count} minutes",
    "{a} / {b}",
    "People who use the {a} on a shared computer like to end with the {b} & a cup of tea",
)
_MIXER, _MIXED = 2654435761, 2**32


@functools.cache
def translations(encode: Encoder) -> Encoded:
    """Return all texts of the site in one language, mixed with traps, as `encode` writes them."""
    texts: dict[str, object] = {}
    chars = number = 0
    while chars < TRANSLATION_CHARS:
        key, text = _translation(number)
        texts[key] = text
        chars += len(key) + len(text) + 6
        number += 1
    return encoded(encode, texts)


@functools.cache
def experiments(encode: Encoder) -> Encoded:
    """Return the switches of the site's experiments, as `encode` writes them."""
    switches: dict[str, object] = {}
    chars = number = 0
    while chars < EXPERIMENT_CHARS:
        mixed = number * _MIXER % _MIXED
        key = f"{_TOPICS[number % len(_TOPICS)]}_{_TOPICS[mixed % len(_TOPICS)]}_test_{number}"
        note = TRAPS[number // 40 % len(TRAPS)] if number % 40 == 0 else f"v{mixed % 4}"
        switches[key] = {"vid": str(mixed), "on": bool(mixed & 64), "after_ms": mixed % 7 * 500, "as": note}
        chars += len(key) + len(note) + 60
        number += 1
    return encoded(encode, switches)


def _translation(number: int) -> tuple[str, str]:
    mixed = number * _MIXER % _MIXED
    topic = _TOPICS[number % len(_TOPICS)]
    if number % 25 == 0:
        return f"help_{topic}_{number}", f"What “{TRAPS[number // 25 % len(TRAPS)]}” stands for"
    a, b = _WORDS[mixed % len(_WORDS)], _WORDS[mixed // 64 % len(_WORDS)]
    sentence = _SENTENCES[mixed // 4096 % len(_SENTENCES)]
    return f"{topic}_{mixed % 9973}_{number}", sentence.format(a=a, b=b, count="{count}")
