"""What deploys change: one row per line of the table in `docs/deploys.md`, each the code of an old release and of a new
one, and what becomes of a process."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import Any

HEAD = """
import asyncio
from typing import Any
from wakeline import Event, Signal, Turn


def did(row: str, what: str) -> str:
    with open(HERE / "did", "a") as file:
        file.write(f"{row} {what}\\n")
    return what


@app.tool
def pay(row: str, n: int) -> int:
    did(row, f"pay {n}")
    return n


@app.tool
def mail(row: str, n: int) -> int:
    did(row, f"mail {n}")
    return n
"""
RECORDED = "ctx.call(pay, ROW, 100)\n"
WAIT = "return ctx.wait('go', int)"
BEHIND = "\nthen = ctx.wait('go', int)\n"


@dataclass(frozen=True)
class Change:
    """A row: code before and after (ROW is its process, its body's name and the mark of its effects), and what happens
    to a process that waits for ``go``."""

    old: str
    new: str
    misfit: tuple[str, str] | None = None
    """Of what waits under the new code: the kind, and the words its reason begins with."""
    end: Any = 5
    """What it returns: under the new code, or, of what waited, under the old code again."""
    fails: str | None = None
    """The code of the error it ends with under the new code."""
    did: tuple[str, ...] = ("pay 100",)
    """Its effects, all in all and in order."""
    arguments: tuple[Any, ...] = ()
    queued: bool = False
    """Whether it is started between the releases, and has never run."""


def body(
    lines: str,
    *,
    before: str = "",
    takes: str = "",
    options: str = "signals={'go': int}",
    name: str = "ROW",
    how: str = "def",
) -> str:
    """An engine with these lines."""
    ctx = "AsyncCtx" if how == "async def" else "Ctx"
    code = indent(lines.replace(", ROW", ", 'ROW'"), "    ")
    return f"{before}\n\n@app.engine({options})\n{how} {name}(ctx: {ctx}{takes}) -> Any:\n{code}\n"


def tool(lines: str, *, options: str = "", takes: str = "row: str", result: str = "Any", name: str = "tool_ROW") -> str:
    return f"\n\n@app.tool({options})\ndef {name}({takes}) -> {result}:\n{indent(lines, '    ')}\n"


def called(declared: str, call: str = "ctx.call(tool_ROW, ROW)") -> str:
    """A body that calls a tool of its own, waits, and returns what it got."""
    return body(f"paid = {call}{BEHIND}return paid", before=declared)


PAID = "did(row, 'pay 100')\nreturn 100"
BROKEN = "did(row, 'pay 100')\nraise ValueError('no')"
HANDLED = "try:\n    paid = ctx.call(tool_ROW, ROW)\nexcept Exception:\n    paid = -1" + BEHIND + "return paid"
PATCHED = "if ctx.patched('mail'):\n    ctx.call(mail, ROW, 1)\n"
SET = "for n in {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}:\n    ctx.step(n, len, n)\n"
STEP = "ctx.step('ship', did, ROW, 'ship')\n"

BODIES = {
    "an argument of a recorded call": Change(
        body(RECORDED + WAIT),
        body("ctx.call(pay, ROW, 101)\n" + WAIT),
        ("mismatch", "call:pay, args.n: recorded 100, asked for 101"),
    ),
    "a call is inserted before a recorded one": Change(
        body(RECORDED + WAIT),
        body("ctx.call(mail, ROW, 0)\n" + RECORDED + WAIT),
        (
            "mismatch",
            (
                "it asks for tool_call call:mail, which is new, and not for what it did before: tool_call 'call:pay',"
                " wait for signal 'go'"
            ),
        ),
    ),
    "a call is inserted before the wait that stands open": Change(
        body(RECORDED + WAIT),
        body(RECORDED + "ctx.call(mail, ROW, 0)\n" + WAIT),
        (
            "mismatch",
            "it asks for tool_call call:mail, which is new, and not for what it did before: wait for signal 'go'",
        ),
    ),
    "a call is inserted behind the wait that stands open": Change(
        body(RECORDED + WAIT),
        body(RECORDED + BEHIND + "ctx.call(mail, ROW, 0)\nreturn then"),
        did=("pay 100", "mail 0"),
    ),
    "a recorded call is removed, something new follows": Change(
        body(RECORDED + BEHIND + "ctx.call(mail, ROW, 1)\nreturn then"),
        body(BEHIND + "ctx.call(mail, ROW, 1)\nreturn then"),
        (
            "mismatch",
            "it asks for tool_call call:mail, which is new, and not for what it did before: tool_call 'call:pay'",
        ),
        did=("pay 100", "mail 1"),
    ),
    "a recorded call is removed, nothing new follows": Change(body(RECORDED + WAIT), body(WAIT)),
    "recorded calls are swapped": Change(
        body(RECORDED + "ctx.call(mail, ROW, 1)\n" + WAIT),
        body("ctx.call(mail, ROW, 1)\n" + RECORDED + BEHIND + "ctx.call(pay, ROW, 2)\nreturn then"),
        did=("pay 100", "mail 1", "pay 2"),
    ),
    "a step is renamed": Change(
        body(STEP + WAIT),
        body("ctx.step('send', did, ROW, 'send')\n" + WAIT),
        (
            "mismatch",
            "it asks for step send, which is new, and not for what it did before: step 'ship', wait for signal 'go'",
        ),
        did=("ship",),
    ),
    "a step is renamed with `was=`": Change(
        body(STEP + WAIT), body("ctx.step('send', did, ROW, 'ship', was='ship')\n" + WAIT), did=("ship",)
    ),
    "a call is inserted behind `ctx.patched`": Change(body(RECORDED + WAIT), body(PATCHED + RECORDED + WAIT)),
    "`patched` becomes `deprecated_patch`, the process is on the new path": Change(
        body(PATCHED + WAIT), body("ctx.deprecated_patch('mail')\nctx.call(mail, ROW, 1)\n" + WAIT), did=("mail 1",)
    ),
    "`deprecated_patch` comes too early, the process is on the old path": Change(
        body(RECORDED + WAIT),
        body("ctx.deprecated_patch('mail')\nctx.call(mail, ROW, 1)\n" + RECORDED + WAIT),
        ("mismatch", "it asks for the new path of 'mail', which is new, and not for what it did before: the old path"),
    ),
    "`patched` is removed, the process is on the new path": Change(
        body(PATCHED + WAIT),
        body("ctx.call(mail, ROW, 1)\n" + BEHIND + "ctx.call(pay, ROW, 1)\nreturn then"),
        did=("mail 1", "pay 1"),
    ),
    "a wait is replaced by another": Change(
        body(RECORDED + WAIT),
        body(RECORDED + "return ctx.wait('other', int)", options="signals={'go': int, 'other': int}"),
        ("mismatch", "it asks for wait wait:other, which is new, and not for what it did before: wait for signal 'go'"),
    ),
    "the `timeout=` of the wait that stands open": Change(
        body(RECORDED + WAIT), body(RECORDED + "return ctx.wait('go', int, timeout='1h', default=1)")
    ),
    "the length of a sleep that is over": Change(
        body("ctx.sleep('1ms')\n" + WAIT),
        body("ctx.sleep('1h')\n" + WAIT),
        ("mismatch", "sleep, args.for_ms: recorded 1, asked for 3600000"),
        did=(),
    ),
    "a loop runs once more, before the wait": Change(
        body("for n in range(2):\n    ctx.call(pay, ROW, n)\n" + WAIT),
        body("for n in range(3):\n    ctx.call(pay, ROW, n)\n" + WAIT),
        (
            "mismatch",
            "it asks for tool_call call:pay, which is new, and not for what it did before: wait for signal 'go'",
        ),
        did=("pay 0", "pay 1"),
    ),
    "a loop runs once more, the wait is inside": Change(
        body(
            "for n in range(2):\n    then = ctx.wait('go', int, timeout='1s' if n else None, default=7)\n   "
            " ctx.call(pay, ROW, n)\nreturn then"
        ),
        body(
            "for n in range(3):\n    then = ctx.wait('go', int, timeout='1s' if n else None, default=7)\n   "
            " ctx.call(pay, ROW, n)\nreturn then"
        ),
        end=7,
        did=("pay 0", "pay 1", "pay 2"),
    ),
    "a recorded gather gets one more member": Change(
        body("await asyncio.gather(ctx.call(pay, ROW, 1))\nreturn await ctx.wait('go', int)", how="async def"),
        body(
            "await asyncio.gather(ctx.call(pay, ROW, 1), ctx.call(pay, ROW, 2))\nreturn await ctx.wait('go', int)",
            how="async def",
        ),
        (
            "mismatch",
            "it asks for tool_call call:pay, which is new, and not for what it did before: wait for signal 'go'",
        ),
        did=("pay 1",),
    ),
    "a recorded failure is handled another way": Change(
        body(HANDLED, before=tool(BROKEN)),
        body(HANDLED.replace("paid = -1", "paid = ctx.call(mail, ROW, 1)"), before=tool(BROKEN)),
        (
            "mismatch",
            "it asks for tool_call call:mail, which is new, and not for what it did before: wait for signal 'go'",
        ),
        end=-1,
    ),
    "a call becomes a child": Change(
        body(RECORDED + WAIT),
        body("ctx.start(pay, ROW, 100)\n" + WAIT),
        (
            "mismatch",
            (
                "it asks for start start:pay, which is new, and not for what it did before: tool_call 'call:pay', wait"
                " for signal 'go'"
            ),
        ),
    ),
    "an emitted event is another": Change(
        body("ctx.emit('one', 1)\n" + WAIT, options="signals={'go': int}, events={'one': Event(int)}"),
        body("ctx.emit('two', 1)\n" + WAIT, options="signals={'go': int}, events={'two': Event(int)}"),
        (
            "mismatch",
            (
                "it asks for emit emit:two, which is new, and not for what it did before: emit 'emit:one', wait for"
                " signal 'go'"
            ),
        ),
        did=(),
    ),
    "a `ctx.defer` is added": Change(
        body(RECORDED + WAIT), body("ctx.defer(did, ROW, 'tidy')\n" + RECORDED + WAIT), did=("pay 100", "tidy")
    ),
    "a body becomes `async def`": Change(
        body(RECORDED + WAIT), body("await ctx.call(pay, ROW, 100)\nreturn await ctx.wait('go', int)", how="async def")
    ),
    "`continue_as_new`, and a version that is new": Change(
        body(
            "ctx.call(pay, ROW, n)\nctx.wait('go', int)\nctx.continue_as_new(n + 1)",
            takes=", n: int",
            options="name='ROW', version='1', signals={'go': int}",
        ),
        body(
            "ctx.call(pay, ROW, n)\nctx.wait('go', int)\nctx.continue_as_new(n + 1)",
            takes=", n: int",
            options="name='ROW', version='1', signals={'go': int}",
            name="ROW_one",
        )
        + body(
            "ctx.call(mail, ROW, n)\nreturn 'new'",
            takes=", n: int",
            options="name='ROW', version='2', signals={'go': int}",
            name="ROW_two",
        ),
        end="new",
        did=("pay 1", "mail 2"),
        arguments=(1,),
    ),
}
TOOLS = {
    "a tool is renamed": Change(
        called(tool(PAID)),
        called(tool(PAID, name="new_ROW"), "ctx.call(new_ROW, ROW)"),
        (
            "mismatch",
            (
                "it asks for tool_call call:new_ROW, which is new, and not for what it did before: tool_call"
                " 'call:tool_ROW', wait for signal 'go'"
            ),
        ),
        end=100,
    ),
    "a tool is renamed with `was=`": Change(
        called(tool(PAID)),
        called(tool(PAID, name="new_ROW", options="was=['tool_ROW']"), "ctx.call(new_ROW, ROW)"),
        end=100,
    ),
    "`retries=` is raised after a recorded failure": Change(
        body(HANDLED, before=tool(BROKEN, options="retries=0")),
        body(HANDLED, before=tool(BROKEN, options="retries=3")),
        end=-1,
    ),
    "`retries=` is lowered after a recorded success": Change(
        called(
            tool(
                "did(row, 'pay 100')\nif current().attempt < 2:\n    raise ValueError('no')\nreturn 100",
                options="retries=3, backoff='1ms'",
            )
        ),
        called(tool(PAID, options="retries=0")),
        end=100,
        did=("pay 100", "pay 100"),
    ),
    "`backoff=` changes": Change(
        called(tool(PAID, options="retries=3, backoff='1ms'")),
        called(tool(PAID, options="retries=3, backoff='1h'")),
        end=100,
    ),
    "`timeout=` is lowered": Change(called(tool(PAID)), called(tool(PAID, options="timeout='1ms'")), end=100),
    "`policy='never'` is gained": Change(called(tool(PAID)), called(tool(PAID, options="policy='never'")), end=100),
    "`queue=` is gained": Change(called(tool(PAID)), called(tool(PAID, options="queue='slow'")), end=100),
    "`queue=` is lost": Change(called(tool(PAID, options="queue='slow'")), called(tool(PAID)), end=100),
    "`limit=` is gained": Change(called(tool(PAID)), called(tool(PAID, options="limit=Limit(concurrency=5)")), end=100),
    "`limit=` is lost": Change(called(tool(PAID, options="limit=Limit(concurrency=5)")), called(tool(PAID)), end=100),
    "`isolation=` is gained": Change(called(tool(PAID)), called(tool(PAID, options="isolation='process'")), end=100),
    "`isolation=` is lost": Change(called(tool(PAID, options="isolation='process'")), called(tool(PAID)), end=100),
    "a tool becomes `async def`": Change(
        called(tool(PAID)), called(tool(PAID).replace("def tool", "async def tool")), end=100
    ),
    "the result type of a tool gets narrower": Change(
        called(tool("did(row, 'pay 100')\nreturn 'text'", result="str")),
        called(tool("did(row, 'pay 100')\nreturn 1", result="int")),
        ("unreadable", "The result of tool_ROW is not usable as JSON: "),
        end="text",
    ),
    "the result type of a tool gets wider": Change(
        called(tool(PAID, result="int")), called(tool(PAID, result="int | str")), end=100
    ),
    "a tool gets a new argument with a default": Change(
        called(tool(PAID)), called(tool(PAID, takes="row: str, more: int = 0")), end=100
    ),
    "a tool gets a new required argument, its calls say it": Change(
        called(tool(PAID)),
        called(tool(PAID, takes="row: str, more: int"), "ctx.call(tool_ROW, ROW, 1)"),
        ("mismatch", "call:tool_ROW, args.more: recorded nothing, asked for 1"),
        end=100,
    ),
    "a queued tool gets a new required argument": Change(
        tool("return 5", name="ROW", takes="x: int"),
        tool("return 5", name="ROW", takes="x: int, y: int"),
        ("unreadable", "The arguments do not fit ROW: missing a required argument: 'y'."),
        did=(),
        arguments=(1,),
        queued=True,
    ),
    "a queued tool is gone": Change(
        tool("return 5", name="ROW", takes="x: int"),
        "",
        ("missing", "No tool is named 'ROW'"),
        did=(),
        arguments=(1,),
        queued=True,
    ),
    "a tool is gone, its body calls it": Change(
        called(tool(PAID)), called(""), ("bug", "NameError: name 'tool_ROW' is not defined"), end=100
    ),
}
ENGINES = {
    "an engine gets a new required argument": Change(
        body(WAIT, takes=", x: int"),
        body(WAIT, takes=", x: int, y: int"),
        ("unreadable", "The arguments do not fit ROW: missing a required argument: 'y'."),
        did=(),
        arguments=(1,),
    ),
    "an engine gets a new argument with a default": Change(
        body(WAIT, takes=", x: int"), body(WAIT, takes=", x: int, y: int = 1"), did=(), arguments=(1,)
    ),
    "an engine loses an argument": Change(
        body(WAIT, takes=", x: int"),
        body(WAIT),
        ("unreadable", "The arguments do not fit ROW: got an unexpected keyword argument 'x'."),
        did=(),
        arguments=(1,),
    ),
    "the type of an argument gets narrower": Change(
        body(WAIT, takes=", x: str"),
        body(WAIT, takes=", x: int"),
        ("unreadable", "argument x of ROW is not usable as JSON: "),
        did=(),
        arguments=("word",),
    ),
    "the type of an argument gets wider": Change(
        body(WAIT, takes=", x: int"), body(WAIT, takes=", x: int | str"), did=(), arguments=(1,)
    ),
    "an engine is renamed": Change(
        body(WAIT), body(WAIT, name="new_ROW"), ("missing", "No engine is named 'ROW'"), did=()
    ),
    "an engine is renamed with `was=`": Change(
        body(WAIT), body(WAIT, name="new_ROW", options="was=['ROW'], signals={'go': int}"), did=()
    ),
    "an engine is gone": Change(body(WAIT), "", ("missing", "No engine is named 'ROW'"), did=()),
    "a version beside": Change(
        body(RECORDED + WAIT),
        body(RECORDED + WAIT)
        + body("return 'new'", options="name='ROW', version='2', signals={'go': int}", name="ROW_two"),
    ),
    "code without a version gets one": Change(
        body(RECORDED + WAIT),
        body(RECORDED + WAIT, options="name='ROW', version='1', signals={'go': int}"),
        ("missing", "No engine is named 'ROW'"),
    ),
    "a new version in place of the old one": Change(
        body(RECORDED + WAIT, options="name='ROW', version='1', signals={'go': int}"),
        body("return 'new'", options="name='ROW', version='2', signals={'go': int}"),
        ("missing", "No engine is named 'ROW version 1'"),
    ),
    "an event is added and declared": Change(
        body(WAIT),
        body(BEHIND + "ctx.emit('fresh', 1)\nreturn then", options="signals={'go': int}, events={'fresh': Event(int)}"),
        did=(),
    ),
    "an event is emitted and not declared": Change(
        body(WAIT),
        body(BEHIND + "ctx.emit('fresh', 1)\nreturn then"),
        ("bug", "Process 'ROW' does not declare 'fresh'"),
        did=(),
    ),
    "a signal is added": Change(
        body(WAIT),
        body(
            BEHIND + "return then + ctx.wait('more', int, timeout='1s', default=2)",
            options="signals={'go': int, 'more': int}",
        ),
        end=7,
        did=(),
    ),
    "a signal is renamed": Change(
        body(WAIT),
        body("return ctx.wait('start', int)", options="signals={'start': int}"),
        ("mismatch", "it asks for wait wait:start, which is new, and not for what it did before: wait for signal 'go'"),
        did=(),
    ),
    "a signal is renamed with `Signal(…, was=…)`": Change(
        body(WAIT), body("return ctx.wait('start', int)", options="signals={'start': Signal(int, was='go')}"), did=()
    ),
    "the type of a signal gets narrower": Change(
        body("return ctx.wait('go', Any)", options="signals={'go': Any}"),
        body("return ctx.wait('go', str)", options="signals={'go': str}"),
        ("unreadable", "signal go is not usable as JSON: "),
        did=(),
    ),
    "a signal is no longer declared, the body waits for it": Change(
        body(WAIT), body(WAIT, options="signals={}"), did=()
    ),
    "`label=` changes": Change(body(WAIT), body(WAIT, options="signals={'go': int}, label='another'"), did=()),
    "`validate=` refuses what was started": Change(
        body(WAIT, takes=", x: int"),
        body(
            WAIT,
            takes=", x: int",
            before="\n\ndef no_ROW(*args: Any, **kwargs: Any) -> None:\n    raise ValueError('no')\n",
            options="signals={'go': int}, validate=no_ROW",
        ),
        did=(),
        arguments=(1,),
    ),
    "the limit of an engine changes": Change(
        body(WAIT), body(WAIT, options="signals={'go': int}, limit=Limit(concurrency=1)"), did=()
    ),
    "the queue of an engine changes": Change(
        body(WAIT), body(WAIT, options="signals={'go': int}, queue='other'"), did=()
    ),
    '`on_mismatch="fail"` is gained, and a mismatch': Change(
        body(RECORDED + WAIT),
        body("ctx.call(pay, ROW, 101)\n" + WAIT, options="signals={'go': int}, on_mismatch='fail'"),
        fails="replay_mismatch",
    ),
    "a body fails with an error of its own": Change(
        body(RECORDED + WAIT), body(RECORDED + BEHIND + "raise ValueError('no')"), fails="ValueError"
    ),
    "a name is broken": Change(
        body(RECORDED + WAIT),
        body(RECORDED + BEHIND + "ctx.defer(did, ROW, 'tidy')\nreturn oops"),
        ("bug", "NameError: name 'oops' is not defined"),
    ),
    "an import is broken": Change(
        body(RECORDED + WAIT),
        body(RECORDED + BEHIND + "import nowhere_at_all"),
        ("bug", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    ),
    "Python orders a set another way (another hash seed)": Change(
        body(SET + WAIT), body(SET + BEHIND + "ctx.call(pay, ROW, 100)\nreturn then")
    ),
}
ROWS: dict[str, Change] = BODIES | TOOLS | ENGINES
NAMES = {change: f"row{number:02}" for number, change in enumerate(ROWS)}


AGENT = """

@app.agent("clerk")
def clerk(turn: Turn) -> str:
    return did("clerk", "turn")
"""
ELSEWHERE = {
    "an agent is gone or renamed": (
        "e2e/test_changes_of_deploys.py::test_an_entry_for_an_agent_that_is_gone_waits_and_is_read_when_it_is_back"
    ),
    "`WAKELINE_NAMESPACE` changes": "e2e/test_changes_of_deploys.py::test_another_namespace_is_another_store",
    "`WAKELINE_LEASE` changes": (
        "e2e/test_settings_changed.py::test_workers_with_other_leases_leave_each_others_work_alone"
    ),
    "`WAKELINE_HOLD` changes": (
        "e2e/test_settings_changed.py::test_a_body_that_a_worker_keeps_in_memory_parks_as_it_leaves_and_goes_on_under_another_hold"
    ),
    "`WAKELINE_CONCURRENCY` is lowered": (
        "e2e/test_settings_changed.py::test_with_less_concurrency_what_goes_on_takes_its_turn"
    ),
    "`WAKELINE_RETENTION` is shortened": (
        "e2e/test_settings_changed.py::test_with_a_shorter_retention_what_has_ended_is_gone_and_what_lives_goes_on"
    ),
    "a declaration of a tool changes while its call is under way": (
        "e2e/test_tools_redeclared.py::test_calls_that_are_under_way_at_a_deploy_end_once_under_the_key_they_began_with"
    ),
    "a signal is added, the sender has the old code": (
        "e2e/test_added_signals.py::test_a_signal_that_a_release_adds_reaches_a_process_of_the_one_before_by_the_command_line"
    ),
    "a signal is renamed with `Signal(…, was=…)`, the sender has the other release's code": (
        "e2e/test_added_signals.py::test_a_signal_that_a_release_renames_reaches_processes_of_both_by_the_command_line_of_both"
    ),
    "a cron expression, a limit or an agent's policy changes": (
        "e2e/test_releases.py::test_a_restarted_worker_of_the_old_release_leaves_the_new_ones_declarations_and_a_rollback_does_not"
    ),
    "a body ends its worker process (`os._exit`, a fault in C code)": (
        "e2e/test_bad_releases.py::test_a_release_that_crashes_at_its_first_take_spends_nothing_says_why_and_all_goes_on_with_a_good_one"
    ),
    "a turn of an agent does something else": (
        "contract/test_misfits.py::test_a_turn_whose_code_does_not_fit_waits_and_its_session_says_why"
    ),
    "Wakeline: a registration has a field that is not known": (
        "e2e/test_later_release.py::test_a_registration_of_a_later_release_is_handed_back_and_named_everywhere"
    ),
    "Wakeline: the store is of the release before": "compat/test_kept_stores.py::test_a_kept_store_is_finished",
}
"""Rows whose test does not have this form, and where it is below `tests`."""


def source(release: str) -> str:
    """The bodies of a release."""
    codes = {change: row.old if release == "v1" else row.new for change, row in ROWS.items()}
    return (
        HEAD
        + (AGENT if release == "v1" else "")
        + "".join(code.replace("ROW", NAMES[change]) for change, code in codes.items())
    )
