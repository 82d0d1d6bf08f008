"""Drives a program: the order in which its steps are done and answered, which is the same for both clients.

Invariant: the program gets the error of a step and catches those that it knows. Other errors leave the drive unchanged.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from wakeline.store.calls import Program, Step

T = TypeVar("T")
LOOK_AGAIN_MS = 200
"""The longest pause (ms) of a `Change` that nothing tells of."""


class Drive(Generic[T]):
    """A program on its way. While it `goes_on`, its client does its ``step`` and calls `done` or `failed`. Then it has
    a ``result``."""

    step: Step
    result: T

    def __init__(self, program: Program[T]) -> None:
        self._program = program
        self._value: Any = None
        self._failure: Exception | None = None

    def goes_on(self) -> bool:
        """Whether another step is to be done. Raises what the program raises."""
        value, failure = self._value, self._failure
        self._value = self._failure = None
        try:
            self.step = self._program.throw(failure) if failure is not None else self._program.send(value)
        except StopIteration as end:
            self.result = end.value
            return False
        finally:
            # A failure that passes on holds this frame. Each would keep the other alive until cycles are collected.
            del value, failure
        return True

    def done(self, value: Any) -> None:
        """Takes the result of the step."""
        self._value = value

    def failed(self, failure: Exception) -> None:
        """Takes the error of the step."""
        self._failure = failure
