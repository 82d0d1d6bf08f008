"""A push is an occurrence, a build is a process, its end is a wake: no code polls, and nothing is done twice.

A web handler would call `push.emit(payload, key=delivery id)`; GitHub sends some deliveries twice, and the key makes
them one.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline import App, AsyncCtx, AsyncTurn, current

app = App("ci")


@dataclass(frozen=True)
class Push:
    """What is told of a push."""

    repo: str
    commit: str


push = app.trigger("github.push", Push)


@app.tool(retries=2, timeout="30s")
def run_tests(repo: str, commit: str) -> int:
    """How many tests failed; the commit says."""
    current().log(f"testing {repo} at {commit}")
    return commit.count("bug")


@app.engine(label="{repo}@{commit}")
async def build(ctx: AsyncCtx, repo: str, commit: str) -> str:
    failed = await ctx.call(run_tests, repo, commit)
    return f"{failed} tests failed" if failed else "passed"


@app.agent("keeper")
async def keeper(turn: AsyncTurn) -> str | None:
    """Looks after a repository: told to watch it, it subscribes; from then on builds wake it."""
    broken = [item.text for item in turn.inbox if item.kind == "wake" and "tests failed" in item.text]
    for item in turn.inbox:
        if item.kind == "input":
            await turn.trigger("github.push").subscribe(
                build, name=f"build {item.input}".replace(" ", "-"), source_key=str(item.input)
            )
            return f"watching {item.input}"
    turn.state["broken"] = turn.state.get("broken", 0) + len(broken)
    return f"to fix: {broken[0]}" if broken else None
