"""The order in which a browser's page is asked who its viewer is."""

from collections.abc import Mapping
from typing import Protocol

import attrs
import trio

from actors.verdict.policy import Decision, decide
from actors.verdict.verdict import Evidence, Finding, LoginReason, LoginState, Method, Verdict


class InspectablePage(Protocol):
    """What the detector needs of a browser: the session actor's browser has it."""

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page as it is now with one method."""

    async def refresh(self) -> None:
        """Load the page again, up to its document."""


_NO_ANSWER = Decision(LoginState.UNCERTAIN, LoginReason.TIMED_OUT, conclusive=False)


@attrs.define
class _Try:
    """One look at the page, with what it has come to so far."""

    decision: Decision = _NO_ANSWER
    method: Method = Method.HTML
    findings: list[Finding] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class LoginDetector:
    """Judges a page by each method in turn until the evidence is conclusive; refreshes it before each retry.

    One try takes at most `timeout_s` seconds; there are `1 + retries` of them, as long as the verdict is
    UNCERTAIN. Evidence counts for the try in which it was found: a refreshed page is another page. A try
    that is cut off has no result.
    """

    timeout_s: float
    retries: int
    selectors: Mapping[str, str]
    methods: tuple[Method, ...] = tuple(Method)

    async def judge(self, page: InspectablePage) -> Verdict:
        """Return the verdict. Lets the page's own errors through: a lost browser is no verdict."""
        started = trio.current_time()
        findings: list[Finding] = []
        for tries in range(1, self.retries + 2):
            look = _Try()
            with trio.move_on_after(self.timeout_s) as scope:
                if tries > 1:
                    await page.refresh()
                await self._try_methods(page, look)
            if scope.cancelled_caught:  # what was found is not all that there is
                look.decision = _NO_ANSWER
            findings += look.findings
            if look.decision.state is not LoginState.UNCERTAIN:
                break
        handles = [finding.viewer for finding in look.findings if finding.viewer]
        return Verdict(
            state=look.decision.state,
            reason=look.decision.reason,
            method=look.method,
            findings=tuple(findings),
            tries=tries,
            elapsed_ms=round((trio.current_time() - started) * 1000),
            viewer=handles[0] if handles and look.decision.state is LoginState.LOGGED_IN else None,
        )

    async def _try_methods(self, page: InspectablePage, look: _Try) -> None:
        evidence: list[Evidence] = []
        for method in self.methods:
            finding = await page.inspect(method, self.selectors)
            look.findings.append(finding)
            evidence += finding.evidence
            before, look.decision = look.decision, decide(evidence)
            if look.decision.reason is not before.reason or look.decision.state is not before.state:
                look.method = method
            if look.decision.conclusive:
                return
