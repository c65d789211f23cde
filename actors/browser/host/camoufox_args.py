"""The arguments with which Camoufox is launched, built by its own package in a separate process.

The package takes 34 MB, including NumPy, which the host would keep for as long as its browser runs.
"""

import asyncio
import json
import subprocess
from typing import Any

import msgspec

from greenroom.actors.browser.cells.environment import python_command
from greenroom.actors.browser.wire import messages

_BUILD_COMMAND = python_command("greenroom.actors.browser.host.camoufox", "build")


class CamoufoxFailed(Exception):
    """Camoufox's package can't build the arguments; it has written the reason to standard error."""


async def camoufox_args(launch: messages.Launch) -> dict[str, Any]:
    """Return the arguments of Playwright's `launch_persistent_context` for Camoufox.

    Cancelling ends the process. Raises `CamoufoxFailed`, and `OSError` when it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        *_BUILD_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        built, _ = await process.communicate(msgspec.json.encode(launch))
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise CamoufoxFailed(f"Camoufox's package ended with {process.returncode}")
    args: dict[str, Any] = json.loads(built)
    return args
