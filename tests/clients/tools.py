"""Playwright's tools for agents on a live session: its MCP server, and its command line."""

import json
import subprocess
from pathlib import Path
from typing import Any

import attrs

_USE_S = 90


def use_mcp(library: Path, address: str, site: str) -> str:
    """Have the MCP server attach, open a page, read it and click; return what is wrong, if anything."""
    command = ["node", str(library / "cli.js"), "--endpoint", address, "--browser", "firefox"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=library
    ) as process:
        server = _Mcp(process)
        try:
            client = {"name": "greenroom", "version": "1"}
            server.ask(
                "initialize", protocolVersion="2025-03-26", capabilities=dict[str, Any](), clientInfo=client
            )
            server.tell("notifications/initialized")
            opened = server.use("browser_navigate", url=f"{site}/workshop")
            clicked = server.use("browser_click", element="the button", target="#hover")
            snapshot = server.use("browser_snapshot")
        finally:
            process.stdin.close() if process.stdin else None
            process.wait(_USE_S)
    seen = {"Workshop": opened, "click()": clicked, "Hovered": snapshot}
    return "; ".join(f"{word} is not in {text[:200]!r}" for word, text in seen.items() if word not in text)


@attrs.define
class _Mcp:
    _process: "subprocess.Popen[str]"
    _count: int = 0

    def tell(self, method: str, **params: Any) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, **params: Any) -> Any:
        self._count += 1
        self._write({"jsonrpc": "2.0", "id": self._count, "method": method, "params": params})
        assert self._process.stdout is not None
        while (answer := json.loads(self._process.stdout.readline())).get("id") != self._count:
            pass
        return answer.get("result", answer)

    def use(self, tool: str, **arguments: Any) -> str:
        return json.dumps(self.ask("tools/call", name=tool, arguments=arguments))

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def use_cli(library: Path, address: str, site: str) -> str:
    """Have the command line attach, open a page and read it; return what is wrong, if anything."""
    program = str(library / "playwright-cli.js")

    def run(*words: str) -> str:
        done = subprocess.run(
            ["node", program, "-s=greenroom", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_USE_S,
            cwd=library,
        )
        return done.stdout + done.stderr

    try:
        attached = run("attach", f"--endpoint={address}")
        run("goto", f"{site}/workshop")
        run("hover", "#hover")
        snapshot = run("snapshot")
    finally:
        run("detach")
    seen = {"attached to": attached, "Hovered": snapshot}
    return "; ".join(f"{word} is not in {text[:200]!r}" for word, text in seen.items() if word not in text)
