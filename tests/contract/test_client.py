"""A client that is generated from the description uses a session."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contract import DOCS
from tests.patience import patience
from tests.web.http.front import NO_CERTIFICATES, Front, open_front

CONFIG = Path(__file__).with_name("generator.yml")
PACKAGE = "generated_greenroom_client"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the generated client's modules. The generator must not leave anything out, which it warns of."""
    generator = Path(sys.executable).with_name("openapi-python-client")
    what = ["--path", str(DOCS / "openapi.json"), "--config", str(CONFIG), "--meta", "none"]
    where = ["--output-path", str(tmp_path / PACKAGE)]
    done = subprocess.run(
        [generator, "generate", "--fail-on-warning", *what, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    names = (
        "client",
        "api.sessions.create_session",
        "api.sessions.get_session",
        "api.sessions.delete_session",
    )
    modules = {name.rpartition(".")[2]: importlib.import_module(f"{PACKAGE}.{name}") for name in names}
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        monkeypatch.delitem(sys.modules, name)
    return SimpleNamespace(**modules)


async def test_generated_client_creates_reads_and_ends_a_session(api: SimpleNamespace) -> None:
    """With typed answers, errors included."""
    async with open_front(token="a-token-of-enough-characters") as front:
        client = open_client(api, front, "a-token-of-enough-characters")
        async with client:
            created = await api.create_session.asyncio_detailed(client=client, idempotency_key="one")
            assert (created.status_code, created.parsed.status) == (200, "success")
            session_id = created.headers["X-Session-Id"]
            assert list(front.machine.browsers) == [session_id]
            shown = await api.get_session.asyncio(session_id, client=client)
            assert (shown.session.state.value, shown.session.login_state.value) == ("live", "LOGGED_IN")
            assert shown.session.expires_at > shown.session.created_at
            ended = await api.delete_session.asyncio_detailed(session_id, client=client)
            assert ended.status_code == 204
            shown = await api.get_session.asyncio(session_id, client=client)
            assert (shown.session.state.value, shown.session.end_reason.value) == ("ended", "deleted")
            assert shown.session.receipt.left == []
            refused = await api.get_session.asyncio("none", client=client, x_request_id="mine")
            details = refused.error_details
            assert (details.code.value, details.retryable, details.request_id) == (
                *("SESSION_NOT_FOUND", False, "mine"),
            )


def open_client(api: SimpleNamespace, front: Front, token: str) -> Any:
    """Return a generated client of a daemon with a token."""
    return api.client.AuthenticatedClient(
        base_url=front.url, token=token, verify_ssl=NO_CERTIFICATES, httpx_args={"trust_env": False}
    )
