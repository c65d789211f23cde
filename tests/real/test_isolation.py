"""Two sessions of one master profile share nothing."""

import re
from pathlib import Path

import attrs
import pytest

from greenroom.actors.verdict import Finding, Method
from greenroom.supervisor.machine import open_machine
from greenroom.web.settings import DaemonSettings
from tests.actors.browser.cell_shell import noexec_mount
from tests.actors.machine.machines import clone_of

pytestmark = pytest.mark.browser


async def test_sessions_never_see_each_others_cookies(settings: DaemonSettings, site: str) -> None:
    """A new login in one session changes neither the other session nor the master's next clone."""
    async with (
        open_machine(settings) as machine,
        machine.open_workspace("a") as workspace_a,
        machine.open_workspace("b") as workspace_b,
    ):
        browser_a = await workspace_a.launch(headless=True)
        browser_b = await workspace_b.launch(headless=True)

        async def viewers() -> tuple[bool, bool, bool, bool]:
            seen = []
            for browser in (browser_a, browser_b):
                await browser.navigate(f"{site}/")
                for name in ("maker", "visitor"):
                    selectors = {"logged_in": f"text=/^@?{re.escape(name)}$/"}
                    found = await browser.inspect(Method.DOM, selectors)
                    seen.append(_is_matched(found))
            a_maker, a_visitor, b_maker, b_visitor = seen
            return a_maker, a_visitor, b_maker, b_visitor

        assert await viewers() == (True, False, True, False)
        await browser_a.navigate(f"{site}/login?as=visitor")
        with_selectors = {"logged_in": "text=/^@?visitor$/"}
        while not _is_matched(await browser_a.inspect(Method.DOM, with_selectors)):
            pass
        assert await viewers() == (False, True, True, False)


def _is_matched(finding: Finding) -> bool:
    """Return whether the given selector matched. The finding may hold other evidence too."""
    return any(piece.rule == "selectors.logged_in" for piece in finding.evidence)


async def test_clone_is_no_way_to_the_master(settings: DaemonSettings, master: Path) -> None:
    """A clone holds only copies: no link leads out of it."""
    (master / "link").symlink_to(master / "prefs.js")
    async with open_machine(settings) as machine, machine.open_workspace("a") as workspace:
        clone = clone_of(workspace)
        assert [path for path in clone.rglob("*") if path.is_symlink()] == []
        assert (clone / "cookies.sqlite").read_bytes() == (master / "cookies.sqlite").read_bytes()


async def test_clones_by_a_link_to_where_nothing_can_be_executed(
    settings: DaemonSettings, site: str, tmp_path: Path
) -> None:
    """A browser runs on a clone anywhere, even in a cell that doesn't contain the link."""
    with noexec_mount(tmp_path / "noexec") as folder:
        (tmp_path / "link").symlink_to(folder)
        linked = attrs.evolve(settings, clones_dir=tmp_path / "link" / "clones")
        async with open_machine(linked) as machine, machine.open_workspace("a") as workspace:
            browser = await workspace.launch(headless=True)
            await browser.navigate(f"{site}/")
            found = await browser.inspect(Method.DOM, {"logged_in": "text=/^@?maker$/"})
            assert _is_matched(found)
        assert list((folder / "clones").iterdir()) == []
