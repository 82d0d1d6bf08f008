"""Calls that leave in one write: calls of one script become one command, a bundle, and every caller gets its own reply.

Invariant: calls of one script keep their order, and so do calls about one process, session or occurrence. An error
reply goes only to its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import exceptions as rex

from wakeline.fixed import fixed
from wakeline.shown import logger
from wakeline.store import scripts
from wakeline.store.calls import Call
from wakeline.store.connection import is_away
from wakeline.store.rewinds import Answered
from wakeline.values import as_text, check_size

log = logger("wakeline.store")
AT_ONCE, BYTES_AT_ONCE = 16, 65_536
"""How many calls run as one script, and how long (bytes) their arguments may be together. Other clients should not wait
longer for the server."""
NOT_FOUND = "Function not found"
MAX_CALL = 256 * 1024 * 1024
"""The longest arguments of one script, in bytes: half of what a server takes by default (proto-max-bulk-len)."""
Command = tuple[Any, ...]


@fixed
class Prepared:
    """A call with its arguments as text."""

    call: Call[Any]
    args: str

    @classmethod
    def of(cls, call: Call[Any]) -> Prepared:
        """Prepares a call; raises `InvalidPayload`, and `PayloadTooLarge` for arguments that no server takes, because
        it would close the connection at every resend."""
        what = f"The arguments of {call.script}"
        text = as_text({k: v for k, v in call.args.items() if v is not None}, what)
        check_size(what, text, MAX_CALL)
        return cls(call, text)


@dataclass(frozen=True, slots=True)
class Counter:
    """What a client sent since it was made: calls by their script, and ``round_trips``. Benchmarks and count tests read
    it."""

    counts: dict[str, int]

    def add(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


def bundled(batch: Sequence[Prepared]) -> list[list[Prepared]]:
    """Calls of one script together, a few at a time; a script with one call is a bundle of one.

    No call gets before an earlier one about the same process, session or occurrence. For example, a wait that is opened
    and given up at once must not be opened last.
    """
    bundles: list[list[Prepared]] = []
    lengths: list[int] = []
    latest: dict[str, int] = {}
    places: dict[str, int] = {}
    for one in batch:
        names = one.call.about
        floor = max([places.get(name, 0) for name in names], default=0)
        place = latest.get(one.call.script, -1)
        if place < floor or len(bundles[place]) == AT_ONCE or lengths[place] + len(one.args) > BYTES_AT_ONCE:
            place = latest[one.call.script] = len(bundles)
            bundles.append([])
            lengths.append(0)
        bundles[place].append(one)
        lengths[place] += len(one.args)
        places.update(dict.fromkeys(names, place))
    return bundles


class Server:
    """What a client knows of how its server takes scripts; its exchanges share one."""

    def __init__(self) -> None:
        self.functions = True
        """Whether it keeps functions, as far as known."""


class Exchange:
    """What goes to the server and back for a batch of calls, over any connection. ``tell`` gets each call's reply, or
    an exception if it was refused.

    ``argv`` makes the arguments of a script from the text of a call's own. ``writes`` are the answered writes of this
    client, if it counts them.
    """

    def __init__(
        self,
        batch: Sequence[Prepared],
        argv: Callable[[str], list[str]],
        server: Server,
        sent: Counter,
        tell: Callable[[Prepared, Any], None],
        writes: Answered | None = None,
    ) -> None:
        self._left = bundled(batch)
        self._again: list[list[Prepared]] = []
        self._expected: list[list[Prepared] | None] = []
        self._unknown: set[str] = set()
        self._plain = False
        self._argv = argv
        self._server = server
        self._count = sent
        self._tell = tell
        self._writes = writes
        self._stamp: tuple[str, int] = ("", 0)
        for one in batch:
            sent.add(one.call.script)

    def commands(self) -> list[Command]:
        """The commands for one write: all calls without a reply, also after an attempt that broke off. Empty if all
        have one."""
        self._left, self._again = [*self._again, *self._left], []
        if not self._left:
            return []
        self._count.add("round_trips")
        loads: list[Command] = (
            [("FUNCTION", "LOAD", "REPLACE", scripts.as_library().text)] if self._unknown and self._by_functions else []
        )
        if self._writes is not None:
            self._stamp = self._writes.stamp()  # the present stamp: later answers are above it
        self._expected = [*[None] * len(loads), *self._left]
        return [*loads, *map(self._command, self._left)]

    def answered(self, answer: Any) -> None:
        """Takes the answer to the next command. Raises if it says that the server cannot be used."""
        if isinstance(answer, rex.ConnectionError | rex.TimeoutError):
            raise answer
        bundle = self._expected.pop(0)
        if bundle is None:
            if isinstance(answer, Exception) and is_away("FUNCTION LOAD", answer):
                self._plain = True
            elif isinstance(answer, Exception):
                log.info("scripts are sent as such: the server keeps no functions (%s)", answer)
                self._server.functions = False
            return
        del self._left[0]
        if self._was_not_run(bundle, answer) or self._again:
            # With all calls behind it, to keep their order: a script may be sent twice.
            self._again.append(bundle)
            return
        if self._writes is not None and not isinstance(answer, Exception):
            number, now_ms, answer, *more = answer
            self._writes.heard(self._stamp[0], number, now_ms)
            grew: list[list[int]] = more[0] if more else []
            for one, lengths in zip(bundle, grew, strict=False):
                if one.call.grew is not None and lengths:
                    one.call.grew(*lengths)
        several = answer if len(bundle) > 1 and not isinstance(answer, Exception) else [answer] * len(bundle)
        for one, reply in zip(bundle, several, strict=True):
            self._tell(one, reply)

    @property
    def _by_functions(self) -> bool:
        return self._server.functions and not self._plain

    def _was_not_run(self, bundle: Sequence[Prepared], answer: Any) -> bool:
        """Whether the server did not have the script yet, or needs another way to run it."""
        if not isinstance(answer, rex.ResponseError):
            return False
        script, text = bundle[0].call.script, str(answer)
        if self._by_functions and script in self._unknown and NOT_FOUND in text:
            self._plain = True  # we loaded the library on another node than the one that runs the call
        elif isinstance(answer, rex.NoScriptError) or NOT_FOUND in text:
            self._unknown.add(script)
        elif self._by_functions and (isinstance(answer, rex.NoPermissionError) or "unknown command" in text.lower()):
            self._server.functions = False
        elif self._by_functions and is_away(script, answer):
            # A function is refused before it runs, a script only at its first write. So as a script a read gets its
            # answer.
            self._plain = True
        else:
            return False
        return True

    def _command(self, bundle: Sequence[Prepared]) -> Command:
        script = scripts.load(bundle[0].call.script)
        first, *others = [one.args for one in bundle]
        by_text = ("EVAL", script.text) if script.name in self._unknown else ("EVALSHA", script.sha)
        *before, own = self._argv(first)
        return (
            *(("FCALL", script.function) if self._by_functions else by_text),
            1,
            *before,
            *self._stamp,
            own,
            *others,
        )
