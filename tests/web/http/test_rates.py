"""How many requests a minute a token is for."""

import pytest
import trio
from trio.testing import MockClock

from greenroom.supervisor.secret import Secret
from greenroom.web.http.errors import TooManyRequests
from greenroom.web.http.rates import Rates
from greenroom.web.http.tokens import Scope, Token


def token_of(requests_per_minute: int | None = None) -> Token:
    """Return a token with these limits."""
    return Token(
        name="a",
        secret=Secret("secret"),
        scope=Scope.CONTROL,
        requests_per_minute=requests_per_minute,
    )


async def test_requests_come_in_a_burst_and_then_evenly(autojump_clock: MockClock) -> None:
    """A minute's requests may come at once. Then the refusal says when there is one again."""
    rates, token = Rates(), token_of(requests_per_minute=6)
    for _ in range(6):
        rates.take(token)
    with pytest.raises(TooManyRequests) as caught:
        rates.take(token)
    assert caught.value.retry_after_s == pytest.approx(10)
    await trio.sleep(9.9)
    with pytest.raises(TooManyRequests):
        rates.take(token)
    await trio.sleep(0.1)
    rates.take(token)
    with pytest.raises(TooManyRequests):
        rates.take(token)
    await trio.sleep(600)
    for _ in range(6):
        rates.take(token)
    with pytest.raises(TooManyRequests):
        rates.take(token)


async def test_tokens_without_limit_or_with_another_name_are_not_counted(autojump_clock: MockClock) -> None:
    """Each token has a bucket of its own."""
    rates, one = Rates(), token_of(requests_per_minute=1)
    rates.take(one)
    for _ in range(100):
        rates.take(token_of())
        rates.take(None)
    rates.take(Token(name="b", secret=Secret("b"), scope=Scope.READ, requests_per_minute=1))
