"""The process in which a baseline runs: a long-lived Python program that makes sessions on command.

It reads commands and answers each with a line of JSON. `start N` makes N sessions at once; the answer has the
seconds until each had its page's content, or null if it failed. `end` ends them. `visit` times a `goto` and a
`content` on a browser that stays open; the first visit opens it. `bind` lets Playwright clients connect to
that browser, and answers with the endpoint.
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.bare_scrapling import BareScrapling
from benchmarks.peers import PeerSessions, make_peer

_SHOWS_LOGIN = 'data-e2e="profile-avatar"'


class Runner:
    """The baseline's current sessions, and its open browser."""

    def __init__(self, peer: PeerSessions, url: str, *, logged_in: bool) -> None:
        self._peer = peer
        self._url = url
        self._logged_in = logged_in
        self._sessions = contextlib.AsyncExitStack()
        self._open_page: Any = None

    async def obey(self, command: str) -> object:
        """Carry out a command and return the answer."""
        match command.split():
            case ["start", count]:
                return await asyncio.gather(*(self._start() for _ in range(int(count))))
            case ["end"]:
                await self._sessions.aclose()
                self._open_page = None
                return True
            case ["visit"]:
                return await self._visit()
            case ["bind"]:
                return await self._bind()
            case _:
                raise ValueError(command)

    async def _start(self) -> float | None:
        started = time.perf_counter()
        try:
            html = await self._sessions.enter_async_context(self._peer.open_page())
        except Exception as exc:
            print(f"a session failed: {exc!r}", file=sys.stderr)
            return None
        took = time.perf_counter() - started
        self._check(html)
        return took

    async def _open(self) -> None:
        """Open the browser that stays open, unless it is."""
        if self._open_page is None:
            if not isinstance(self._peer, BareScrapling):
                raise TypeError("only bare Scrapling keeps a browser open")
            session = await self._sessions.enter_async_context(self._peer.open_browser())
            self._open_page = session.context.pages[0]

    async def _bind(self) -> str:
        await self._open()
        bound = await self._open_page.context.browser.bind("bare", host="127.0.0.1", port=0)
        endpoint: str = bound["endpoint"]
        return endpoint

    async def _visit(self) -> float:
        await self._open()
        started = time.perf_counter()
        await self._open_page.goto(self._url)
        html = await self._open_page.content()
        took = time.perf_counter() - started
        self._check(html)
        return took

    def _check(self, html: str) -> None:
        if self._logged_in and _SHOWS_LOGIN not in html:
            raise RuntimeError("the page does not show a login")


async def serve(runner: Runner) -> None:
    """Carry out commands until the input ends."""
    while command := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await runner.obey(command)), flush=True)
    await runner.obey("end")


@click.command()
@click.argument("name", type=click.Choice(["scrapling", "chromium", "selenium"]))
@click.option("--engine", default="auto")
@click.option("--url", required=True)
@click.option("--profile", type=click.Path(path_type=Path), required=True)
@click.option("--clones", type=click.Path(path_type=Path), required=True)
def main(name: str, engine: str, url: str, profile: Path, clones: Path) -> None:
    """Make a baseline's sessions, as commands on standard input ask."""
    peer = make_peer(name, engine=engine, url=url, profile=profile, clones=clones)
    print(json.dumps("ready"), flush=True)
    asyncio.run(serve(Runner(peer, url, logged_in=name == "scrapling")))


if __name__ == "__main__":
    main()
