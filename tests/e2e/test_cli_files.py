"""What commands say of files that cannot be used: one line with the reason, and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.shop import MODULE, Shop

WAY = "Name a file in a folder that exists, on a disk with room, with the rights of this user."


@pytest.fixture
def attachment(shop: Shop) -> str:
    return str(shop.app.attachments.put(b"bytes").id)


def test_an_attachment_cannot_be_written_where_no_file_can_be(shop: Shop, attachment: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = {
        tmp_path / "missing" / "file": "No such file or directory",
        tmp_path / "file" / "under": "Not a directory",
    }
    if sys.platform == "linux":  # pragma: no branch
        refused |= {
            Path("/dev/full"): "No space left on device",
            Path("/proc/sys/kernel/ostype"): "Permission denied",
        }
    for path, reason in refused.items():
        told = shop.run("attachments", "get", attachment, "-o", str(path))
        assert (told.exit_code, told.stdout) == (2, "")
        assert told.stderr == f"wakeline: {path} cannot be used: {reason}. {WAY}\n"
    folder = shop.run("attachments", "get", attachment, "-o", str(tmp_path))
    assert folder.exit_code == 2
    assert folder.stderr.endswith(f"File '{tmp_path}' is a directory.\n")


def test_a_file_that_was_written_in_part_is_removed(
    shop: Shop, attachment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_the_disk(path: Path, data: bytes) -> int:
        path.open("wb").write(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fills_the_disk)
    told = shop.run("--json", "attachments", "get", attachment, "-o", str(tmp_path / "file"))
    assert (told.exit_code, '"code": "file_unusable"' in told.stdout) == (2, True)
    assert not (tmp_path / "file").exists()


def test_a_file_that_cannot_be_read_is_told(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "read_bytes", fails)
    told = shop.run("attachments", "put", str(tmp_path / "file"))
    assert (told.exit_code, told.stderr) == (
        2,
        f"wakeline: {tmp_path / 'file'} cannot be used: Input/output error. {WAY}\n",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("words", [["ps"], ["--json", "ps"], ["attachments", "get"]], ids=" ".join)
def test_a_full_disk_behind_standard_output_is_told_in_a_line(shop: Shop, attachment: str, words: list[str]) -> None:
    shop.text("start", "charge", "[1, 2]", "--queue", "unserved")
    given = [*words, attachment] if "get" in words else words
    with open("/dev/full", "wb") as full:
        told = subprocess.run(
            [*MODULE, *given], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert told.returncode == 2
    assert told.stderr.startswith(f"wakeline: standard output cannot be used: No space left on device. {WAY}\n")
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a mark of byte order"])
def test_a_start_a_signal_and_an_input_may_stand_in_a_file(shop: Shop, tmp_path: Path, mark: str) -> None:
    arguments, payload, letter = (tmp_path / name for name in ("arguments.json", "payload.json", "letter.txt"))
    arguments.write_text(mark + '{"order": 7}', encoding="utf-8")
    payload.write_text(mark + "true\n", encoding="utf-8")
    letter.write_text(mark + "Dear clerk,\nwhere is it? \u2014 Ann\n", encoding="utf-8")
    shop.text("start", "refund", "--file", str(arguments), "--id", "refund-7")
    shop.text("signal", "refund-7", "decision", "--file", str(payload))
    shop.work()
    assert shop.json("show", "refund-7")["outcome"]["value"] == "order 7: -500, approved"
    shop.text("send", "clerk/ann", "--file", str(letter))
    assert shop.json("wakes", "clerk/ann")[0]["input"] == "Dear clerk,\nwhere is it? \u2014 Ann\n"
    done = shop.run("send", "clerk/ann", "--file", "-", stdin="by stdin")
    assert (done.exit_code, shop.json("wakes", "clerk/ann")[-1]["input"]) == (0, "by stdin")


def test_a_file_that_is_no_text_no_json_or_not_there_is_told_and_nothing_is_sent(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("caf\xe9".encode("latin-1"))
    (tmp_path / "half.json").write_text('{"order": ')
    keys = shop.keys()
    told = {
        ("send", "clerk/ann", "--file", str(tmp_path / "latin")): "is no UTF-8 from byte 3 on; save it as UTF-8",
        ("send", "clerk/ann", "--file", str(tmp_path / "missing")): "No such file or directory",
        ("send", "clerk/ann", "--file", str(tmp_path)): "Is a directory",
        ("send", "clerk/ann", "hello", "--file", str(tmp_path / "latin")): "is given twice",
        ("send", "clerk/ann"): "Missing argument 'TEXT', or --file",
        ("start", "refund", "--file", str(tmp_path / "half.json")): "The argument object",
    }
    for words, part in told.items():
        done = shop.run(*words)
        assert (done.exit_code, part in done.stderr, done.stdout) == (2, True, ""), done.stderr
    assert shop.keys() == keys
