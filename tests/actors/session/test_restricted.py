"""A session whose account is logged in but behind a gate."""

import attrs
import pytest
from trio.testing import MockClock

from greenroom.actors.errors import NotLoggedIn
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import Gate, LoginReason, LoginState, Method, Verdict
from greenroom.actors.verdict.detector import InspectablePage, LoginDetector
from tests.actors.session.test_actor import open_session


@attrs.frozen(kw_only=True)
class SeesGate(LoginDetector):
    """Finds a login, and a gate that asks for the viewer's age."""

    async def judge(self, page: InspectablePage) -> Verdict:
        await page.inspect(Method.HTML, self.selectors)
        return Verdict(
            state=LoginState.LOGGED_IN,
            reason=LoginReason.ACCOUNT_RESTRICTED,
            method=Method.HTML,
            gate=Gate.AGE,
            allow_restricted=self.allow_restricted,
        )


@pytest.mark.parametrize("allow", [False, True])
async def test_session_behind_a_gate_is_refused_unless_allowed(
    allow: bool, autojump_clock: MockClock
) -> None:
    """The login is real. The setting decides whether such a session is of use."""
    detector = SeesGate(timeout_s=8, retries=0, selectors={}, allow_restricted=allow)
    async with open_session(FakeMachine(), detector=detector) as session:
        if allow:
            assert (await session.established()).verdict is not None
            await session.ended.wait()
        else:
            error = await session.refused()
            assert isinstance(error, NotLoggedIn)
            assert (error.verdict.state, error.verdict.gate) == (LoginState.LOGGED_IN, Gate.AGE)
            assert "age" in error.hint
