"""Errors as answers: one table from the tree of errors to statuses of HTTP, and the document that says what is wrong
(`application/problem+json`, RFC 9457).

Invariant: every error of the tree has a status by its class or by one above it. No document holds a traceback or a
bearer token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wakeline import errors
from wakeline.errors import WakelineError
from wakeline.shown import without_tokens

MEDIA_TYPE = "application/problem+json"
TYPES = "https://wakeline.dev/errors/"
RETRY_AFTER_S = 1
STATUSES: Mapping[type[WakelineError], int] = {
    WakelineError: 500,
    errors.ConfigurationError: 500,
    errors.UnknownName: 404,
    errors.AgentConflict: 409,
    errors.StoreError: 503,
    errors.ScriptFailed: 500,
    errors.InputError: 422,
    errors.PayloadTooLarge: 413,
    errors.AmbiguousId: 409,
    errors.FileUnusable: 500,
    errors.ProcessError: 409,
    errors.ProcessNotFound: 404,
    errors.ProcessNotVisible: 404,
    errors.EventNotFound: 404,
    errors.ProcessNoLongerRetained: 410,
    errors.UndeclaredEvent: 422,
    errors.PayloadSchemaMismatch: 422,
    errors.ReservedEvent: 422,
    errors.ReplayKeyRequired: 422,
    errors.MailboxFull: 429,
    errors.ProcessFailed: 424,
    errors.ProcessCancelled: 409,
    errors.ProcessAbandoned: 410,
    errors.WaitError: 409,
    errors.WaitTimeout: 408,
    errors.AwaitEventUnknownOrRevoked: 410,
    errors.ApprovalNotOpen: 410,
    errors.ApprovalAnswered: 409,
    errors.RunError: 500,
    errors.ToolError: 422,
    errors.TriggerError: 409,
    errors.SubscriptionNotFound: 404,
    errors.AttachmentError: 500,
    errors.AttachmentNotFound: 404,
    errors.SessionError: 409,
    errors.UnknownAgent: 404,
    errors.SessionNotFound: 404,
    errors.SessionDeleted: 410,
    errors.SessionNotVisible: 404,
    errors.EntryNotFound: 404,
    errors.ForeignCursor: 400,
    errors.WebError: 400,
    errors.RequestTooLarge: 413,
    errors.MediaTypeRefused: 415,
    errors.HostRefused: 421,
    errors.OriginRefused: 403,
    errors.Unauthenticated: 401,
    errors.RoleTooLow: 403,
    errors.RouteNotFound: 404,
    errors.MethodRefused: 405,
}
"""The status of each class of errors; a class that is not here has that of the next one above it."""
UNEXPECTED: Mapping[str, Any] = {
    "type": f"{TYPES}unexpected",
    "title": "Unexpected",
    "status": 500,
    "detail": "The server failed at this request; its log says how.",
    "code": "unexpected",
    "retryable": False,
    "fields": {},
}
"""The document for what is no error of Wakeline."""


def status_of(kind: type[WakelineError]) -> int:
    """The status of an error of this class."""
    return next(STATUSES[one] for one in kind.__mro__ if one in STATUSES)


def problem_of(error: WakelineError) -> dict[str, Any]:
    """The document of an error: its message with the way out, its stable code, and its fields."""
    said = error.to_json()
    problem: dict[str, Any] = {
        "type": f"{TYPES}{error.code}",
        "title": type(error).__name__,
        "status": status_of(type(error)),
        "detail": said["message"],
        "code": error.code,
        "retryable": error.retryable,
        "fields": said["fields"],
    }
    found: dict[str, Any] = without_tokens(problem)
    return found


def headers_of(error: WakelineError, challenge: str) -> dict[str, str]:
    """The headers that belong to it: when to come again, how to say who asks, which methods there are."""
    status = status_of(type(error))
    if status in (429, 503):
        return {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": challenge}
    if isinstance(error, errors.MethodRefused):
        return {"Allow": ", ".join(error.allowed)}
    return {}
