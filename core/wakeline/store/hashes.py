"""Every field of every hash and stream that the scripts write: its letters, its name, what it says, in which unit.

Invariant: a test compares the table with the scripts, in both directions; who writes a field is read off them. The head
of a session has a table of its own (`wakeline.store.heads`), which also says what each end of a turn does to a field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wakeline.store import heads


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``letters``: as it is stored; a part in ``<…>`` is different each time.

    ``unit``: ``ms`` is a moment of the server's clock, ``ms long`` a time, ``flag`` is there or not, ``code`` is one of
    a few letters (`wakeline.store.codes`).
    """

    letters: str
    name: str
    meaning: str
    unit: str = "text"

    @property
    def as_scripts_say(self) -> str:
        """The letters with ``<>`` for what is different each time."""
        return re.sub(r"<[^>]*>", "<>", self.letters)


PROCESS = (
    Field("st", "status", "queued, running, waiting, or how it ended"),
    Field("seq", "sequence", "number of its latest event", "number"),
    Field("ep", "epoch", "how often it became runnable", "number"),
    Field("inc", "incarnation", "which registration of the id this is", "id"),
    Field("q", "queue", "RQ's name of its queue"),
    Field("k", "input", "what it was started with: a tool call, an engine, a turn, external work", "code"),
    Field("h", "content", "hash of what was asked for; a start that is sent again has the same", "hash"),
    Field("ca", "created", "when it was registered", "ms"),
    Field("ua", "updated", "when its latest event was written", "ms"),
    Field("sn", "since", "when it got its status", "ms"),
    Field("ma", "max_attempts", "how many attempts may fail, where not 5", "number"),
    Field("rc", "recovery", "what the loss of its worker means, where it is not run again", "code"),
    Field("pa", "parent", "the process whose body started it", "id"),
    Field("pe", "parent_end", "`1`: the end of its parent waits for it; `d`: its starter said detach", "code"),
    Field("pc", "after_cancel", "its parent was asked to end before it was started, so it cleans up", "flag"),
    Field("to", "attempt_timeout", "how long an attempt may take", "ms long"),
    Field("qt", "queue_timeout", "a worker has to take it before a timer is due", "flag"),
    Field("dl", "deadline", "when its time is over", "ms"),
    Field("ver", "engine_version", "the version of its engine"),
    Field("cd", "code", "what it takes to run it, without a version: `e:<engine>`, `t:<tool>`", "word"),
    Field("ws", "wake_session", "the session that its wakes go to", "id"),
    Field("we", "wake_end", "its end wakes that session, too", "flag"),
    Field("by", "originator", "who its chain of starts began with, where that is not the host", "id"),
    Field("sid", "session", "the session whose turn it is", "id"),
    Field("it", "interrupted", "a turn that gives way to an entry that arrived", "flag"),
    Field("uk", "unique_key", "the unique key that it was started with"),
    Field("env", "environment", "content hash of its execution environment", "hash"),
    Field("gen", "generation", "which journal it has, where not the first", "number"),
    Field("gs", "generation_since", "when that generation began", "ms"),
    Field("jb", "journal_bytes", "how long its journal is", "bytes"),
    Field("fs", "started", "a run of it wrote something: its log says that it started", "flag"),
    Field("fa", "failed", "an attempt of it failed at some time", "flag"),
    Field("at", "attempts", "failed attempts since its last progress", "number"),
    Field("ls", "losses", "runs lost with their workers since its last progress", "number"),
    Field("lb", "lost_beside", "how many may run in its worker after its losses, itself among them", "number"),
    Field("la", "lasted", "how long the longest of those runs lasted", "ms long"),
    Field("tr", "attempt", "which attempt the run is, where not the first", "number"),
    Field("ow", "owner", "the owner that runs it, or ran it last", "id"),
    Field("cl", "claim", "the claim that its writes have to show", "id"),
    Field("ct", "claimed", "when it was claimed", "ms"),
    Field("qm", "queued_for", "how long it was queued, in all its runs that instruments saw", "ms long"),
    Field("pk", "parked", "when it was parked, where instruments saw that; empty once it runs again", "ms"),
    Field("pm", "parked_for", "how long it was parked, in all its runs that instruments saw", "ms long"),
    Field("hs", "headers", "what instruments gave the run before, for the next one", "JSON"),
    Field("rw", "bell_form", "the form of the doorbell's id under which RQ shows the run", "code"),
    Field("rg", "rings", "how often its lost doorbell was rung again", "number"),
    Field("rel", "release", "the release that runs it, or ran it last"),
    Field("pr", "progress_release", "the release under which it got this far, empty for one without a name"),
    Field("sr", "rows_before", "rows of its journal when the release that got it this far was left", "number"),
    Field("cr", "cancel_requested", "when it was asked to end", "ms"),
    Field("an", "any_resumes", "any resolution resumes it, not only its whole group", "flag"),
    Field("aw", "awaits_children", "its end waits for children: the slot of that wait, `1` before it is opened", "id"),
    Field("lk", "limit", "the limit that it was started under", "id"),
    Field("lm", "places", "the limits in which it has a place", "words"),
    Field("hd", "held_at", "the limit at which it waits for a place", "id"),
    Field("ce", "cell_of", "the limit whose rate gave it a cell", "id"),
    Field("rd", "rated_at", "the limit at which it waits for a cell", "id"),
    Field("as", "aside", "the line in which it waits for an owner with its code", "words"),
    Field("mf", "misfit", "why code could not go on with it", "JSON"),
    Field("mn", "misfits_told", "how many other misfits than the one before it had in a row", "number"),
    Field("sb", "setbacks", "numbers of the events that tell of setbacks: the first 3 and the latest 7", "numbers"),
    Field("uf", "round", "releases that looked at it in this round: `,<release>,<release>,`", "words"),
    Field("ur", "unread", "what of it the worker that took it last could not read"),
    Field("tl", "tailers", "the tailers that are told of its end; with `+` those that are told of each event", "words"),
    Field("ix", "entered", "the indices of filters that it was entered into: its status then, and words", "words"),
    Field("fin", "end_mark", "by what a resend of its end is known: `<status>:<hash>`"),
    Field("o:<group>", "open_waits", "how many waits of the group are open", "number"),
    Field("n:<signal>", "waits_for", "slots of open waits for the signal, oldest first, with commas", "ids"),
    Field("l:<signal>", "led_to", "the name under which a signal that was renamed is waited for, or kept"),
)

