"""What the documents show was run as written: every python block, and the README's app with its shell lines, against a private real server."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer, find_server
from wakeline.settings import DURATIONS
from wakeline_workers.cli import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_LINES = 20


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: str
    number: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name in its first line, if the block is a file."""
        match = re.match(r"# (\w+\.py)\b", self.text)
        return match[1] if match else None


def blocks_of(path: Path) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(path.name, n, language, text) for n, (language, text) in enumerate(found, 1)]


BLOCKS = [block for path in DOCUMENTS for block in blocks_of(path)]
SCRIPTS = [block for block in BLOCKS if block.language == "python" and block.file is None]
[SHELL] = [block for block in BLOCKS if block.document == "README.md" and block.language == "sh" and "wakeline worker" in block.text]
[APP] = [block for block in BLOCKS if block.document == "README.md" and block.file == "shop.py"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader would be: every block that is a file, under its name."""
    made = tmp_path_factory.mktemp("reader")
    for block in BLOCKS:
        if block.language == "python" and block.file:
            (made / block.file).write_text(block.text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """A reader's shell: our commands on its PATH, and a private server that comes before whatever REDIS_URL the document sets."""
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WAKELINE", "REDIS", "RQ"))}
        yield kept | {"PATH": path, "WAKELINE_REDIS_URL": server.url}


@pytest.fixture(scope="module")
def worker(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A real worker that knows the bodies of every file."""
    files = [block.file for block in BLOCKS if block.file]
    (folder / "every.py").write_text(f"from shop import app\napp.include({', '.join(repr(f.removesuffix('.py')) for f in files if f)})\n", encoding="utf-8")
    command = [str(Path(sys.executable).parent / "wakeline"), "-A", "every:app", "worker"]
    running = subprocess.Popen(command, cwd=folder, env=environment)
    yield
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 0


def test_the_shell_lines_of_the_readme_do_what_they_say(folder: Path, environment: dict[str, str]) -> None:
    # As written; the last two lines only end the worker that the block leaves running.
    script = f"{SHELL.text}\nkill -TERM $!\nwait $!\n"
    done = subprocess.run(["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [line for line in done.stdout.splitlines() if re.search(r" (?:process|signal)\.\w+ ", line)]
    types = re.findall(r" ((?:process|signal)\.\w+) ", "\n".join(shown))
    assert {"process.started", "signal.decision"} <= set(types)
    assert types.count("signal.decision") == 1
    assert types[-1] == "process.completed"
    assert "charged 7: -500 (key " in shown[-1]


@pytest.fixture(scope="module")
def ran(folder: Path, environment: dict[str, str], worker: None) -> dict[Block, subprocess.CompletedProcess[str]]:
    """Every block that is no file, run once, in the order of the documents."""
    return {block: run(block.text, folder, environment) for block in SCRIPTS}


def run(code: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: f"{block.document}-{block.number}")
def test_every_python_block_runs_as_written(block: Block, ran: dict[Block, subprocess.CompletedProcess[str]]) -> None:
    done = ran[block]
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout != "") is ("print(" in block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.file], ids=lambda block: f"{block.document}-{block.file}")
def test_every_file_a_document_shows_can_be_imported(block: Block, folder: Path, environment: dict[str, str]) -> None:
    done = run(f"import {(block.file or '').removesuffix('.py')}", folder, environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_blocks_print_what_the_text_beside_them_says(ran: dict[Block, subprocess.CompletedProcess[str]]) -> None:
    everything = "\n".join(done.stdout for done in ran.values())
    assert "charged 8: -500 (key " in everything
    assert "'process.completed']" in everything
    assert "what happened?" in everything
    assert "charged 9: -500 (key " in everything
    assert "completed {'ok': True}" in everything
    assert "True 35" in everything


def test_no_document_writes_a_token_into_a_log_or_into_the_input_or_outcome_of_a_process(
    ran: dict[Block, subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    assert all(done.returncode == 0 for done in ran.values())
    with redis.Redis.from_url(environment["WAKELINE_REDIS_URL"], decode_responses=True) as client:
        logs = {key: str(client.xrange(key)) for key in client.scan_iter(match="*:events:*")}
        rest = {key: str(client.get(key)) for family in ("spec", "input") for key in client.scan_iter(match=f"*:{family}:*")}
        outcomes = {key: str(client.hgetall(key)) for key in client.scan_iter(match="*:proc:*")}
    assert any('"bytes"' in text for text in logs.values())  # the log of the survey is among them
    token = re.compile(r"wt[12]\.[\w.-]{40,}")
    assert [key for key, text in (logs | rest | outcomes).items() if token.search(text)] == []


def test_the_app_of_the_readme_is_at_most_twenty_lines_of_code() -> None:
    code = {token.start[0] for token in tokenize.generate_tokens(io.StringIO(APP.text).readline) if token.string.strip() and token.type != tokenize.COMMENT}
    assert 10 <= len(code) <= MOST_LINES


def test_every_command_a_document_shows_exists() -> None:
    shown = {(path.name, name) for path in DOCUMENTS for name in re.findall(r"\b(?:wakeline|wl) (?:-A \S+ |--json )*([a-z]+)", code_of(path))}
    assert {name for _, name in shown} >= {"worker", "start", "signal", "events"}
    assert {(document, name) for document, name in shown if name not in cli.commands} == set()


def code_of(path: Path) -> str:
    """What a document writes as code: fenced, indented or between backticks."""
    text = path.read_text(encoding="utf-8")
    fenced = [block.text for block in blocks_of(path) if block.language != "python"]
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", text)])


def test_every_variable_a_document_names_is_read_somewhere() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for root in ("core", "workers") for path in (ROOT / root).rglob("*.py"))
    named = {name for path in DOCUMENTS for name in re.findall(r"\b(?:WAKELINE|REDIS|RQ)_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    durations = {f"WAKELINE_{name.removesuffix('_ms').upper()}" for name in DURATIONS}
    assert {"REDIS_URL", "WAKELINE_APP"} <= named
    assert {name for name in named - durations if name not in sources} == set()


def test_every_link_of_a_document_leads_somewhere() -> None:
    documents = [*DOCUMENTS, ROOT / "CONTEXT.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    links = [(path, link) for path in documents for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")) if "://" not in link]
    assert len(links) >= 5
    assert [(path.name, link) for path, link in links if not (path.parent / link).exists()] == []
