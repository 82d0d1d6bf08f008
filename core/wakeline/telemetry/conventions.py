"""The names that spans of Wakeline have: those of OpenTelemetry's conventions for messaging and for generative AI, and
ours.

Invariant: no other module spells one. Both conventions are in development, so a name may change there.
"""

from __future__ import annotations

from typing import NamedTuple


class Attribute(NamedTuple):
    """One attribute: its name, on which spans it stands, and what it says."""

    name: str
    on: str
    says: str


SYSTEM = "messaging.system"
OPERATION_NAME, OPERATION_TYPE = "messaging.operation.name", "messaging.operation.type"
DESTINATION = "messaging.destination.name"
TARGET, SESSION = "messaging.message.id", "messaging.message.conversation_id"
AI_OPERATION, AI_AGENT, AI_SESSION = "gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.conversation.id"
AI_TOOL, AI_CALL = "gen_ai.tool.name", "gen_ai.tool.call.id"
ERROR = "error.type"
KIND, NAME = "wakeline.process.kind", "wakeline.process.name"
ATTEMPT, LOSSES, EPOCH, GENERATION = "wakeline.attempt", "wakeline.losses", "wakeline.epoch", "wakeline.generation"
RELEASE, PARENT, OUTCOME = "wakeline.release", "wakeline.parent", "wakeline.outcome"
RESUMED_BY, QUEUE_MS, PARKED_MS = "wakeline.resumed_by", "wakeline.queue_ms", "wakeline.parked_ms"
VERB, WAITS, LINK = "wakeline.verb", "wakeline.waits", "wakeline.link"

SPANNED = ("start", "signal", "send", "resolve", "occur")
"""The verbs whose sendings have a span. What a body emits, and what a run leaves behind, belongs to its run."""

ATTRIBUTES = (
    Attribute(SYSTEM, "send, process, invoke_agent", "`wakeline`"),
    Attribute(OPERATION_NAME, "send, process, invoke_agent", "`send` or `process`"),
    Attribute(OPERATION_TYPE, "send, process, invoke_agent", "`send` or `process`"),
    Attribute(DESTINATION, "send, process, invoke_agent", "the queue, of a send where it has one"),
    Attribute(TARGET, "send, process, invoke_agent", "the id of the process, or what else is sent to"),
    Attribute(SESSION, "invoke_agent", "the session"),
    Attribute(AI_OPERATION, "invoke_agent, execute_tool", "`invoke_agent` or `execute_tool`"),
    Attribute(AI_AGENT, "invoke_agent", "the agent"),
    Attribute(AI_SESSION, "invoke_agent", "the session"),
    Attribute(AI_TOOL, "execute_tool", "the tool"),
    Attribute(AI_CALL, "execute_tool", "the idempotency key, which all tries of one call share"),
    Attribute(ERROR, "all", "of a failure: its code, or the class of its error"),
    Attribute(KIND, "process, invoke_agent", "engine, tool or turn"),
    Attribute(NAME, "process, invoke_agent", "the engine, tool or agent"),
    Attribute(ATTEMPT, "process, invoke_agent, execute_tool", "which attempt it is, from 1"),
    Attribute(LOSSES, "process, invoke_agent", "runs lost with their workers since the last progress, if any"),
    Attribute(EPOCH, "process, invoke_agent", "how often the process became runnable"),
    Attribute(GENERATION, "process, invoke_agent", "how often it continued as new, plus 1"),
    Attribute(RELEASE, "process, invoke_agent", "the release of the code"),
    Attribute(PARENT, "process", "the process whose body started it"),
    Attribute(OUTCOME, "process, invoke_agent", "what became of the process by this run"),
    Attribute(RESUMED_BY, "process, invoke_agent", "why it runs, such as `start`, `signal:go`, `recovered`"),
    Attribute(QUEUE_MS, "process, invoke_agent", "how long it was queued before this run"),
    Attribute(PARKED_MS, "process, invoke_agent", "how long it was parked by then, in all its runs"),
    Attribute(VERB, "send", "start, signal, send, resolve or occur"),
    Attribute(WAITS, "the event `parked`", "what it waits for, such as `signal:go`"),
    Attribute(LINK, "links", "what the link leads to: `start`, `run` (the one before), `resumed`, `entry`, `retried`"),
)

