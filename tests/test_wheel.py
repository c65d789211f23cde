"""The installed package: one top-level name, beside any other packages, with its types."""

import csv
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import pytest

import greenroom
from greenroom import public

ROOT = Path(__file__).parents[1]
# Distributions on PyPI that have the names of our layers.
STRANGERS = {
    "supervisor": {"supervisor/__init__.py": "STRANGER = True", "supervisor/api.py": ""},
    "web.py": {"web/__init__.py": "STRANGER = True", "web/http/__init__.py": ""},
    "actors": {"actors/__init__.py": "STRANGER = True", "actors/errors.py": ""},
}
IMPORT_ALL = """
import importlib, pkgutil, greenroom
for module in pkgutil.walk_packages(greenroom.__path__, "greenroom."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in greenroom.__all__:
    getattr(greenroom, name)
print(greenroom.__file__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(target: str, source: Path, folder: Path) -> Path:
    """Build a distribution from `source`."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=source)
    (built,) = folder.iterdir()
    return built


@attrs.frozen
class Site:
    """An environment that has Greenroom's dependencies, but not Greenroom yet."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Site":
        run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
        return cls(folder)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        (packages,) = self.folder.glob("lib/python*/site-packages")
        return packages

    def install(self, *wheels: Path) -> None:
        # Without this environment's own packages, or pip would find a Greenroom among them.
        (self.packages / "beside.pth").unlink(missing_ok=True)
        self._pip("install", "--no-deps", "--no-index", *wheels)
        (self.packages / "beside.pth").write_text(sysconfig.get_path("purelib"))

    def uninstall(self, *names: str) -> None:
        self._pip("uninstall", "-y", *names)

    def _pip(self, *words: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", self.python)
        run(*pip, *words, cwd=self.folder)

    def check(self) -> None:
        """Check that Greenroom is imported from here as a whole, and that the command starts."""
        said = run(self.python, "-I", "-c", IMPORT_ALL, cwd=self.folder)
        assert Path(said.strip()) == self.packages / "greenroom" / "__init__.py"
        assert run(self.folder / "bin" / "greenroom", "--version", cwd=self.folder).startswith("greenroom")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path / "site")


@pytest.fixture
def strangers(tmp_path: Path) -> list[Path]:
    return [make_wheel(tmp_path, name, files) for name, files in STRANGERS.items()]


def make_wheel(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """Make a wheel of a few files, the smallest that installers accept."""
    stem = f"{name.replace('.', '_')}-1"
    metadata = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = io.StringIO()
    rows = csv.writer(record)
    rows.writerows((path, "", "") for path in (*files, *metadata, f"{stem}.dist-info/RECORD"))
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, **metadata, f"{stem}.dist-info/RECORD": record.getvalue()}.items():
            archive.writestr(path, text)
    return wheel


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_all_files_below_one_name(wheel: Path) -> None:
    """Every file in the layers' folders is in it, once, and nothing else is."""
    layers = (path for layer in ("actors", "supervisor", "web") for path in (ROOT / layer).rglob("*"))
    files = [path for path in (*layers, *(ROOT / "greenroom").iterdir()) if path.is_file()]
    shipped = {str(path.relative_to(ROOT)) for path in files if path.suffix != ".pyc"}
    assert {name for name in names_in(wheel) if ".dist-info/" not in name} == {
        path if path.startswith("greenroom/") else f"greenroom/{path}" for path in shipped
    }


def test_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """It does so whether or not the archive keeps symlinks."""
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert names_in(build("wheel", source, tmp_path / "wheel")) == names_in(wheel)


def after(site: Site, wheel: Path, strangers: list[Path]) -> None:
    site.install(*strangers)
    site.install(wheel)


def before(site: Site, wheel: Path, strangers: list[Path]) -> None:
    site.install(wheel)
    site.install(*strangers)


@pytest.mark.parametrize("come", [before, after], ids=lambda come: f"installed_{come.__name__}")
def test_packages_with_our_layers_names_may_come_and_go(
    site: Site, wheel: Path, strangers: list[Path], come: Callable[[Site, Path, list[Path]], None]
) -> None:
    """Neither overwrites the other's files, and uninstalling one leaves the other's."""
    come(site, wheel, strangers)
    site.check()
    show = "import actors, supervisor, web; assert actors.STRANGER and supervisor.STRANGER and web.STRANGER"
    run(site.python, "-I", "-c", show, cwd=site.folder)
    site.uninstall(*STRANGERS)
    assert not (site.packages / "supervisor").exists()
    site.check()


def test_examples_of_the_readme_are_typed(site: Site, wheel: Path) -> None:
    """A strict type checker accepts them, and reports names that Greenroom doesn't have."""
    site.install(wheel)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 4
    for number, example in enumerate(examples):
        (site.folder / f"example_{number}.py").write_text(example)
    (site.folder / "unknown.py").write_text("from greenroom import Unknown\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        str(site.python),
        *(f"example_{number}.py" for number in range(len(examples))),
        "unknown.py",
    ]
    done = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, check=False)
    (error, _) = done.stdout.splitlines()
    assert re.search(r'error: Module "greenroom" has no attribute "Unknown"', error)
    shutil.rmtree(site.folder / ".mypy_cache")


def test_names_are_listed_and_others_are_unknown() -> None:
    """The public names are listed for interactive use too."""
    assert set(public.__all__) <= set(dir(greenroom))
    for name in ("unknown", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(greenroom, name)


def test_browser_host_starts_without_the_daemons_modules() -> None:
    """They would cost each host 12 MB and 0.1 s."""
    look = "import sys, greenroom.actors.browser.host.server; print(*sys.modules)"
    modules = set(run(sys.executable, "-c", look, cwd=ROOT).split())
    assert "greenroom.actors.browser.host.browser" in modules
    assert modules.isdisjoint({"trio", "structlog", "greenroom.supervisor", "greenroom.public"})
