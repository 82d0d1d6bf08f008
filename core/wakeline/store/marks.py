"""Every counter and mark that says something of a run, a claim or an owner and could outlive it, with what resets it.

Invariant: what is counted against a run is told from the next run of the same process, by its claim, or is taken back
when the process gets further.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of the table of marks: where it stands, what it says, what takes it back."""

    where: str
    says: str
    reset_by: str


MARKS: tuple[Mark, ...] = (
    Mark(
        "proc:<pid> at",
        "failed attempts since it last got further",
        "a recorded row, a started child, an event, a park; continue_as_new",
    ),
    Mark(
        "proc:<pid> ls",
        "lost owners since it last got further, not by a deploy",
        "a recorded row, a started child, an event, a park; continue_as_new",
    ),
    Mark("proc:<pid> rg", "how often its lost doorbell was rung again", "the next claim, the next doorbell, the end"),
    Mark("proc:<pid> ur", "what of it a worker could not read, which handed it back", "the next claim, the end"),
    Mark("proc:<pid> ow, ct, rw", "who runs it, since when, and whether RQ shows it", "park, hand-back, loss, end"),
    Mark(
        "proc:<pid> cl",
        "the claim that its writes have to show",
        "hand-back, loss; the next claim replaces what park and end leave for a resend",
    ),
    Mark("proc:<pid> rel", "the release that runs it", "the next claim"),
    Mark("proc:<pid> tr", "which attempt its run is, where that is not the first", "the next claim, the end"),
    Mark("proc:<pid> pr", "the release under which it got this far", "every park writes it anew; the end"),
    Mark(
        "proc:<pid> sr",
        "several releases have had this generation; the rows it had when the one that parked it was left",
        "continue_as_new, the end",
    ),
    Mark(
        "proc:<pid> mf, misfits <pid>",
        "why code could not go on with it",
        "a park, continue_as_new, the end; for a crash also what resets ls",
    ),
    Mark(
        "proc:<pid> uf",
        "releases that looked at it in this round, and cannot go on with it",
        "with mf; the look that begins the next round",
    ),
    Mark("proc:<pid> an", "any resolution resumes it, not its whole group", "the resume, the end"),
    Mark("proc:<pid> lm, holds:<limit>", "the places it has", "park, hand-back, loss, end"),
    Mark("proc:<pid> hd, held:<limit>", "the place it waits for", "the place, the end"),
    Mark(
        "proc:<pid> ce, cells:<limit>",
        "the cell of a rate that it was given",
        "the claim, the end; its queue stands still",
    ),
    Mark("proc:<pid> rd, rated:<limit>", "the cell of a rate that it waits for", "the cell, the end"),
    Mark(
        "proc:<pid> as, aside:<line>",
        "it waits for a worker with its code, or of another release",
        "the claim, the end",
    ),
    Mark(
        "takes:<owner> lacks, able",
        "the code of others that it leaves aside; it looks for what others left",
        "a worker that comes or goes, a take, reap",
    ),
    Mark(
        "takes:<owner> crowded",
        "it left calls to others, as it had no free child for them",
        "a take with a free child, reap",
    ),
    Mark("given <pid>", "a place or cell was given and not taken", "the claim; the tick, a second later at most"),
    Mark(
        "proc:<pid> ix, by:<status>:<filter>:<value>",
        "a list finds it by a filter",
        "its next status, its prune; lists check what they find against the record",
    ),
    Mark("proc:<pid> cr", "its cancel was requested", "nothing: it is of the process, over all its runs"),
    Mark(
        "timers a:<pid>",
        "when its attempt takes too long",
        "park, end; the next claim moves it, and while it is queued it does nothing",
    ),
    Mark("timers d:<pid>", "when it is offered again", "the doorbell; of what is not queued by then it does nothing"),
    Mark("timers q:<pid>", "when it has waited too long for a worker", "the first claim, the end"),
    Mark("timers c:<pid>", "when its grace is over", "the end"),
    Mark(
        "todo c:, k:",
        "waits and children that a cancel has still to reach",
        "the tick; nothing is done to one that ended, or is another by now",
    ),
    Mark(
        "todo m:",
        "what waits for code that fits, from which number on it is still to be looked at",
        "the tick; what goes on by then is not offered",
    ),
    Mark(
        "todo w:, d:, p:",
        "what an end has still to do",
        "the tick; nothing is done to one that lives, as the next with its id may",
    ),
    Mark(
        "missed:<owner> <claim>",
        "a claim that the last beat did not name",
        "a beat that names it; a beat after its park or end; its expiry; reap",
    ),
    Mark("suspects <owner>", "an owner was seen expired once", "its beat, its take, its claim, reap"),
    Mark(
        "takes:<owner>",
        "what its last take claimed, for a resend",
        "its next take, reap; a resend gives what is still under the claims of that take",
    ),
    Mark(
        "takes:<owner> next",
        "the owner runs nothing, and may be handed one process, as by the take of that id",
        "the hand-off, its next take, reap; 2.5 s without a take",
    ),
    Mark(
        "beats <owner>",
        "its last beat that was answered; one that is sent again counts nothing twice",
        "the next beat, reap",
    ),
    Mark(
        "acked:<client> n",
        "writes of a client that were answered; one that finds fewer goes on under a name of its own",
        "its expiry",
    ),
    Mark("leases <owner>", "how long its lease is", "reap"),
    Mark(
        "notify:<owner> lost, cancel, slot",
        "a word to one run, with its claim",
        "its hearing, 10 s; a later run of the process does not listen to it",
    ),
    Mark(
        "proc:<pid> tl",
        "clients whose waiters are told of its end, or of each event",
        "the end; the look of a client for which nothing waits any more; a long list forgets those without a stream",
    ),
    Mark(
        "wakes:<sid> <n>:t, followed:<sid>",
        "clients whose waiters are told of the end of an entry, or of items of the feed",
        "the end of the entry's life; the look of a client for which nothing waits any more; expiry of followed:<sid>",
    ),
    Mark("told:<tailer>", "a client has waiters", "the end of its waits, a minute without a look"),
    Mark("idle:<queue> <owner>", "an owner that is to be told of work", "a ring, a full take, a take of 0, reap"),
    Mark(
        "ringing <queue>",
        "takes of owners with several queues look there",
        "such a take that finds it empty or paused; what RQ or an earlier release pushes, the tick finds",
    ),
)


def rows() -> list[str]:
    """The table as lines of a document."""
    return [
        "| where | what it says | reset by |",
        "|---|---|---|",
        *(f"| `{m.where}` | {m.says} | {m.reset_by} |" for m in MARKS),
    ]
