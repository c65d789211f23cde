"""What the code may import: declared packages, only downwards, and browser libraries in one place only."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("actors", "supervisor", "web")
PACKAGE = "greenroom"
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def canonical(distribution: str) -> str:
    """Return a distribution's name in PyPI's normal form."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported() -> Iterator[str]:
    """Yield the first two names of everything that the shipped code imports, anywhere in a module."""
    for file in (file for folder in (PACKAGE, *LAYERS) for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (first_two(name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from {first_two(f"{node.module}.{name.name}") for name in node.names}


def first_two(module: str) -> str:
    return ".".join(module.split(".")[:2])


def provider(module: str, distributions_of: Mapping[str, list[str]]) -> str:
    """Return the distribution that a module comes from; several may share its first name."""
    folder, _, inner = module.partition(".")
    distributions = sorted(set(distributions_of[folder]))
    if len(distributions) > 1:
        of_its_own = [one for one in distributions if has_package(one, f"{folder}/{inner}/")]
        assert len(of_its_own) == 1, module
        return canonical(of_its_own[0])
    return canonical(distributions[0])


def has_package(name: str, folder: str) -> bool:
    return any(str(file).startswith(folder) for file in distribution(name).files or ())


def test_dependencies_declared_are_those_imported() -> None:
    """A package that only another one brings along may vanish with its next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["mcp"]]
    declared = {canonical(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines}
    own = {*sys.stdlib_module_names, PACKAGE, *LAYERS}
    foreign = {module for module in imported() if module.partition(".")[0] not in own}
    distributions = packages_distributions()
    assert {provider(module, distributions) for module in foreign} == declared


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the shipped code and its contracts."""
    for folder in (PACKAGE, *LAYERS):
        if (ROOT / folder).exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts."""
    command = [str(LINT_IMPORTS), "--no-cache"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False, timeout=60)


def test_contracts_hold(checkout: Path) -> None:
    """The contracts hold in an unchanged copy, which the next test changes."""
    done = lint(checkout)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("actors/ledger/__init__.py", "import playwright.async_api", "stays free of asyncio"),
        ("actors/errors.py", "from scrapling.fetchers import StealthyFetcher", "stays free of asyncio"),
        ("actors/browser/engines.py", "import camoufox", "stays free of asyncio"),
        (
            "supervisor/config/settings.py",
            "def late() -> None:\n    import patchright",
            "stays free of asyncio",
        ),
        ("web/settings/daemon.py", "import playwright.async_api", "stays free of asyncio"),
        ("web/logs.py", "import asyncio", "stays free of asyncio"),
        ("web/client/aio.py", "import mcp.types", "which is an extra"),
        (
            "web/practice/__init__.py",
            "from greenroom.actors.browser.host import server",
            "a program of its own",
        ),
        ("actors/errors.py", "import greenroom.supervisor.config", "imports only downwards"),
    ],
)
def test_import_that_a_contract_forbids_is_found(
    checkout: Path, module: str, line: str, contract: str
) -> None:
    """It is found anywhere, even inside a function."""
    with (checkout / module).open("a") as file:
        file.write(f"\n\n{line}\n")
    done = lint(checkout)
    assert done.returncode != 0, done.stdout
    assert re.search(rf"{contract}[^.]*? BROKEN", " ".join(done.stdout.split()))
