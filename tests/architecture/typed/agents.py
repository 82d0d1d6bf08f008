"""A user's agents: turns have the verbs of bodies, an inbox and a state."""

from typing import Any, assert_type

from wakeline import Agent, App, AsyncChild, AsyncCtx, AsyncTurn, Child, InboxItem, Turn

app = App("desk")


@app.engine
async def crawl(ctx: AsyncCtx, urls: list[str]) -> int:
    return len(urls)


@app.agent("helper")
async def helper(turn: AsyncTurn) -> str | None:
    for item in turn.inbox:
        assert_type(item, InboxItem)
        assert_type(item.text, str)
    assert_type(await turn.start(crawl, ["a"]), AsyncChild[int])
    assert_type(await turn.using(queue="slow").start(crawl, ["a"]), AsyncChild[int])
    turn.state["seen"] = turn.state.get("seen", 0) + len(turn.inbox)
    assert_type(turn.state, dict[str, Any])
    assert_type(await turn.arrivals(), list[InboxItem])
    assert_type(await turn.ask("clerk/1", "how many?", output=int), int)
    turn.switch_frame("planning", "go on")
    assert_type(turn.frame, str | None)
    return f"{turn.session_id} {turn.revision}"


@app.agent
def clerk(turn: Turn) -> str:
    assert_type(turn.start(crawl, ["a"]), Child[int])
    assert_type(turn.using(wake="end"), Turn)
    return "; ".join(item.text for item in turn.inbox)


@app.agent("typist", queue="slow", max_entries=1)
def typist(turn: Turn) -> None: ...


@app.agent(
    "porter",
    kinds=["wake"],
    on_arrival="interrupt",
    debounce="200ms",
    debounce_max="2s",
    on_failure="block",
    max_attempts=3,
)
def porter(turn: Turn) -> None: ...


def declarations() -> None:
    assert_type(helper, Agent)
    assert_type(clerk, Agent)


@app.agent("wrong")  # WRONG: an agent's function takes a turn
def takes_no_turn(number: int) -> None: ...


@app.agent("strange", on_arrival="ignore")  # WRONG: no such policy
def strange(turn: Turn) -> None: ...


async def misused(turn: AsyncTurn) -> None:
    await turn.start(crawl, "a")  # WRONG: an argument's type
    turn.inbox[0]  # WRONG: it is iterated, in order # noqa: B018
    for item in turn.inbox:
        print(item.body)  # WRONG: an entry has no such field
    number: int = turn.session_id  # WRONG: a text
    print(number)
