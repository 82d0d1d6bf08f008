"""Every key Wakeline writes: name, type, owner and what reclaims it. `wakeline.store.document` writes it down.

Invariant: all keys carry the namespace in braces, so that one namespace is one Redis Cluster slot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyFamily:
    """One row of the key table."""

    pattern: str
    type: str
    content: str
    owner: str
    reclaimed_by: str

    @property
    def name(self) -> str:
        """The fixed part, as scripts write it."""
        return self.pattern.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Joint:
    """A name that is made of several: how, why no two lists of parts make the same one, and what makes it or keeps
    it."""

    made: str
    told_apart: str
    by: str


TABLE: tuple[KeyFamily, ...] = (
    KeyFamily(
        "proc:<pid>",
        "hash",
        "status, sequence, epoch, owner, attempt, times; short fields only",
        "process",
        "prune, retention after its end",
    ),
    KeyFamily("spec:<pid>", "string", "registration as JSON", "process", "prune"),
    KeyFamily("input:<pid>", "string", "input of the current generation after continue_as_new", "process", "prune"),
    KeyFamily("events:<pid>", "stream", "the log; ids are <sequence>-0", "process", "prune"),
    KeyFamily(
        "copy:<pid>",
        "stream",
        "the log while a script copies it, or the first event of several: a copy is as long as what it says",
        "process",
        "the same script",
    ),
    KeyFamily("replay:<pid>", "hash", "replay key to sequence and content hash", "process", "prune"),
    KeyFamily("journal:<pid>", "hash", "replay key to journal row", "process", "continue_as_new, prune"),
    KeyFamily(
        "slot:<key id>",
        "hash",
        "await-event slot: waiter, group, kind, deadline, resolution; of an approval its event",
        "wait",
        "consumption, its process's end, giving up",
    ),
    KeyFamily(
        "waits:<pid>", "set", "key ids of its slots that are open or not yet consumed", "process", "end of the process"
    ),
    KeyFamily(
        "closed:<pid>",
        "set",
        "slots of tokens nothing waits for: not yet, or no more; no token is good twice",
        "process",
        "end of the process",
    ),
    KeyFamily(
        "answered:<pid>", "set", "slots whose token was answered: a second answer is told so", "process", "prune"
    ),
    KeyFamily(
        "answer:<key id>",
        "string",
        "when an approval was answered (ms): a second answer by its id is told so",
        "wait",
        "expires after 7 days",
    ),
    KeyFamily(
        "mail:<pid>",
        "list",
        "signals not yet consumed, oldest first: <name>:<sequence>",
        "process",
        "end of the process",
    ),
    KeyFamily("waiters:<pid>", "set", "slots to resolve when it ends", "process", "its end, prune"),
    KeyFamily("children:<pid>", "set", "processes this generation started", "process", "continue_as_new, prune"),
    KeyFamily("bound:<pid>", "set", "children whose cancel is requested when it ends", "process", "its end, prune"),
    KeyFamily("awaited:<pid>", "set", "live children that its end waits for", "process", "their end, its end"),
    KeyFamily("granted:<pid>", "set", "scopes that hold a handle of it", "process", "revoke, prune"),
    KeyFamily("grants:<scope>", "hash", "process id to descriptor", "session scope", "revoke, prune of the process"),
    KeyFamily(
        "scopes:<sid>", "set", "scopes of a session that ever held a handle", "session", "deletion of the session"
    ),
    KeyFamily("tomb:<pid>", "string", "how a pruned process ended", "process", "expires after tombstone_ms"),
    KeyFamily(
        "env:<hash>",
        "hash",
        "an execution environment, how many processes use it",
        "its processes",
        "prune of the last one; 7 days without any",
    ),
    KeyFamily(
        "schema:<hash>", "string", "payload schema of an open typed wait", "wait", "expires 30 days after its last use"
    ),
    KeyFamily(
        "sess:<sid>",
        "hash",
        "session head: agent, queue, turn, counters (table below)",
        "session",
        "never; a deletion leaves a tombstone",
    ),
    KeyFamily(
        "linger:<sid>",
        "string",
        "until when the next turn waits for more (ms)",
        "session",
        "the next turn, expires a minute later, deletion",
    ),
    KeyFamily(
        "inbox:<sid>",
        "stream",
        "entries not yet settled, in order",
        "session",
        "settled with their turn, deletion of the session",
    ),
    KeyFamily(
        "wakes:<sid>",
        "hash",
        "bodies and states of entries, the last 1,000",
        "session",
        "settling of later entries, retention of undeliverable ones",
    ),
    KeyFamily("frames:<sid>", "hash", "agent frame to when it was opened", "session", "deletion of the session"),
    KeyFamily(
        "sources", "set", "trigger sources that have subscriptions", "namespace", "removal of the last subscription"
    ),
    KeyFamily(
        "subs:<source>",
        "hash",
        "subscription id to what it starts; its revision, owner, source key",
        "trigger",
        "removal, deletion of its session",
    ),
    KeyFamily(
        "subscribed:<sid>",
        "set",
        "subscriptions that go with a session: <source> <id>",
        "session",
        "removal, deletion of the session",
    ),
    KeyFamily(
        "occ:<id>",
        "hash",
        "an occurrence with its payload (or a stand-in), and what became of its deliveries",
        "trigger",
        "7 days after its deliveries are settled",
    ),  # fmt: skip
    KeyFamily(
        "deliveries",
        "zset",
        "deliveries that are reserved and not settled, by time",
        "trigger",
        "their start, or the failure to start",
    ),
    KeyFamily("cron", "zset", "schedule to when it is due next", "trigger", "removal of the schedule"),
    KeyFamily(
        "schedule:<name>",
        "hash",
        "a declared schedule, and the process its latest moment started",
        "trigger",
        "removal of the schedule",
    ),
    KeyFamily(
        "agents",
        "hash",
        "agent to what its turns take, as the release in force says",
        "namespace",
        "the next release's defaults",
    ),
    KeyFamily(
        "inforce",
        "hash",
        "app to the release whose declarations are in force; since when it is away (:l), not yet written (:p), the "
        "one before (:b)",
        "namespace",
        "never",
    ),  # fmt: skip
    KeyFamily(
        "appeared",
        "zset",
        "releases by when they first appeared: <app> <release>; the last 64",
        "namespace",
        "the next releases",
    ),
    KeyFamily(
        "followed:<sid>",
        "string",
        "the session has followers: `1`, and the tailers that are told",
        "session",
        "expires a minute after the last look",
    ),
    KeyFamily(
        "feed:<sid>",
        "stream",
        "what changed while the session was followed, the last 1,000",
        "session",
        "expires 10 minutes after the last change",
    ),
    KeyFamily(
        "mids:<sid>", "hash", "id of a message to its number, where it has one", "session", "deletion of the session"
    ),
    KeyFamily(
        "born:<sid>",
        "set",
        "sessions that turns of this one were the first to write to",
        "session",
        "deletion of the session",
    ),
    KeyFamily("state:<sid>", "string", "the agent's state as JSON", "session", "deletion of the session"),
    KeyFamily("hist:<sid>", "stream", "the session's messages", "session", "deletion of the session"),
    KeyFamily(
        "uniq:<key>",
        "string",
        "the process that has a unique key, while it lives",
        "process",
        "the next one with the key, prune",
    ),
    KeyFamily(
        "limits",
        "hash",
        "limit of a body (b:<name>) or a queue (q:<queue>), as the release in force says",
        "namespace",
        "the next release's",
    ),
    KeyFamily("holds:<limit>", "set", "processes that have a place under it", "limit", "end of the run"),
    KeyFamily(
        "held:<limit>", "list", "processes that wait for a place, in order", "limit", "a place that is left, tick"
    ),
    KeyFamily("holding", "set", "limits at which processes wait", "namespace", "its last one gets a place"),
    KeyFamily(
        "begun:<limit>",
        "list",
        "when the last ones began under its rate: <ms>:<how many before>:<and with it>",
        "limit",
        "expires after its time",
    ),
    KeyFamily(
        "cells:<limit>",
        "set",
        "processes that were given a cell of its rate and did not begin yet",
        "limit",
        "their beginning, tick",
    ),
    KeyFamily(
        "rated:<limit>",
        "list",
        "processes that wait for a cell of its rate, in order",
        "limit",
        "a cell that is free, their end",
    ),
    KeyFamily(
        "rating", "set", "limits at which processes wait for a cell", "namespace", "its last one gets a cell, tick"
    ),
    KeyFamily(
        "given",
        "zset",
        "processes that were given a place or a cell, until a worker takes them",
        "namespace",
        "a take, tick",
    ),
    KeyFamily(
        "rate:<limit>",
        "string",
        "until when its rate is used up (ms), where bursts are allowed",
        "limit",
        "expires once it is past",
    ),
    KeyFamily(
        "declared", "hash", "name of an app to the queues its bodies are or were declared for", "namespace", "never"
    ),
    KeyFamily("paused", "set", "queues that nothing is taken from", "namespace", "resume"),
    KeyFamily(
        "att:<id>",
        "hash",
        "where an attachment lies, media type, size, owners and since when",
        "its owners",
        "sweep, once no owner is there",
    ),
    KeyFamily(
        "atts:<owner>",
        "zset",
        "ids of attachments that a process, a journal, a session, the host owns",
        "the owner",
        "giving up, sweep",
    ),
    KeyFamily("attachments", "zset", "attachment id to when a sweep looks at its owners next", "namespace", "sweep"),
    KeyFamily(
        "uploads",
        "zset",
        "<backend> <location> of bytes that are being uploaded",
        "upload",
        "its end, sweep an hour later",
    ),
    KeyFamily(
        "condemned",
        "zset",
        "<backend> <location> of bytes that are to be removed",
        "namespace",
        "their removal by a worker that has the backend",
    ),
    KeyFamily(
        "bytes:<location>",
        "string",
        "bytes of an attachment in Redis (no script writes them)",
        "attachment",
        "removal of what is condemned",
    ),
    KeyFamily("owners", "zset", "owner to lease expiry", "fleet", "reap"),
    KeyFamily("beats", "hash", "owner to the number of its last heartbeat", "fleet", "reap"),
    KeyFamily("counted", "hash", "owner to the number of its last write of metrics", "fleet", "reap"),
    KeyFamily(
        "metrics",
        "hash",
        "series to its total: what workers counted, and what ended and is pruned; at most 20,000",
        "namespace",
        "nothing; totals are kept without an end",
    ),
    KeyFamily("leases", "hash", "owner to the length of its lease (ms)", "fleet", "reap"),
    KeyFamily("suspects", "hash", "owners seen expired once", "fleet", "heartbeat, reap"),
    KeyFamily("releases", "hash", "owner to the release of its code", "fleet", "reap"),
    KeyFamily(
        "proven",
        "zset",
        "releases of which a run has ended or parked, by when the first did; the last 64",
        "namespace",
        "the next releases",
    ),
    KeyFamily(
        "builds",
        "hash",
        "<app> <release> to the code that came with this name first, and when it started last; the last 64",
        "namespace",
        "the next",
    ),
    KeyFamily(
        "serves", "hash", "owner to its app and whose declarations its code has: <app> <release>", "fleet", "reap"
    ),
    KeyFamily(
        "knows",
        "hash",
        "owner to the latest form of doorbell ids it can read; without a row only the first",
        "fleet",
        "reap",
    ),
    KeyFamily(
        "codes",
        "hash",
        "owner to what it can run, as words: a:<agent>, e:<engine>, e:<engine>@<version>, t:<tool>, t:*",
        "fleet",
        "reap",
    ),
    KeyFamily(
        "aside:<line>",
        "zset",
        "queued processes that wait for an owner with their code: <queue> <code>, or of another release: <queue> "
        "-,<release>,… <code>",
        "fleet",
        "a take, their end",
    ),  # fmt: skip
    KeyFamily("asides", "set", "lines that are not empty", "fleet", "the last one of a line is taken or ends"),
    KeyFamily("apps", "hash", "owner to the name of its app and the agents it runs", "fleet", "reap"),
    KeyFamily("owned:<owner>", "set", "processes an owner runs", "owner", "release, reap"),
    KeyFamily(
        "missed:<owner>", "hash", "claims it held and did not name at its last beat", "owner", "beat, reap, expires"
    ),
    KeyFamily(
        "takes:<owner>",
        "hash",
        "its last take: request id and batch; its next one; what it leaves aside, whether it looks there; its route",
        "owner",
        "reap",
    ),
    KeyFamily("listens:<owner>", "set", "queues it takes from", "owner", "reap"),
    KeyFamily("notify:<owner>", "list", "hints to one worker", "owner", "expires after 10 s"),
    KeyFamily(
        "told:<tailer>",
        "stream",
        "what changed of what the waiters of one client wait for, the latest 4,096 or so",
        "client",
        "the end of its waits, expires a minute after its last look",
    ),
    KeyFamily(
        "idle:<queue>", "set", "owners of that queue alone waiting for work", "fleet", "a ring, a full take, reap"
    ),
    KeyFamily("idle:<route>", "set", "owners of a route waiting for work", "fleet", "a ring, a full take, reap"),
    KeyFamily(
        "route:<route>", "zset", "queues of owners that take from several, in order", "fleet", "its last owner goes"
    ),
    KeyFamily("travels:<route>", "set", "owners that have this route", "fleet", "reap, tick"),
    KeyFamily(
        "ringing",
        "set",
        "queues of routes that may have doorbells",
        "fleet",
        "a take that finds it empty or paused, the last route goes",
    ),
    KeyFamily(
        "timers",
        "zset",
        "what is due and when, each member with its letter (table below)",
        "fleet",
        "tick",
    ),  # fmt: skip
    KeyFamily(
        "misfits",
        "zset",
        "processes that wait for code that fits, and since when",
        "process",
        "a park, the next generation, the end",
    ),
    KeyFamily("todo", "list", "the rest of bounded scripts, each row with its letter (table below)", "fleet", "tick"),
    KeyFamily(
        "idx:<status>",
        "zset",
        "processes of a status by time; idx:queued is what the sweep reads",
        "fleet",
        "next transition, prune",
    ),
    KeyFamily(
        "by:<status>:<filter>:<value>",
        "zset",
        "processes of a status that a filter of a list finds, by time: k: kind, n: name, l: label, s: session, p:"
        " parent, w: signal, i: beginning of its id",
        "fleet",
        "next transition, prune; of one that a release before moved a list that meets it",
    ),
    KeyFamily("indexed", "hash", "how far the index of each status and filter reaches", "namespace", "never"),
    KeyFamily(
        "idx:approvals",
        "zset",
        "slots of approvals that can be answered, by when they were asked",
        "fleet",
        "answer, deadline, cancel, the end of their process, tick",
    ),
    KeyFamily(
        "idx:undeliverable",
        "zset",
        "entries that are undeliverable, failed or blocked, as <sid>#<n>, by time",
        "fleet",
        "redrive, retention",
    ),
    KeyFamily("idx:sessions", "zset", "sessions by last activity", "fleet", "deletion of the session"),
    KeyFamily("secret", "string", "HMAC secret that makes await-event keys and tokens now", "namespace", "never"),
    KeyFamily(
        "keyring",
        "hash",
        "id of the secret; the one before it, its id, until when it is good; the first one",
        "namespace",
        "never",
    ),
    KeyFamily(
        "acked:<client>",
        "hash",
        "how many of its writes were answered",
        "client",
        "expires 5 minutes after the first, an hour after its last look",
    ),
    KeyFamily(
        "rewind",
        "hash",
        "what the store lost at its last rewind, as clients found: writes, clients, since when, until when",
        "namespace",
        "expires after a day, the next rewind",
    ),  # fmt: skip
    KeyFamily(
        "nowhere", "string", "never written: what scripts on a cluster look for first (ADR 8)", "namespace", "never"
    ),
    KeyFamily(
        "stood",
        "hash",
        "how many stood still and were put right, by what was wrong, and when the last was",
        "fleet",
        "never",
    ),
    KeyFamily(
        "meta",
        "hash",
        "key format, RQ prefix, form of doorbell ids, sweep cursors, last tick and whose, who ticks, routes, until "
        "when one prunes, last tidying, mixed code",
        "namespace",
        "never",
    ),  # fmt: skip
)

RQ_TABLE: tuple[KeyFamily, ...] = (
    KeyFamily("queues", "set", "keys of all queues", "RQ", "never"),
    KeyFamily("queue:<queue>", "list", "doorbells waiting, oldest first", "RQ", "a take"),
    KeyFamily(
        "job:<doorbell>",
        "hash",
        "one doorbell as an RQ job, and when it was rung (wl_rung)",
        "RQ",
        "end of the run, expires where RQ failed it",
    ),
    KeyFamily(
        "execution:<doorbell>:<claim>", "hash", "one run that a heartbeat found, as RQ shows it", "RQ", "end of the run"
    ),
    KeyFamily("executions:<doorbell>", "zset", "the runs of a job, from a heartbeat on", "RQ", "end of the run"),
    KeyFamily("wip:<queue>", "zset", "jobs that run", "RQ", "end of the run"),
    KeyFamily("failed:<queue>", "zset", "jobs that were no doorbells of ours", "RQ", "RQ's own cleaning"),
    KeyFamily("worker:<owner>", "hash", "a worker's state and counters", "RQ", "its leave, reap"),
    KeyFamily("worker:<owner>:executions", "set", "what it runs, from a heartbeat on", "RQ", "end of the run, reap"),
    KeyFamily("workers", "set", "keys of all workers", "RQ", "its leave, reap"),
    KeyFamily("workers:<queue>", "set", "keys of a queue's workers", "RQ", "its leave, reap"),
    KeyFamily("suspended", "string", "`rq suspend`; read by every take", "RQ", "`rq resume`"),
)
"""What scripts keep true of RQ's own keys, so that `rq info` and autoscalers read true numbers."""


