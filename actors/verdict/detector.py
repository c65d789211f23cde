"""Asks a page in a browser who its viewer is, method after method."""

from collections.abc import Mapping
from typing import Protocol

import attrs
import trio

from greenroom.actors.verdict.policy import Decision, decide
from greenroom.actors.verdict.verdict import Evidence, Finding, Gate, LoginReason, LoginState, Method, Verdict

# How long to wait for a page that may lead to another by itself, as a firewall's does once it is done, and
# how often to look at it; a look costs a few milliseconds.
STANDS_STILL_S = 6.0
LOOK_AGAIN_S = 0.2


class InspectablePage(Protocol):
    """What the detector needs of a browser. The session actor's browser satisfies it."""

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page as it is now with one method."""

    async def refresh(self) -> None:
        """Reload the page, and wait for its document."""


_NO_ANSWER = Decision(LoginState.UNCERTAIN, LoginReason.TIMED_OUT, conclusive=False)


@attrs.define
class _Look:
    """One look at a page, method after method."""

    decision: Decision = _NO_ANSWER
    method: Method = Method.HTML
    findings: list[Finding] = attrs.field(factory=list)

    @property
    def document(self) -> str:
        return self.findings[-1].document


@attrs.define
class _Try:
    """The last look at one load, which may have been interrupted, and the result of the last complete one."""

    look: _Look = attrs.field(factory=_Look)
    decision: Decision = _NO_ANSWER
    method: Method = Method.HTML


@attrs.frozen(kw_only=True)
class LoginDetector:
    """Judges a page by each method in turn until the evidence is conclusive; refreshes it before each retry.

    One try takes at most `timeout_s` seconds. There are up to `1 + retries` tries, while the verdict is
    UNCERTAIN. A page that may lead to another by itself is looked at again until it has, or until it has not
    changed for `STANDS_STILL_S`, or until the try is over. Evidence counts only for the document on which it
    was found. A look that is interrupted has no result; if the page was still waiting to lead to another, the
    result of the last complete look stays.
    """

    timeout_s: float
    retries: int
    selectors: Mapping[str, str]
    methods: tuple[Method, ...] = tuple(Method)
    allow_restricted: bool = False

    async def judge(self, page: InspectablePage) -> Verdict:
        """Return the verdict. The page's own errors propagate: a lost browser is not a verdict."""
        started = trio.current_time()
        findings: list[Finding] = []
        for tries in range(1, self.retries + 2):
            attempt = _Try()
            with trio.move_on_after(self.timeout_s) as scope:
                if tries > 1:
                    await page.refresh()
                await self._look_until_settled(page, attempt)
            if scope.cancelled_caught and not attempt.decision.may_pass:  # the evidence is incomplete
                attempt.decision = _NO_ANSWER
            findings += attempt.look.findings
            # An error instead of the page may be gone after a reload, whoever is logged in.
            if attempt.decision.state is not LoginState.UNCERTAIN and attempt.decision.gate is not Gate.ERROR:
                break
        handles = [finding.viewer for finding in attempt.look.findings if finding.viewer]
        answers = [finding for finding in attempt.look.findings if finding.status]
        return Verdict(
            state=attempt.decision.state,
            reason=attempt.decision.reason,
            method=attempt.method,
            gate=attempt.decision.gate,
            status=answers[-1].status if answers else None,
            retry_after_s=answers[-1].retry_after_s if answers else None,
            allow_restricted=self.allow_restricted,
            findings=tuple(findings),
            tries=tries,
            elapsed_ms=round((trio.current_time() - started) * 1000),
            viewer=handles[0] if handles and attempt.decision.state is LoginState.LOGGED_IN else None,
        )

    async def _look_until_settled(self, page: InspectablePage, attempt: _Try) -> None:
        """Look at the page, repeatedly while it may lead to another by itself, or did so during a look."""
        document, since = None, trio.current_time()
        while True:
            attempt.look = look = _Look()
            if await self._look(page, look):
                attempt.decision, attempt.method = look.decision, look.method
                if not look.decision.may_pass:
                    return
            if look.document != document:
                document, since = look.document, trio.current_time()
            elif trio.current_time() - since >= STANDS_STILL_S:
                return
            await trio.sleep(LOOK_AGAIN_S)

    async def _look(self, page: InspectablePage, look: _Look) -> bool:
        """Ask the methods in turn; return whether all answers are about the same document."""
        evidence: list[Evidence] = []
        for method in self.methods:
            finding = await page.inspect(method, self.selectors)
            look.findings.append(finding)
            if finding.document != look.findings[0].document:
                return False
            evidence += finding.evidence
            before, look.decision = look.decision, decide(evidence)
            if look.decision.reason is not before.reason or look.decision.state is not before.state:
                look.method = method
            if look.decision.conclusive:
                break
        return True
