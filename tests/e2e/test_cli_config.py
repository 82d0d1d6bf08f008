"""What a program is set to: each setting with its value and where that came from, no password, and a word about
variables that nothing reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.shop import MODULE, Shop, until

SECRETS = {
    "a password": "redis://user:hunter2@127.0.0.1:1/0",
    "a password alone": "redis://:hunter2@127.0.0.1:1/0",
    "a password with an @": "redis://user:p@hunter2@127.0.0.1:1/0",
    "a password with a slash": "redis://user:hun/ter2@127.0.0.1:1/0",
    "a password as an option": "redis://127.0.0.1:1/0?password=hunter2",
    "a password as an option with an @": "redis://127.0.0.1:1/0?password=hun@ter2",
    "sentinels": "sentinel://user:hunter2@a:1,b:2/main?sentinel_password=hunter2",
    "a cluster": "cluster://user:hunter2@a:1,b:2",
    "no URL at all": "hunter2@somewhere",
}


def rows(shop: Shop, code: int = 0) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["value"], row["source"]) for row in shop.json("config", code=code)["settings"]}


def test_each_setting_says_its_value_and_where_it_came_from(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_LEASE", "1m")
    monkeypatch.setenv("HEROKU_SLUG_COMMIT", "abc")
    monkeypatch.setenv("WAKELINE_WAIT", "1")
    found = rows(shop)
    assert found["WAKELINE_LEASE"] == ("1m", "variable")
    assert found["WAKELINE_BEAT"] == ("2s", "default")
    assert found["WAKELINE_HOLD"] == ("0s", "variable")
    assert found["HEROKU_SLUG_COMMIT"] == ("abc", "variable")
    assert found["WAKELINE_NAMESPACE"] == ("shop", "app code")
    assert found["WAKELINE_APP"] == ("cli_app:app", "variable")
    assert found["WAKELINE_CONCURRENCY"] == ("64", "default")
    assert found["WAKELINE_LOG"] == ("INFO", "default")
    assert found["WAKELINE_WAIT"] == ("1", "variable")
    assert found["WAKELINE_ALLOW_EVICTION"] == ("no", "default")
    assert found["WAKELINE_REDIS_URL"] == (f"redis://…@{shop.url.rpartition('@')[2]}", "variable")


def test_what_the_code_of_an_app_says_is_told_apart(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_app.py").write_text(
        "from wakeline import App\n"
        "from wakeline.settings import Settings\n"
        "given = {'REDIS_URL': 'redis://u:hunter2@elsewhere:7', 'WAKELINE_BEAT': '1s'}\n"
        "app = App('own', settings=Settings.from_env(given))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = shop.run("--json", "-A", "own_app:app", "config")
    assert "hunter2" not in result.output
    found = {row["name"]: (row["value"], row["source"]) for row in json.loads(result.stdout)["settings"]}
    assert found["WAKELINE_REDIS_URL"] == ("redis://…@elsewhere:7", "app code")
    assert found["WAKELINE_BEAT"] == ("1s", "app code")
    assert found["WAKELINE_APP"] == ("own_app:app", "option")


def test_explain_adds_what_each_setting_means(shop: Shop) -> None:
    lines = shop.text("config", "--explain").splitlines()
    at = lines.index("WAKELINE_BEAT = 2s  (default)")
    assert lines[at + 1] == "    The time between two heartbeats."
    assert len(lines) > 50


@pytest.mark.parametrize("kind", SECRETS)
def test_no_password_is_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    for name in ("WAKELINE_REDIS_URL", "WAKELINE_ATTACHMENTS"):
        monkeypatch.setenv(name, SECRETS[kind])
        for words in (["config"], ["config", "--explain"], ["--json", "config"]):
            result = shop.run(*words)
            assert "hunter2" not in result.output and "ter2" not in result.output, (name, words)
        monkeypatch.setenv("WAKELINE_REDIS_URL", shop.url)


def test_who_may_use_the_web_face_is_known_and_no_secret_of_theirs_is_shown(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAKELINE_WEB_TOKENS", "WAKELINE_WEB_USERS"):
        monkeypatch.setenv(name, "ann:operate:hunter2-hunter2-hunter2")
    monkeypatch.setenv("WAKELINE_WEB_TRUST", "10.0.0.0/8")
    result = shop.run("config")
    assert "hunter2" not in result.output and result.stderr == ""
    found = rows(shop)
    assert found["WAKELINE_WEB_TOKENS"] == found["WAKELINE_WEB_USERS"] == ("…", "variable")
    assert found["WAKELINE_WEB_TRUST"] == ("10.0.0.0/8", "variable")
    assert found["WAKELINE_WEB_USER_ROLE"] == ("view", "default")


def test_an_app_that_cannot_be_loaded_still_shows_what_the_environment_says(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = shop.run("-A", "nosuch:app", "config")
    assert result.exit_code == 2
    assert "WAKELINE_LEASE" in result.stdout
    assert result.stderr.startswith("wakeline: what the app itself says is not known: ")
    monkeypatch.delenv("WAKELINE_APP")
    bare = shop.run("config")
    assert bare.exit_code == 0
    assert "-A or WAKELINE_APP names one" in bare.stderr


def test_a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKELINE_LEASE", "soon")
    result = shop.run("config")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "WAKELINE_LEASE" in result.stderr


# -- variables that nothing reads

UNREAD = {
    "WAKELINE_LEESE": "; did you mean WAKELINE_LEASE?",
    "WAKELINE_CONCURENCY": "; did you mean WAKELINE_CONCURRENCY?",
    "WAKELINE_PS_STATSU": "; did you mean WAKELINE_PS_STATUS?",
    "WAKELINE_QUUX": "; `wakeline config` lists what is read",
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("command", ["config", "doctor"])
def test_a_variable_that_nothing_reads_is_told_once_with_the_nearest_name(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    result = shop.run(command)
    told = [line for line in result.stderr.splitlines() if name in line]
    assert told == [f"wakeline: {name} is set, and Wakeline reads no such variable{UNREAD[name]}"]
    assert "hunter2" not in result.output
    assert json.loads(shop.run("--json", "config").stdout)["unread"][0]["name"] == name


def test_variables_of_options_are_read_by_their_command_and_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAKELINE_PS_STATUS", "WAKELINE_QUEUES", "WAKELINE_TRIGGERS_EMIT_KEY", "WAKELINE_START_IF_RUNNING"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("WAKELINE_JSON", "1")
    result = shop.run("config")
    assert result.stderr == ""
    found = {row["name"]: row["source"] for row in json.loads(result.stdout)["settings"]}
    assert found["WAKELINE_PS_STATUS"] == found["WAKELINE_TRIGGERS_EMIT_KEY"] == "variable"


def test_a_name_of_a_variable_cannot_reach_the_terminal_raw(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_\x1b[31mLEASE", "1")
    assert "\x1b" not in shop.run("config").output


@pytest.mark.parametrize("words", [["worker", "-n", "2"], ["clock"], ["dev"]], ids=lambda words: words[0])
def test_what_serves_tells_it_once_and_goes_on(shop: Shop, words: list[str]) -> None:
    env = os.environ | {"WAKELINE_LEESE": "1s"}
    serving = subprocess.Popen([*MODULE, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert serving.stderr is not None
    said: list[str] = []
    try:
        while not any("WAKELINE_LEESE" in line for line in said):
            said.append(serving.stderr.readline())
            assert said[-1], "it ended"
        if words[0] == "clock":
            until(lambda: shop.run("health").exit_code == 0)
        else:
            shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
            assert shop.app.handle("charge-1").result(timeout=30) == "order 1: 2"
        serving.send_signal(signal.SIGTERM)
        said += serving.communicate(timeout=30)[1].splitlines()
    finally:
        serving.kill()
    [told] = [line for line in said if "WAKELINE_LEESE" in line]
    assert "WAKELINE_LEESE is set, and Wakeline reads no such variable; did you mean WAKELINE_LEASE?" in told
    assert serving.returncode == 0
