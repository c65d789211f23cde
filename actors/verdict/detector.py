"""The order in which a browser's page is asked who its viewer is."""

from collections.abc import Mapping
from typing import Protocol

import attrs
import trio

from actors.verdict.verdict import Finding, LoginState, Method, Verdict


class InspectablePage(Protocol):
    """What the detector needs of a browser: the session actor's browser has it."""

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page as it is now with one method."""

    async def refresh(self) -> None:
        """Load the page again, up to its document."""


@attrs.frozen(kw_only=True)
class LoginDetector:
    """Judges a page by each method in turn until one is conclusive; refreshes it before each retry.

    One try takes at most `timeout_s` seconds; there are `1 + retries` of them. Running out of either leaves
    the verdict UNCERTAIN, with whatever was found.
    """

    timeout_s: float
    retries: int
    selectors: Mapping[str, str]
    methods: tuple[Method, ...] = tuple(Method)

    async def judge(self, page: InspectablePage) -> Verdict:
        """Return the verdict. Lets the page's own errors through: a lost browser is no verdict."""
        started = trio.current_time()
        findings: list[Finding] = []
        tries = 0
        decided: Finding | None = None
        while decided is None and tries <= self.retries:
            with trio.move_on_after(self.timeout_s):
                if tries > 0:
                    await page.refresh()
                decided = await self._try_methods(page, findings)
            tries += 1
        return Verdict(
            state=decided.state if decided else LoginState.UNCERTAIN,
            method=decided.method if decided else Method.HTML,
            findings=tuple(findings),
            tries=tries,
            elapsed_ms=round((trio.current_time() - started) * 1000),
        )

    async def _try_methods(self, page: InspectablePage, findings: list[Finding]) -> Finding | None:
        for method in self.methods:
            finding = await page.inspect(method, self.selectors)
            findings.append(finding)
            if finding.state is not LoginState.UNCERTAIN:
                return finding
        return None
