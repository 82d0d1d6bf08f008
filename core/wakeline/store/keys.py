"""Every key Wakeline writes: name, type, owner and what reclaims it. `docs/keys.md` is generated from this table.

Invariant: all keys carry the namespace in braces, so that one namespace is one Redis Cluster slot.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyFamily:
    """One row of the key table."""

    pattern: str
    type: str
    content: str
    owner: str
    reclaimed_by: str


TABLE: tuple[KeyFamily, ...] = (
    KeyFamily("proc:<pid>", "hash", "status, sequence, epoch, owner, attempt, times; short fields only", "process", "prune, retention after its end"),
    KeyFamily("spec:<pid>", "string", "registration as JSON", "process", "prune"),
    KeyFamily("input:<pid>", "string", "input of the current generation after continue_as_new", "process", "prune"),
    KeyFamily("events:<pid>", "stream", "the log; ids are <sequence>-0", "process", "prune"),
    KeyFamily("replay:<pid>", "hash", "replay key to sequence and content hash", "process", "prune"),
    KeyFamily("journal:<pid>", "hash", "replay key to journal row", "process", "continue_as_new, prune"),
    KeyFamily("slot:<key id>", "hash", "await-event slot: waiter, group, kind, deadline, resolution", "wait", "consumption, end of the process, 60 s after giving up"),
    KeyFamily("waits:<pid>", "set", "key ids of its slots", "process", "end of the process"),
    KeyFamily("mail:<pid>", "list", "signals not yet consumed, oldest first: <name>:<sequence>", "process", "end of the process"),
    KeyFamily("waiters:<pid>", "set", "slots to resolve when it ends", "process", "its end, prune"),
    KeyFamily("children:<pid>", "set", "processes this generation started", "process", "continue_as_new, prune"),
    KeyFamily("bound:<pid>", "set", "children whose cancel is requested when it ends", "process", "its end, prune"),
    KeyFamily("granted:<pid>", "set", "scopes that hold a handle of it", "process", "revoke, prune"),
    KeyFamily("grants:<scope>", "hash", "process id to descriptor", "session scope", "revoke, prune of the process"),
    KeyFamily("tomb:<pid>", "string", "how a pruned process ended", "process", "expires after tombstone_ms"),
    KeyFamily("schema:<hash>", "string", "payload schema of an open typed wait", "wait", "expires 30 days after its last use"),
    KeyFamily("sess:<sid>", "hash", "session head: agent, queue, revision, current turn, counters", "session", "deletion of the session"),
    KeyFamily("inbox:<sid>", "stream", "entries not yet settled, in order", "session", "settled with their turn"),
    KeyFamily("wakes:<sid>", "hash", "bodies and states of entries, the last 1,000 settled ones", "session", "settling of later entries"),
    KeyFamily("state:<sid>", "string", "the agent's state as JSON", "session", "deletion of the session"),
    KeyFamily("hist:<sid>", "stream", "the session's messages", "session", "deletion of the session"),
    KeyFamily("owners", "zset", "owner to lease expiry", "fleet", "reap"),
    KeyFamily("suspects", "hash", "owners seen expired once", "fleet", "heartbeat, reap"),
    KeyFamily("owned:<owner>", "set", "processes an owner runs", "owner", "release, reap"),
    KeyFamily("missed:<owner>", "hash", "processes it held and did not name at its last beat", "owner", "beat, reap, expires"),
    KeyFamily("takes:<owner>", "hash", "its last take: request id and batch", "owner", "reap"),
    KeyFamily("listens:<owner>", "set", "queues it takes from", "owner", "reap"),
    KeyFamily("notify:<owner>", "list", "hints to one worker", "owner", "expires after 10 s"),
    KeyFamily("idle:<queue>", "set", "owners waiting for work", "fleet", "a ring, a full take, reap"),
    KeyFamily("timers", "zset", "due time of slots (s:), delayed starts (d:), cancel grace (c:), deadlines (e: q: a:)", "fleet", "tick"),
    KeyFamily("todo", "list", "the rest of bounded scripts", "fleet", "tick"),
    KeyFamily("idx:<status>", "zset", "processes of a status by time; idx:queued is what the sweep reads", "fleet", "next transition, prune"),
    KeyFamily("idx:sessions", "zset", "sessions by last activity", "fleet", "deletion of the session"),
    KeyFamily("secret", "string", "HMAC secret of await-event keys and tokens", "namespace", "never"),
    KeyFamily("meta", "hash", "key format, RQ prefix, sweep cursor", "namespace", "never"),
)


def prefix(namespace: str) -> str:
    """The prefix of every key of a namespace, braces included."""
    return "{" + namespace + "}:"


def queue_name(namespace: str, queue: str | None) -> str:
    """RQ's queue name: the namespace, or ``<namespace>.<queue>``; two apps on one Redis never take each other's doorbells."""
    return f"{namespace}.{queue}" if queue else namespace
