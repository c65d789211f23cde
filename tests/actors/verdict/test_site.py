"""Whether two addresses belong to one site."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.verdict.site import is_same_site


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://www.tiktok.com/", "https://www.tiktok.com/foryou?lang=en", True),
        ("https://www.tiktok.com/", "https://m.tiktok.com/", True),
        ("https://tiktok.com/", "https://WWW.TIKTOK.COM:443/", True),
        ("http://127.0.0.1:8701/", "http://127.0.0.1:9000/login", True),
        ("http://[::1]:8701/", "http://[::1]/", True),
        ("http://localhost:1/", "http://localhost:2/", True),
        ("https://www.tiktok.com/", "https://www.example.com/", False),
        ("https://www.tiktok.com/", "https://tiktok.com.example.com/", False),
        ("https://www.tiktok.com/", "https://nottiktok.com/", False),
        ("https://www.tiktok.com/", "https://www.tiktok.com@example.com/", False),
        ("https://www.tiktok.com/", "https://example.com\\@www.tiktok.com/", False),
        ("https://www.tiktok.com/", "https:\\\\www.tiktok.com\\foryou", True),
        ("http://127.0.0.1/", "http://10.0.0.1/", False),
        ("https://www.tiktok.com/", "about:blank", False),
        ("about:blank", "about:blank", False),
        ("http://[", "http://[", False),
        ("", "", False),
    ],
)
def test_sites_are_compared_by_their_domain(one: str, other: str, same: bool) -> None:
    """Subdomains and ports belong to one site; look-alikes don't."""
    assert is_same_site(one, other) is same
    assert is_same_site(other, one) is same


@given(st.text(), st.text())
def test_no_address_breaks_it(one: str, other: str) -> None:
    """Any string can be judged."""
    assert is_same_site(one, other) in {True, False}
