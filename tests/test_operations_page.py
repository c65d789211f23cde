"""docs/operations.md: its commands that need neither root nor systemd run, and what it names exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
OURS = [re.findall(r"^\$ (.*)$", block, re.MULTILINE) for block in BLOCKS if block.startswith("$ ")]


def test_commands_without_root_run(tmp_path: Path) -> None:
    """One block after the other, as somebody would type them."""
    script = "\n".join(line for block in OURS for line in block)
    assert script.count("greenroom serve --check") == 2
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GREENROOM_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(30),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"ok +tls +fullchain.pem", done.stdout)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"/opt/greenroom/((?:deploy|docs)\S*)", PAGE))))
def test_files_of_the_installation_exist(path: str) -> None:
    """Those that a command copies."""
    assert (ROOT / path).is_file()