JOINTS: tuple[Joint, ...] = (
    Joint(
        "{<namespace>}:<family>:<id>",
        "no namespace has a brace, no family a colon; a key has one id, at its end, which may hold anything",
        "keys.prefix",
    ),
    Joint(
        "<namespace>.<queue>",
        "the namespace's dots are doubled, a queue begins with no dot: the joint is the only odd run of dots",
        "keys.queue_name",
    ),
    Joint(
        "wl-<namespace>-<process id>-<epoch>",
        "namespace and id are escaped: letters and digits stay, every other byte is _xx",
        "lib/doorbell.lua",
    ),
    Joint(
        "wl-<process id>-<epoch>",
        "of the release before, still read: one joint fewer than the form above",
        "lib/doorbell.lua",
    ),
    Joint("<doorbell>:<claim>", "neither has a colon", "rq:wip:<queue>"),
    Joint(
        "b:<body>, b:<body>:<key>, q:<queue>",
        "a body's colon is %3A, and no body has a %; a key that looks like a hash is hashed",
        "limits.limit_id",
    ),
    Joint("<agent>/<key>", "no agent has a slash: the joint is the first one; a key may hold any", "names.session_id"),
    Joint(
        "session:<sid>, session:<sid>/frame:<frame>", "a slash or % of the key is %2F or %25", "SessionScope.scope_id"
    ),
    Joint(
        "<session id>#<entry>, <process id>#<sequence>",
        "the joint is the last #, behind which are digits",
        "addresses.readings",
    ),
    Joint(
        "<id>~r<n>",
        "n begins with no zero; a retry names the process as its cause: another process under that id is a conflict",
        "retrying.retry_id",
    ),
    Joint(
        "c_<hash>, process:trigger:<hash>, trigger:<hash>, sub:<hash>",
        "hashes of parts that are framed by their lengths",
        "values.framed",
    ),
    Joint("<kind>:<id>", "kinds are fixed words: of timers, todo rows, owners of attachments, waits", "timers"),
    Joint(
        "k:<key>, signal.<name>:<key>, cancel, external_ref", "no signal's name has a colon or a dot", "replay:<pid>"
    ),
    Joint("<n>, <n>:<letter>, co:<key>, key:<key>", "an entry's number is digits", "wakes:<sid>"),
    Joint("<id>, <id>:<letter>", "a subscription's id is sub: and 24 hex digits", "subs:<source>"),
    Joint(
        "<status>:<filter>:<value>",
        "statuses are fixed words and filters letters; a value may hold anything, and an engine's begins with e:",
        "by:<status>:<filter>:<value>",
    ),
    Joint("<name>:<sequence>", "no signal's name has a colon", "mail:<pid>"),
    Joint("<word> <word>", "ids as words: a blank, # or % in one is %20, %23 or %25", "names.word"),
)
"""Every name that is made of parts which users choose; tests/unit/test_joints.py tries to make two lists of parts look
alike."""


def prefix(namespace: str) -> str:
    """The prefix of every key of a namespace, braces included."""
    return "{" + namespace + "}:"


def queue_name(namespace: str, queue: str | None) -> str:
    """RQ's queue name: the namespace, or ``<namespace>.<queue>``; two apps on one Redis never take each other's
    doorbells.

    Dots of the namespace are doubled (``shop.eu`` has the queues ``shop..eu`` and ``shop..eu.slow``), so that the joint
    is the only single one.
    """
    doubled = namespace.replace(".", "..")
    return f"{doubled}.{queue}" if queue else doubled


def split_queue(name: str) -> tuple[str, str | None]:
    """Namespace and queue of RQ's queue name; the queue is None for the namespace's own."""
    # A queue begins with a letter or a digit: the first run of dots that is odd ends with the joint.
    for run in re.finditer(r"\.+", name):
        if len(run[0]) % 2:
            return name[: run.end() - 1].replace("..", "."), name[run.end() :]
    return name.replace("..", "."), None