SLOT = (
    Field("p", "process", "the process that waits", "id"),
    Field("g", "group", "the waits that resume it together; absent where nothing waits yet", "id"),
    Field("k", "kind", "what is awaited, and its name: `s:<signal>`, `c:<process>`", "code"),
    Field("o", "opened", "since when a body waits for it", "ms"),
    Field("q", "question", "it waits for the answer to a question, and not for a pending call", "flag"),
    Field("n", "ordinal", "which wait for this signal it is", "number"),
    Field("d", "due", "when the wait is over at the latest", "ms"),
    Field("r", "resolution", "what it was resolved with", "JSON"),
    Field("rs", "sequence", "the event that resolved it, where that is a signal", "number"),
    Field("hs", "headers", "what instruments gave what resolved it", "JSON"),
    Field("sh", "schema", "hash of the schema that its answer has to fit", "hash"),
    Field("es", "requested", "the event of its approval, `0`: asked without one; empty: no approval", "number"),
    Field("z", "closed", "its body gave it up, or it was consumed: its token answers nothing more", "flag"),
)

ENTRIES = (
    Field("<n>", "body", "an entry: a wake, an input or a command", "JSON"),
    Field("<n>:s", "state", "what became of it: a word, then its turn and times", "words"),
    Field("<n>:c", "swallowed", "how many wakes it swallowed", "number"),
    Field("<n>:w", "swallowed_wakes", "the first of them: `<process>#<sequence> `", "words"),
    Field("<n>:co", "coalesces", "the key under which a later wake takes its place"),
    Field("<n>:k", "key", "its sender's key"),
    Field("<n>:e", "error", "the await output of the turn that failed with it", "JSON"),
    Field("<n>:a", "awaited_by", "slots that wait for what becomes of it, with commas", "ids"),
    Field("<n>:t", "tailers", "the tailers that are told when its life is over", "words"),
    Field("co:<key>", "pending", "the entry whose place a wake of this key takes", "number"),
    Field("key:<key>", "sent", "the entry that was sent with this key, and its content: `<n>:<hash>`"),
)