INTRODUCTION = """# Traces and errors

Written by `python -m wakeline.telemetry.conventions > docs/telemetry.md`; a test compares the two.

## OpenTelemetry

```sh
pip install "wakeline[otel]"
```

```python
from wakeline import App
from wakeline.telemetry.otel import OpenTelemetry

app = App("shop")
app.observe(OpenTelemetry())  # with the tracer provider of this OS process
```

Or without a change of the app: `WAKELINE_INSTRUMENT=wakeline.telemetry.otel:OpenTelemetry`, for all that runs work. The
program that starts processes and sends signals has to observe, too, or its sendings carry no trace.

| span | kind | parent, links |
|---|---|---|
| `send <name>` | PRODUCER | the current span; for each start, signal, entry, answer and occurrence |
| `process <name>`, first run | CONSUMER | the `send` of its start, within `parent_for_s`; else a root with a link |
| `process <name>`, later runs | CONSUMER | a root, with links to the start, to the run before, and to what resumed it |
| `invoke_agent <agent>` | CONSUMER | a root, with a link to the sender of each entry, at most 256 |
| `execute_tool <tool>`, `step <name>` | INTERNAL | the run |

- **A trace does not last a month.** Only the first run of a process is in the trace of its start, if that was less
  than `parent_for_s` ago (an hour). Each later run begins a trace of its own, and its links lead back.
- **A wait has no span**, as nothing runs. The run that ends with it has the event `parked`, and is no error. Nor is one
  that was handed back or cancelled. The status ERROR is for `failed` and `lost`.
- **A replay makes no spans.** Spans that a framework makes in a step or a tool are children of that, and are made once.
  Code of a body itself runs again in each replay, and so do spans that it makes.
- **Spans of a run are ended when the run is over**, with the time at which they were. So a worker that is killed leaves
  no span without its parent. A run that was lost has no span, and the next one has `wakeline.resumed_by=recovered`. A
  process that it had started is in a trace whose middle is missing. Of more than 1,000 spans of one run the first ones
  are ended at once.
- **Arguments and results are in no span**, even if `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is set. The
  exception of a body that failed is, with its text.
- **Log entries of a process have `trace_id` and `span_id`** of the current span: of the run, of the step or the tool,
  or of a span that your code makes. See [logs](logs.md).
- **The conventions are those of now** (messaging, in development). `OTEL_SEMCONV_STABILITY_OPT_IN` asks instruments
  that had older names for the new ones (`messaging`) or for both (`messaging/dup`). There were none before, so each
  value gives the same spans.
- **What is sent carries the headers of the propagator** (`OTEL_PROPAGATORS`): `traceparent`, `tracestate`, `baggage`;
  about 96 bytes for each start. It is no round trip more. See [headers](instrument.md#methods).
- **Each OS process makes its own exporter**: an app that is imported before a fork gets the one of OpenTelemetry, which
  knows of forks. Before an OS process of workers leaves, it flushes.
"""

SENTRY = """
## Sentry

```sh
pip install "wakeline[sentry]"
```

```python
import sentry_sdk
from wakeline import App
from wakeline.telemetry.sentry import Sentry

sentry_sdk.init(traces_sample_rate=0.1)  # with the DSN of SENTRY_DSN
app = App("shop")
app.observe(Sentry())
```

- **One event for each process that failed**, when it is final, with the exception of its body; and for each mismatch of
  a replay. A park, a hand-back and a cancel are no events, nor is an error with the attribute `expected = True`.
  `Sentry(attempts=True)` sends failed attempts that are tried again, too.
- **A fingerprint is the name of the body and the code of the failure.** Tags: `process_id`, `session`, `release`,
  `attempt`, `kind`. The user is the originator of the process.
- **A transaction for each run**, `<kind>/<name>`, with the operation `queue.process`, and a span `queue.publish` for
  each sending. They have what Sentry's view of queues needs: `messaging.message.id`, `messaging.destination.name`,
  `messaging.message.receive.latency` (ms), `messaging.message.retry.count`.
"""


def markdown() -> str:
    """docs/telemetry.md."""
    lines = [INTRODUCTION, "### Attributes", "", "| attribute | on | says |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.on} | {one.says} |" for one in ATTRIBUTES]
    return "\n".join(lines) + "\n" + SENTRY


if __name__ == "__main__":
    print(markdown(), end="")
