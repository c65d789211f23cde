"""Pages that lead to another by themselves are waited for; a refresh would restart their work."""

from collections.abc import Mapping

import attrs
import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.verdict import Evidence, Finding, Gate, LoginReason, Method, Verdict
from greenroom.actors.verdict.detector import LOOK_AGAIN_S, STANDS_STILL_S, LoginDetector
from tests.actors.verdict.builders import (
    ABSENT,
    CHALLENGE,
    CONTROLS,
    FLAG_OUT,
    GATE,
    LOGGED_IN,
    LOGGED_OUT,
    REFUSED,
    SEEN,
    UNCERTAIN,
)

WAITING = attrs.evolve(CHALLENGE, may_pass=True)
REFUSED_FOR_NOW = attrs.evolve(REFUSED, may_pass=True)
FOREVER = float("inf")


@attrs.define
class PassingPage:
    """A page that shows one document after another, each for some seconds and with its own evidence.

    A refresh starts again with the first one.
    """

    documents: list[tuple[float, list[Evidence]]]
    began: float = attrs.field(factory=trio.current_time)
    loads: int = 1
    asked: list[Method] = attrs.field(factory=list)
    status: int | None = None

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        await trio.lowlevel.checkpoint()
        assert selectors == {}
        self.asked.append(method)
        number, evidence = self._now()
        told = tuple(evidence) if method is Method.HTML else ()
        return Finding(method=method, evidence=told, document=f"{self.loads}.{number}", status=self.status)

    async def refresh(self) -> None:
        self.loads += 1
        self.began = trio.current_time()

    def _now(self) -> tuple[int, list[Evidence]]:
        left = trio.current_time() - self.began
        for number, (lasts, evidence) in enumerate(self.documents):
            if left < lasts:
                return number, evidence
            left -= lasts
        raise AssertionError("the last document lasts for ever")


async def judge(page: PassingPage, *, timeout_s: float = 8, retries: int = 1) -> Verdict:
    return await LoginDetector(timeout_s=timeout_s, retries=retries, selectors={}).judge(page)


@pytest.mark.parametrize("seconds", [0.3, 1, 2.5, 4])
@pytest.mark.parametrize("then", [SEEN, FLAG_OUT])
async def test_firewalls_page_that_passes_is_waited_for(
    seconds: float, then: Evidence, autojump_clock: MockClock
) -> None:
    """The first try waits for the firewall's page, no longer than necessary."""
    page = PassingPage([(seconds, [WAITING]), (FOREVER, [then])])
    verdict = await judge(page)
    assert (verdict.state, verdict.tries, page.loads) == (then.points_to, 1, 1)
    assert seconds <= trio.current_time() <= seconds + 2 * LOOK_AGAIN_S


async def test_several_pages_that_pass_are_waited_for(autojump_clock: MockClock) -> None:
    """Each of them is a new page, with its own time to stand still."""
    page = PassingPage([(3, [WAITING]), (0.5, [REFUSED_FOR_NOW]), (4, [WAITING]), (FOREVER, [SEEN])])
    assert (await judge(page)).state is LOGGED_IN
    assert page.loads == 1


async def test_challenge_that_stands_still_is_the_reason(autojump_clock: MockClock) -> None:
    """A challenge that doesn't pass is reloaded as before, and then is the reason."""
    page = PassingPage([(FOREVER, [WAITING])])
    verdict = await judge(page)
    assert (verdict.state, verdict.reason, verdict.tries) == (UNCERTAIN, LoginReason.CHALLENGE, 2)
    assert trio.current_time() == pytest.approx(2 * STANDS_STILL_S, abs=3 * LOOK_AGAIN_S)
    assert set(page.asked) == {Method.HTML}


async def test_time_of_a_try_bounds_the_wait(autojump_clock: MockClock) -> None:
    """If a challenge lasts for the whole try, it is the reason, and not the lack of an answer."""
    page = PassingPage([(FOREVER, [WAITING])])
    verdict = await judge(page, timeout_s=2, retries=0)
    assert (verdict.reason, trio.current_time()) == (LoginReason.CHALLENGE, 2)