JOURNAL = (
    Field("<replay key>", "row", "a recorded effect, or a note of the run for its next one", "JSON"),
    Field("@inbox", "batch", "numbers of the entries of a turn, with commas", "numbers"),
    Field("@early", "arrivals", "numbers of the entries that a turn took while it ran", "numbers"),
    Field("@read:<pid>", "read", "a child whose end the body was told", "JSON"),
    Field("result:<pid>", "result", "a child whose outcome the body was given", "JSON"),
)

META = (
    Field("format", "format", "the format of the keys", "number"),
    Field("rq", "rq_prefix", "RQ's prefix"),
    Field("bells", "bell_form", "the form of doorbells' ids that is rung", "code"),
    Field("sweep", "sweep", "where the sweep of lost doorbells goes on", "number"),
    Field("still", "standing", "where the sweep of what stands still goes on: `<kind> <rank>`", "numbers"),
    Field("ticked", "ticked", "when the last tick was, and whose: `<ms> <worker, clock or stock> <owner>`", "words"),
    Field("tidied", "tidied", "when RQ's registries were tidied last", "ms"),
    Field(
        "ticker",
        "ticker",
        "until when the others leave ticks to one, and to which: `<ms> <what ticks> <owner>`",
        "words",
    ),
    Field("routes", "routes", "the routes that there are", "words"),
    Field("retains", "retains", "how long the one that ticks retains what has ended", "ms long"),
    Field("looked", "looked", "where the look for doorbells that others pushed goes on: `<route> <rank>`", "words"),
    Field("pruner", "pruner", "until when one worker prunes and the others leave it to that one", "ms"),
    Field("mixed", "mixed", "owners differ in their code, or some process is left aside", "flag"),
    Field("rewound", "rewound", "when a client found that the store had gone back", "ms"),
)

