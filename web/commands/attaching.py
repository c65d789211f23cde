"""Programs that use a session with Playwright, for `greenroom session attach`: they run as they are."""

import json

from greenroom.web.client import RemoteSession
from greenroom.web.commands.login import forwarded
from greenroom.web.commands.sessions import Refused

_PYTHON = """\
{imports}from playwright.sync_api import sync_playwright

ADDRESS = {address}

with sync_playwright() as playwright:
    browser = playwright.firefox.connect(ADDRESS{headers})
    page = browser.contexts[0].pages[0]
    print(page.title())
"""
_NODE = """\
import {{ firefox }} from "playwright";

const address = {address};
const browser = await firefox.connect(address{headers});
const page = browser.contexts()[0].pages()[0];
console.log(await page.title());
await browser.close();
"""


_PYTHON_HEADERS = """, headers={"Authorization": f"Bearer {os.environ['GREENROOM_TOKEN']}"}"""
_NODE_HEADERS = ", { headers: { Authorization: `Bearer ${process.env.GREENROOM_TOKEN}` } }"


def address_of(session: RemoteSession) -> str:
    """Return where Playwright connects to a session. Raises `Refused` if it can't, as at a Unix socket."""
    address = session.playwright().address
    path = session.client.socket
    shown, tunnel = forwarded(address, path)
    if path is not None and tunnel is not None:
        raise Refused(
            "Playwright needs a port, and the daemon is at a Unix socket. "
            f"Run `{tunnel}` where your program runs, and connect to {shown}"
        )
    return address


def python_program(address: str, *, has_token: bool) -> str:
    """Return a program in Python. It takes the daemon's token, if there is one, from GREENROOM_TOKEN."""
    return _PYTHON.format(
        imports="import os\n\n" if has_token else "",
        address=json.dumps(address),
        headers=_PYTHON_HEADERS if has_token else "",
    )


def node_program(address: str, *, has_token: bool) -> str:
    """Return the same as a module for Node."""
    return _NODE.format(address=json.dumps(address), headers=_NODE_HEADERS if has_token else "")
