"""What is masked before it is logged, and what is not."""

import time

import pytest

from greenroom.actors.browser.client.redact import redact


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("via http://user:hunter2@proxy:8080/x", "via http://***@proxy:8080/x"),
        ("socks5://user:@proxy:1", "socks5://***@proxy:1"),
        ("https://hunter2@host/", "https://***@host/"),
        ("http://user:hunter@2@proxy:1", "http://***@proxy:1"),
        ("http://user:" + "hunter2" * 99 + "@proxy", "http://***@proxy"),
        ("http://a:hunter2@one, http://b:hunter2@two", "http://***@one, http://***@two"),
        ("Cookie: a=hunter2; b=c\nnext", "Cookie:***\nnext"),
        ("set-cookie: x=hunter2; Path=/\r\nnext", "set-cookie:***\r\nnext"),
        ("Authorization: Bearer hunter2", "Authorization:***"),
        ("Proxy-Authorization: Basic aHVudGVyMg==", "Proxy-Authorization:***"),
        ("sessionid=hunter2; lang=en", "sessionid=***; lang=en"),
        ("SESSIONID=hunter2", "SESSIONID=***"),
        ("a=1; sessionid_ss=hunter2", "a=1; sessionid_ss=***"),
        ("sid_tt=hunter2 sid_guard=hunter2", "sid_tt=*** sid_guard=***"),
        ("uid_tt=hunter2;", "uid_tt=***;"),
    ],
)
def test_secret_is_masked(text: str, masked: str) -> None:
    """URL credentials, cookie and authorization headers, and TikTok's session cookies are masked."""
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Firefox 153.0 listens on ws://127.0.0.1:4711/session",
        "https://www.tiktok.com/@somebody?lang=en",
        "https://example.org?mail=a@b.c",
        '{"url": "https://example.org", "mail": "a@b.c"}',
        "mail a@b.c about the cookies, please",
        "mysessionid=1 and session=2",
        "NS_ERROR_NET_RESET at 12:30:00",
    ],
)
def test_harmless_text_is_unchanged(text: str) -> None:
    """Text without a secret is logged unchanged."""
    assert redact(text, ("hunter2", "")) == text


def test_given_secrets_are_masked_wherever_they_stand() -> None:
    """A known secret is masked in any text, every time."""
    assert redact("hunter2 <hunter2>", ("hunter2",)) == "*** <***>"


@pytest.mark.parametrize("secrets", [("bob", "bob-hunter2"), ("bob-hunter2", "bob")])
def test_secret_inside_another_does_not_save_its_rest(secrets: tuple[str, ...]) -> None:
    """If a user name is the beginning of the password, no part of the password shows."""
    assert redact("bob says bob-hunter2", secrets) == "*** says ***"


@pytest.mark.parametrize(
    "pattern",
    [
        "://",
        "://a",
        "://a:",
        "a:b@",
        "://x:y",
        "cookie:",
        "cookie:\n",
        "sessionid=",
        "sid_tt=;",
        "x",
        "@",
        "://" + "a" * 99,
    ],
)
def test_hostile_text_takes_linear_time(pattern: str) -> None:
    """Long text that is made to slow down a pattern takes no longer than other text."""
    text = (pattern * (300_000 // len(pattern) + 1))[:300_000]
    started = time.process_time()
    redact(text, ("hunter2",))
    redact("://" + text, ("hunter2",))
    assert time.process_time() - started < 1