@pytest.mark.parametrize("shown", [CHALLENGE, REFUSED])
async def test_page_that_can_not_pass_is_not_waited_for(shown: Evidence, autojump_clock: MockClock) -> None:
    """A captcha waits for a person, and a page without a script for nothing."""
    page = PassingPage([(FOREVER, [WAITING, shown] if shown is CHALLENGE else [shown])])
    assert (await judge(page, retries=0)).state is UNCERTAIN
    assert trio.current_time() == 0


async def test_page_that_goes_on_between_two_methods_is_asked_anew(autojump_clock: MockClock) -> None:
    """What one document lacks is no evidence about the next."""

    class Switching(PassingPage):
        async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
            finding = await super().inspect(method, selectors)
            if method is Method.DOM:
                return attrs.evolve(finding, evidence=(FLAG_OUT,), document="another")
            return finding

    page = Switching([(0.1, [ABSENT]), (FOREVER, [CONTROLS])])
    verdict = await judge(page)
    assert (verdict.state, verdict.reason) == (LOGGED_IN, LoginReason.VIEWER_CONTROLS)
    assert page.asked == [Method.HTML, Method.DOM, Method.HTML]


async def test_page_that_never_stops_going_on_is_uncertain(autojump_clock: MockClock) -> None:
    """A page that reloads itself forever costs its tries and no more."""
    page = PassingPage([(0.1, [WAITING]) for _ in range(10_000)])
    assert (await judge(page)).reason is LoginReason.CHALLENGE
    assert trio.current_time() == 16


async def test_verdict_has_the_status_of_the_page_that_decided(autojump_clock: MockClock) -> None:
    """The verdict has the status, for the hint and for the caller."""
    page = PassingPage([(FOREVER, [REFUSED])], status=403)
    verdict = await judge(page, retries=0)
    assert (verdict.reason, verdict.status) == (LoginReason.BLOCKED, 403)
    assert "403" in verdict.next_step


@pytest.mark.parametrize("allow", [False, True])
async def test_session_behind_a_gate_is_usable_only_where_allowed(
    allow: bool, autojump_clock: MockClock
) -> None:
    """The login is real; the setting decides whether it is of use."""
    detector = LoginDetector(timeout_s=8, retries=1, selectors={}, allow_restricted=allow)
    verdict = await detector.judge(PassingPage([(FOREVER, [SEEN, GATE])]))
    assert (verdict.state, verdict.gate, verdict.is_usable) == (LOGGED_IN, Gate.AGE, allow)
    assert verdict.tries == 1


async def test_error_instead_of_the_page_is_tried_again(autojump_clock: MockClock) -> None:
    """The error may be gone after a reload."""

    class Recovering(PassingPage):
        async def refresh(self) -> None:
            await super().refresh()
            self.documents = [(FOREVER, [SEEN])]

    page = Recovering([(FOREVER, [SEEN, attrs.evolve(GATE, gate=Gate.ERROR)])])
    verdict = await judge(page)
    assert (verdict.gate, verdict.tries, verdict.is_usable) == (None, 2, True)


@pytest.mark.parametrize("gate", Gate)
def test_every_gate_has_its_hint(gate: Gate) -> None:
    """Each hint says what to do, and names the setting."""
    verdict = Verdict(state=LOGGED_IN, reason=LoginReason.ACCOUNT_RESTRICTED, method=Method.HTML, gate=gate)
    assert "allow_restricted" in verdict.next_step
    assert not verdict.is_usable


@pytest.mark.parametrize("reason", LoginReason)
def test_every_refusal_has_its_hint(reason: LoginReason) -> None:
    """Only an expired login is called expired."""
    expired = {
        *(LoginReason.VIEWER_OBJECT, LoginReason.VIEWER_API, LoginReason.LOGIN_FLAG),
        *(LoginReason.LOGIN_BUTTON, LoginReason.VIEWER_CONTROLS, LoginReason.NO_PROFILE),
    }
    gate = Gate.AGE if reason is LoginReason.ACCOUNT_RESTRICTED else None
    for status in (None, 403, 404):
        verdict = Verdict(state=LOGGED_OUT, reason=reason, method=Method.HTML, gate=gate, status=status)
        assert ("has expired" in verdict.next_step) == (reason in expired)
        assert reason is LoginReason.CHALLENGE or "captcha" not in verdict.next_step
