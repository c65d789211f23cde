"""What a token is for at most: requests a minute, and sessions at once."""

import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.lifecycle import ProfileUse
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.api import open_supervisor
from greenroom.supervisor.secret import Secret
from greenroom.web.http.errors import TooManyRequests, TooManySessions
from greenroom.web.http.rates import Quotas, Rates
from greenroom.web.http.tokens import Scope, Token
from tests.web.http.front import make_settings

KEY = "key", ProfileUse(name="default")


def token_of(*, max_sessions: int | None = None, requests_per_minute: int | None = None) -> Token:
    """Return a token with these limits."""
    return Token(
        name="a",
        secret=Secret("secret"),
        scope=Scope.CONTROL,
        max_sessions=max_sessions,
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


async def test_sessions_count_from_their_creation_to_their_end(autojump_clock: MockClock) -> None:
    """A creation that fails costs nothing afterwards. The refusal says when the first session has to end."""
    token = token_of(max_sessions=2)
    settings = make_settings(max_session_duration=100)
    async with open_supervisor(settings, machine=FakeMachine()) as supervisor:
        quotas = Quotas(supervisor)
        with quotas.creating(token) as note:
            first = await supervisor.create_session()
            note(first)
        await trio.sleep(40)
        with pytest.raises(RuntimeError), quotas.creating(token):
            raise RuntimeError
        with quotas.creating(token), pytest.raises(TooManySessions) as caught, quotas.creating(token):
            pass
        assert caught.value.retry_after_s == pytest.approx(60, abs=41)  # by the wall clock
        await supervisor.end_session(first.id)
        with quotas.creating(token), quotas.creating(token):
            pass
        await supervisor.stop()


async def test_repeated_request_with_its_key_costs_nothing(autojump_clock: MockClock) -> None:
    """Neither while the first is under way nor once its session lives. Another profile makes another key."""
    token = token_of(max_sessions=1)
    async with open_supervisor(make_settings(), machine=FakeMachine()) as supervisor:
        quotas = Quotas(supervisor)
        with quotas.creating(token, KEY) as note, quotas.creating(token, KEY):
            note(await supervisor.create_session())
        with quotas.creating(token, KEY):
            pass
        for key in (("other", KEY[1]), (KEY[0], ProfileUse(name="shop")), None):
            with pytest.raises(TooManySessions), quotas.creating(token, key):
                pass
        await supervisor.stop()
