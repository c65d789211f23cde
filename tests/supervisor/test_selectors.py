"""Which texts count as selectors, decided without a browser."""

import pytest

from greenroom.supervisor.selectors import DEFAULT_SELECTORS, is_selector


@pytest.mark.parametrize(
    "text",
    [
        *DEFAULT_SELECTORS.values(),
        "*",
        "a, b > c + d ~ e f",
        "a:not(.b, .c):has(> d:is(e, :where(f)))",
        "li:nth-child(2n + 1 of .x)",
        "[href^='/@' i]",
        "[data-x=y], [data-x~='a]b'], [data-x='say \\'hi\\'']",
        "a::before",
        r"a\:b",
        "é",
        "svg|a, *|b",
        "> main",
        "button:has-text('Log in'):visible",
        "text=Log in",
        "'Log in'",
        "//button[@id='x']",
        "xpath=..",
        "role=button[name='x']",
        "nav >> css=a >> nth=0",
    ],
)
def test_selector_that_some_browser_or_playwright_takes_is_one(text: str) -> None:
    """CSS, new features included, and Playwright's own engines."""
    assert is_selector(text)


@pytest.mark.parametrize(
    "text",
    [
        "div[[",
        "div[",
        "div]",
        "div[]",
        "[a='b]",
        "[a=b c]",
        "[a=1]",
        "a,",
        ",a",
        "a,,b",
        "a >",
        "a > > b",
        "a..b",
        ".",
        "#",
        "#1a",
        ":",
        "a:",
        "a:not(.b",
        "a)",
        "a{",
        "a/b",
        "$x",
        "@media",
        "text=",
        "a >>",
        "css=div[[",
        "a >> div[[",
        "\\",
        '"',
    ],
)
def test_text_that_no_browser_takes_is_not_a_selector(text: str) -> None:
    """Broken syntax is recognized."""
    assert not is_selector(text)