_OWNER = "<owner>"


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one family of keys, by its pattern in the table of keys."""

    pattern: str
    rows: tuple[Field, ...]

    @property
    def family(self) -> str:
        """The family, as scripts name it."""
        return self.pattern.partition(":")[0]


HASHES: tuple[Fields, ...] = (
    Fields("proc:<pid>", PROCESS),
    Fields("slot:<key id>", SLOT),
    Fields("journal:<pid>", JOURNAL),
    Fields(
        "replay:<pid>",
        (
            Field("k:<key>", "event", "an event appended with a key: `<sequence>:<hash>`"),
            Field("signal.<name>:<key>", "signal", "a signal sent with a key: `<sequence>:<hash>`"),
            Field("cancel", "cancel", "the event that asks it to end", "number"),
            Field("external_ref", "external_ref", "where work outside was accepted", "JSON"),
        ),
    ),
    Fields("grants:<scope>", (Field("<pid>", "descriptor", "what the handle of a process may do", "JSON"),)),
    Fields(
        "env:<hash>",
        (
            Field("s", "spec", "the execution environment", "JSON"),
            Field("n", "users", "how many processes were started with it", "number"),
        ),
    ),
    Fields("wakes:<sid>", ENTRIES),
    Fields("frames:<sid>", (Field("<frame>", "opened", "when the agent frame was opened", "ms"),)),
    Fields("mids:<sid>", (Field("<id>", "message", "number of the message with this id", "number"),)),
    Fields(
        "subs:<source>",
        (
            Field("<id>", "subscription", "what each occurrence starts, and for whom", "JSON"),
            Field("<id>:h", "content", "hash of the subscription", "hash"),
            Field("<id>:r", "revision", "how often it changed", "number"),
            Field("<id>:e", "enabled", "whether occurrences reach it: `1` or `0`", "code"),
            Field("<id>:k", "source_key", "the one key of its source that it is for; empty for all"),
            Field("<id>:o", "owner", "the session that it goes with; empty for the host's", "id"),
        ),
    ),
    Fields(
        "occ:<id>",
        (
            Field("src", "source", "where it happened"),
            Field("sk", "source_key", "to which thing of its source; empty if not said"),
            Field("ik", "key", "the key that makes a repetition the same"),
            Field("hs", "headers", "what instruments gave its emitter", "JSON"),
            Field("h", "content", "hash of the occurrence", "hash"),
            Field("p", "payload", "what is told of it, or a stand-in", "JSON"),
            Field("at", "recorded", "when it was recorded", "ms"),
            Field("n", "open", "how many of its deliveries are not settled", "number"),
            Field("d:<sub>", "delivery", "what a reserved one starts; `+` before it: with a stand-in", "JSON"),
            Field("s:<sub>", "state", "`reserved`, `started`, or `failed <code> <message>`", "words"),
        ),
    ),
    Fields(
        "schedule:<name>",
        (
            Field("s", "schedule", "the schedule as it was declared", "JSON"),
            Field("h", "content", "hash of it", "hash"),
            Field("last", "last", "the process that its latest moment started", "id"),
        ),
    ),
    Fields("agents", (Field("<agent>", "policy", "what the agent's turns take", "JSON"),)),
    Fields("limits", (Field("<limit>", "limit", "a limit of a body (`b:<name>`) or a queue (`q:<queue>`)", "JSON"),)),
    Fields(
        "inforce",
        (
            Field("<app>", "release", "the release whose declarations are in force"),
            Field("<app>:l", "away", "since when no worker of it serves; until when one that was named may come", "ms"),
            Field("<app>:p", "unwritten", "its schedules are not written yet", "flag"),
            Field("<app>:b", "before", "the release before it, and when that was replaced: `<ms> <release>`", "words"),
        ),
    ),
    Fields("declared", (Field("<app>", "queues", "queues that its bodies are or were declared for", "words"),)),
    Fields("builds", (Field("<app> <release>", "build", "its first code, and when that started last", "words"),)),
    Fields(
        "att:<id>",
        (
            Field("l", "location", "where the bytes lie: `<backend> <location>`", "words"),
            Field("t", "type", "media type"),
            Field("n", "size", "how many bytes it has", "bytes"),
            Field("at", "put", "when it was put there", "ms"),
            Field("c", "payload", "a stand-in stands for it", "flag"),
            Field("s", "cursor", "where a sweep of many owners goes on"),
            Field("lv", "lives", "whether an owner was found so far: `1` or `0`", "code"),
            Field("o:<owner>", "owner", "since when this one owns it", "ms"),
        ),
    ),
    Fields("beats", (Field(_OWNER, "beat", "number of its last heartbeat", "number"),)),
    Fields("counted", (Field(_OWNER, "counted", "number of its last write of metrics", "number"),)),
    Fields("metrics", (Field("<series>", "total", "how often, or of a sum how many µs", "number"),)),
    Fields("leases", (Field(_OWNER, "lease", "how long its lease is", "ms long"),)),
    Fields("suspects", (Field(_OWNER, "suspected", "when it was seen expired", "ms"),)),
    Fields("releases", (Field(_OWNER, "release", "the release of its code"),)),
    Fields("serves", (Field(_OWNER, "declares", "its app and its declarations: `<app> <release>`", "words"),)),
    Fields("knows", (Field(_OWNER, "bell_form", "the latest form of doorbells' ids that it can read", "code"),)),
    Fields("codes", (Field(_OWNER, "codes", "what it can run", "words"),)),
    Fields("apps", (Field(_OWNER, "agents", "its app, and the agents that it runs: `<app> ,<agent>,`", "words"),)),
    Fields("missed:<owner>", (Field("<claim>", "missed", "a claim that the last beat did not name", "flag"),)),
    Fields(
        "takes:<owner>",
        (
            Field("request", "request", "id of its last take", "id"),
            Field("pids", "batch", "what that take claimed, in order", "words"),
            Field(
                "next",
                "next",
                "an owner that runs nothing: the id of its next take, since when, whether instruments see its runs, the"
                " release of its code; empty: it is"
                " handed nothing",
                "words",
            ),
            Field("turns", "turns", "what its code says of turns, by agent: `[most entries, policy]`", "JSON"),
            Field("lacks", "lacks", "code of others, which it leaves aside", "words"),
            Field("able", "able", "it looks for what others left aside", "flag"),
            Field("crowded", "crowded", "code of calls that it left, as it had no free child for them", "words"),
            Field("route", "route", "the queues that it takes from, where they are several", "id"),
        ),
    ),
    Fields(
        "stood",
        (
            Field("<what>", "count", "how many stood still so and were put right", "number"),
            Field("<what> at", "last", "when the last one was", "ms"),
        ),
    ),
    Fields("acked:<client>", (Field("n", "writes", "how many of its writes were answered", "number"),)),
    Fields(
        "keyring",
        (
            Field("id", "id", "id of the secret that makes tokens now", "id"),
            Field("previous", "previous", "the secret before it"),
            Field("old", "previous_id", "the id of that one", "id"),
            Field("until", "until", "until when what it made is good", "ms"),
            Field("first", "first", "the secret before the first rotation"),
        ),
    ),
    Fields(
        "rewind",
        (
            Field("at", "found", "when a client found it first", "ms"),
            Field("writes", "writes", "how many answered writes are gone", "number"),
            Field("clients", "clients", "how many clients say so", "number"),
            Field("first", "first", "when the first of those writes was answered; 0: not known", "ms"),
            Field("last", "last", "when the last of them was", "ms"),
            Field("emptied", "emptied", "the namespace is another one now", "flag"),
            Field("back", "gone_back", "the store lost its tail", "flag"),
            Field("by:<client>", "client", "a client that has said so", "flag"),
        ),
    ),
    Fields(
        "indexed",
        (Field("<status>:<filter>", "reach", "up to which time it has all, how many, and the last one", "words"),),
    ),
    Fields("meta", META),
    Fields("rq:job:<doorbell>", (
        Field("wl_rung", "rung", "when it was rung at the tail of its queue; 0: at the head", "ms"),
        Field("wl_stray", "stray", "when a worker that cannot tell whose it is saw it first", "ms"),
    )),
)  # fmt: skip
"""The hashes. RQ's own fields of its hashes are RQ's."""

_STARTED = (
    Field("t", "type", "event type"),
    Field("p", "payload", "its payload, or a stand-in", "JSON"),
    Field("at", "written", "when it was written", "ms"),
    Field("r", "run", "the run that it is of: `<ms since its claim> <attempt> <owner> <release>`", "words"),
)
STREAMS: tuple[Fields, ...] = (
    Fields(
        "events:<pid>",
        (
            *_STARTED,
            Field("k", "replay_key", "the key that it was sent with"),
            Field("hs", "headers", "what instruments gave its sender", "JSON"),
            Field("s", "semantics", "what it means: an end, a wake", "JSON"),
        ),
    ),
    Fields("copy:<pid>", _STARTED),
    Fields("inbox:<sid>", (Field("k", "kind", "wake, input, command or follow_on"),)),
    Fields(
        "told:<tailer>",
        (
            Field("t", "told", "what one script told it, three words each (table below)", "words"),
            Field("o", "outputs", "of what ended with a short output, by process: `[<incarnation>, <output>]`", "JSON"),
        ),
    ),
    Fields(
        "hist:<sid>",
        (
            Field("m", "message", "the message", "JSON"),
            Field("rev", "revision", "the commit or append that brought it", "number"),
            Field("at", "written", "when it was written", "ms"),
            Field("f", "frame", "the agent frame that it is in; empty before any"),
        ),
    ),
    Fields(
        "feed:<sid>",
        (
            Field("at", "told", "when it was told", "ms"),
            Field("w", "what", "entry, commit, activity or deleted"),
            Field("n", "entry", "number of the entry that changed", "number"),
            Field("s", "state", "its state now", "words"),
            Field("rev", "revision", "the revision after a commit", "number"),
            Field("by", "turn", "the turn that committed; empty for an append", "id"),
            Field("c", "messages", "how many messages a commit brought; of an activity its correlation"),
            Field("l", "last", "number of the last message", "number"),
            Field("id", "activity", "id of the activity", "id"),
            Field("e", "event", "what the turn says of itself", "JSON"),
        ),
    ),
)
"""Streams. Their ids are ``<number>-0``."""


def head() -> Fields:
    """The fields of a session's head, which `wakeline.store.heads` has."""
    return Fields("sess:<sid>", tuple(Field(one.name, one.name, one.content) for one in heads.HEAD))


def every() -> tuple[Fields, ...]:
    """All tables of this module and the head's."""
    return (*HASHES, *STREAMS, head())


def row_of(rows: tuple[Field, ...], said: str) -> Field | None:
    """The row that a field of a script stands for, the most exact one; None if there is none."""
    exact = next((one for one in rows if one.as_scripts_say == said), None)
    if exact is not None:
        return exact
    fitting = [one for one in rows if re.fullmatch(re.escape(one.as_scripts_say).replace("<>", ".*"), said)]
    return max(fitting, key=lambda one: len(one.as_scripts_say), default=None)
