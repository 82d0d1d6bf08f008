"""Writes docs/instrument.md from `Instrument` and what it sees: ``python -m wakeline.telemetry.table``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import AWAIT_HANDLE, START_CHILD, Phase

METHODS = (
    "point",
    "sending",
    "run",
    "effect",
    "stretch",
    "isolated",
    "ran",
    "tried",
    "waited",
    "ended",
    "script",
    "taken",
    "ticked",
    "beat",
    "lost",
    "leaving",
    "blocked",
)
INTRODUCTION = """# Instruments

Written by `python -m wakeline.telemetry.table > docs/instrument.md`; a test compares the two.

An instrument is told what happens in an app and its workers. Tracers, metrics and crash tests are instruments.
It changes nothing, and nothing of it is recorded.

```python
import time
from contextlib import contextmanager
from wakeline import App
from wakeline.extending import Instrument

class Longest(Instrument):
    seconds = 0.0

    @contextmanager
    def run(self, run):
        began = time.monotonic()
        yield
        if run.outcome == "completed":
            self.seconds = max(self.seconds, time.monotonic() - began)

app = App("timed", instrument=Longest())
```

- **Give it** to the app: `App(…, instrument=…)`, or `app.observe(…)` for one more. The first one is the outermost.
  `WAKELINE_INSTRUMENT=module:attribute`, the name of an object or of a class, adds one to all that runs work, without
  a change of the app: `wakeline worker`,
  `wakeline clock`, `rq worker`, their supervisors, and the children of isolated tools. Each OS process has an object
  of its own. If it cannot be loaded (`instrument_not_found`), `wakeline worker` and `wakeline clock` do not start. Each
  job of an `rq worker` hands its process back, which waits and says so (a misfit, `missing`). The child of an isolated
  tool logs it and goes on without.
- **Write it** as a class below `wakeline.extending.Instrument`, with the methods that you need. They are plain
  functions, and several threads may call them. A method *around* a stretch gives a context manager. The code after its
  `yield` runs when the stretch is over, however it ended. The error itself is not raised there: read `outcome` and
  `code`.
- **It cannot break work.** What it raises is logged once for each of its methods, and counted in
  `app.instruments.failures`. The work and the other instruments go on. A Ctrl-C alone passes. A method that blocks
  does hold up the work that it is told of: `app.instruments.slow` counts what takes longer than 10 ms, and what takes a
  second is logged once.
- **What it does itself with Wakeline is not told**, or it would never end.
- **Without an instrument nothing is called and nothing is made.** The same holds for each method that no instrument
  has.
- **Crash tests** want more. A `Breaking` instrument of `wakeline.testing.instruments` raises into the work, and its
  `KillPoint` kills the OS process at a named moment. `RecordingInstrument` keeps all that it is told.
"""


def markdown() -> str:
    """docs/instrument.md."""
    lines = [INTRODUCTION, "## Methods", "", "| method | when | sees |", "|---|---|---|"]
    lines += [f"| `{name}` | {_doc(getattr(Instrument, name))} | {_sees(name)} |" for name in METHODS]
    for kind in dict.fromkeys(kind for name in METHODS if (kind := _seen(name)) is not None):
        lines += ["", f"## `{kind.__name__}`", "", _doc(kind), "", "| field | type | meaning |", "|---|---|---|"]
        lines += _rows(kind)
    lines += ["", "## Phases", "", "The named moments that `point` is told, in the order of a run.", ""]
    lines += ["| phase | what is true then |", "|---|---|", *(f"| `{phase}` | {phase.meaning} |" for phase in Phase)]
    named = f"`{START_CHILD}` and `{AWAIT_HANDLE}`"
    lines += ["", f"The product itself names two stretches, {named}; `ctx.execution.named_phase(name)` names others."]
    return "\n".join(lines) + "\n"


def _seen(method: str) -> Any | None:
    """The type of what a method sees; None for a phase."""
    hints = get_type_hints(getattr(Instrument, method))
    kind = next((of for name, of in hints.items() if name != "return"), None)
    return None if kind is Phase else kind


def _sees(method: str) -> str:
    kind = _seen(method)
    around = inspect.signature(getattr(Instrument, method)).return_annotation != "None"
    if method == "leaving":
        return "nothing"
    what = f"[`{kind.__name__}`](#{kind.__name__.lower()})" if kind else "[a phase](#phases) and the id of a process"
    return f"{what}, around it" if around else what


def _rows(kind: Any) -> Iterator[str]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        of, meaning = get_args(hints[field.name])
        yield f"| `{field.name}` | {_type(of)} | {meaning} |"


def _type(of: Any) -> str:
    """A type in words: a literal by its values."""
    if of is type(None):
        return "None"
    parts = get_args(of)
    if not parts:
        return of.__name__ if isinstance(of, type) else f"`{of}`"
    return ", ".join(_type(part) for part in parts)


def _doc(of: Any) -> str:
    return " ".join((inspect.getdoc(of) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    print(markdown(), end="")
