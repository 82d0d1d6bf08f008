"""Drives a program: the order in which its steps are done and answered, the same for both clients.

Invariant: what a step raises is handed to the program, which catches what it knows; the rest leaves the drive as it is.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from wakeline.store.calls import Program, Step

T = TypeVar("T")
LOOK_AGAIN_MS = 200
"""Longest pause of a `Change` that no blocking read shortens: no hint reaches an event loop."""


class Drive(Generic[T]):
    """A program on its way. While it `goes_on`, its client does its ``step`` and tells what came of it; then it has a
    ``result``."""

    step: Step
    result: T

    def __init__(self, program: Program[T]) -> None:
        self._program = program
        self._value: Any = None
        self._failure: Exception | None = None

    def goes_on(self) -> bool:
        """Whether there is another step to do. Raises what the program raises."""
        value, failure = self._value, self._failure
        self._value = self._failure = None
        try:
            self.step = self._program.throw(failure) if failure is not None else self._program.send(value)
        except StopIteration as end:
            self.result = end.value
            return False
        finally:
            # A failure that goes on holds this frame. Each would keep the other until cycles are collected.
            del value, failure
        return True

    def done(self, value: Any) -> None:
        """The step gave this."""
        self._value = value

    def failed(self, failure: Exception) -> None:
        """The step raised this."""
        self._failure = failure
