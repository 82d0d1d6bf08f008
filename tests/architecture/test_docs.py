"""What the documents show was run as written, in the order in which a reader meets it: files, commands and python,
against a real server."""

from __future__ import annotations

import io
import re
import time
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import redis
from wakeline.embedded import PrivateServer, find_server
from wakeline.settings import DURATIONS
from wakeline_workers.cli import cli

from tests.e2e.transcripts import PATIENCE_S, Shell, Typed, commands_in, environment, without_server

ROOT = Path(__file__).parents[2]
README, GUIDE = ROOT / "README.md", ROOT / "docs/guide.md"
DOCUMENTS = [README, GUIDE, *(path for path in sorted((ROOT / "docs").glob("*.md")) if path != GUIDE)]
"""In the order of a reader: the landing page, the guide, and then what they point to."""
MOST_LINES = 20
MOST_WORDS = 900


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
STEPS = [block for block in BLOCKS if block.language in ("python", "console")]
"""What a reader does: writes a file, types commands, runs a script."""
[APP] = [block for block in BLOCKS if block.document == "README.md" and block.file == "shop.py"]
Done = dict[Block, CompletedProcess[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as private:
        yield private


@pytest.fixture(scope="module")
def ran(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """What each step of a reader came to. The reader has one folder; each document is read in a shell of its own, and
    what it leaves running ends with it."""
    folder, done = tmp_path_factory.mktemp("reader"), Done()
    for path in DOCUMENTS:
        steps = [block for block in STEPS if block.document == path.name]
        if steps:
            log = folder / f"{path.stem}.log"
            log.touch()
            # The README brings a server with `wakeline dev`.
            shell = Shell(without_server() if path == README else environment(server), folder, log)
            try:
                done |= {block: take(block, shell, folder) for block in steps}
            except BaseException:
                shell.kill()
                raise
            shell.leave()
    return done


def take(block: Block, shell: Shell, folder: Path) -> CompletedProcess[str]:
    if block.language == "console":
        return type_all(commands_in(block.text), shell)
    if block.file:
        (folder / block.file).write_text(block.text, encoding="utf-8")
        return run(f"python -c 'import {block.file.removesuffix('.py')}'", shell)
    script = folder / f"{block.document.removesuffix('.md')}_{block.number}.py"
    script.write_text(block.text, encoding="utf-8")
    return run(f"python {script.name}", shell)


def run(command: str, shell: Shell) -> CompletedProcess[str]:
    """Types a command that ends within 90 s; its exit code, and what it printed."""
    *lines, code = shell.type(f"timeout 90 {command}; echo $?")
    return CompletedProcess(command, int(code), "\n".join(lines))


def type_all(commands: list[Typed], shell: Shell) -> CompletedProcess[str]:
    for typed in commands:
        try:
            shell.show(typed)
        except AssertionError as missed:
            return CompletedProcess(typed.command, 1, str(missed))
        if "wakeline dev" in typed.command:
            shell.type(export_line(shell.background))
    return CompletedProcess(commands[-1].command, 0, "")


def export_line(log: Path) -> str:
    """What `wakeline dev` tells a reader to type."""
    end = time.monotonic() + PATIENCE_S
    while not (lines := [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("export ")]):
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    return lines[0]


@pytest.mark.parametrize("block", STEPS, ids=lambda block: f"{block.document}-{block.number}")
def test_every_step_of_a_reader_does_what_the_document_says(block: Block, ran: Done) -> None:
    done = ran[block]
    assert done.returncode == 0, done.stdout
    assert (done.stdout != "") is ("print(" in block.text)


def test_the_commands_of_the_readme_and_of_the_guide_start_signal_and_follow_a_process() -> None:
    for document in (README, GUIDE):
        text = "".join(block.text for block in blocks_of(document) if block.language == "console")
        shown = "\n".join(line for typed in commands_in(text) for line in typed.shown)
        assert re.findall(r"^\$ wakeline (start|waits|signal|events -f)\b", text, re.MULTILINE) == [
            "start",
            "waits",
            "signal",
            "events -f",
        ]
        assert re.findall(r" ((?:process|signal)\.\w+) ", shown)[-1] == "process.completed"
        assert '"value":"charged 7: -500' in shown


def test_the_blocks_print_what_the_text_beside_them_says(ran: Done) -> None:
    everything = "\n".join(done.stdout for done in ran.values())
    assert "charged 8: -500 (key " in everything
    assert "'process.completed']" in everything
    assert "what happened?" in everything
    assert "charged 9: -500 (key " in everything
    assert "completed {'ok': True}" in everything
    assert "True 35" in everything


def test_no_document_writes_a_token_into_a_log_or_into_the_input_or_outcome_of_a_process(
    ran: Done, server: PrivateServer
) -> None:
    assert all(done.returncode == 0 for done in ran.values())
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        logs = {key: str(client.xrange(key)) for key in client.scan_iter(match="*:events:*")}
        rest = {
            key: str(client.get(key)) for family in ("spec", "input") for key in client.scan_iter(match=f"*:{family}:*")
        }
        outcomes = {key: str(client.hgetall(key)) for key in client.scan_iter(match="*:proc:*")}
    assert any('"bytes"' in text for text in logs.values())  # the log of the survey is among them
    token = re.compile(r"wt[12]\.[\w.-]{40,}")
    assert [key for key, text in (logs | rest | outcomes).items() if token.search(text)] == []


# -- the landing page


def test_the_readme_is_read_in_ninety_seconds() -> None:
    assert len(README.read_text(encoding="utf-8").split()) < MOST_WORDS
    assert 'pip install "wakeline[embedded]"' in README.read_text(encoding="utf-8")


def test_the_readme_compares_in_ten_rows_and_every_figure_of_them_was_measured() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    assert rows[0][1:] == ["Wakeline 0.1", "RQ 3.0", "Celery 5.7", "Temporal", "Restate 1.3", "DBOS 3.4"]
    assert len(rows) == 11
    temporal = {row[4] for row in rows[1:]}
    assert temporal == {"n/m"}, "nothing of Temporal was measured"
    figures = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    shown = {cell for row in rows[1:] for cells in row[1:] for cell in re.findall(r"\d[\d,.]*\d", cells)}
    assert len(shown) >= 20
    assert {
        figure for figure in shown if not re.search(rf"(?<![\d,.]){re.escape(figure)}(?![\d,]|\.\d)", figures)
    } == set()


def test_the_app_of_the_readme_is_at_most_twenty_lines_of_code() -> None:
    code = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(APP.text).readline)
        if token.string.strip() and token.type != tokenize.COMMENT
    }
    assert 10 <= len(code) <= MOST_LINES


def test_every_command_a_document_shows_exists() -> None:
    shown = {
        (path.name, name)
        for path in DOCUMENTS
        for name in re.findall(r"\b(?:wakeline|wl) (?:-A \S+ |--json )*([a-z]+)", code_of(path))
    }
    assert {name for _, name in shown} >= {"worker", "start", "signal", "events"}
    assert {(document, name) for document, name in shown if name not in cli.commands} == set()


def code_of(path: Path) -> str:
    """What a document writes as code: fenced, indented or between backticks."""
    text = path.read_text(encoding="utf-8")
    fenced = [block.text for block in blocks_of(path) if block.language != "python"]
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", text)])


def test_every_variable_a_document_names_is_read_somewhere() -> None:
    read = [path for root in ("core", "workers") for path in (ROOT / root).rglob("*.py")]
    read.append(ROOT / "tests/conftest.py")  # what a run of the tests itself is told
    sources = "\n".join(path.read_text(encoding="utf-8") for path in read)
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"\b(?:WAKELINE|REDIS|RQ)_[A-Z_]+\b", path.read_text(encoding="utf-8"))
    }
    durations = {f"WAKELINE_{name.removesuffix('_ms').upper()}" for name in DURATIONS}
    assert {"REDIS_URL", "WAKELINE_APP"} <= named
    assert {name for name in named - durations if name not in sources} == set()


def test_every_link_of_a_document_leads_somewhere() -> None:
    documents = [
        *DOCUMENTS,
        ROOT / "CONTEXT.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
    links = [
        (path, link)
        for path in documents
        for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if "://" not in link
    ]
    assert len(links) >= 5
    assert [(path.name, link) for path, link in links if not (path.parent / link).exists()] == []
