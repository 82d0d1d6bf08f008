"""Every error of Wakeline: one tree, a stable code each, a message built from its fields that says what to do.

    WakelineError
    ├── ConfigurationError
    │   ├── SettingsInvalid        ├── RedisNotConfigured      ├── EvictionPolicyRefused   ├── ServerTooOld
    │   ├── BodyInvalid            ├── AppNotFound             ├── UnknownName             ├── DuplicateName
    │   ├── WrongVerb              ├── KeyFormatTooNew         ├── InvalidSchedule         ├── AgentConflict
    │   ├── ServerStartFailed      ├── IsolationUnavailable    ├── SecretRefused           ├── RotationOverlaps
    │   ├── ForeignDoorbell        └── ExtraMissing
    ├── StoreError
    │   ├── RedisUnavailable: WritesRefused                    ├── RedisRefused: RedisUrlInvalid ├── TlsFailed
    │   └── StoreOutOfMemory       └── ScriptFailed            └── AttachmentStoreFailed
    ├── InputError
    │   ├── InvalidId              ├── InvalidArguments        ├── InvalidPayload          ├── PayloadTooLarge
    │   ├── InvalidDuration        ├── InvalidSelector         ├── SelectorMiss            ├── RegistrationInvalid
    │   ├── InvalidHandle          ├── InvalidToken            ├── AmbiguousId             ├── MissingExecutionScopeId
    │   └── InvalidWaitIdentity    └── InvalidEnvironment      └── InvalidAttachment
    ├── ProcessError
    │   ├── ProcessNotFound        ├── ProcessNoLongerRetained ├── ProcessConflict         ├── ProcessAlreadyTerminal
    │   ├── ProcessNotVisible      ├── UndeclaredEvent         ├── PayloadSchemaMismatch: WaitTypeDiffers
    │   ├── ReservedEvent
    │   ├── ReplayConflict: EffectRepeated                     ├── ReplayKeyRequired       ├── MailboxFull
    │   ├── NotExternal
    │   ├── TerminalOutcomeMismatch ├── ExternalRefConflict    ├── TransitionRefused
    │   ├── ProcessExecutionUnavailable                        ├── ProcessEventContextMismatch
    │   ├── MissingExecutionEnvironment                        ├── ProcessNotEnded         ├── ProcessNotRetryable
    │   ├── AlreadyRunning         ├── SessionTurnUnsupported  ├── RegistrationUnreadable
    │   └── ProcessEnded: ProcessFailed, ProcessCancelled, ProcessAbandoned
    ├── WaitError
    │   ├── WaitTimeout: SignalWaitTimeout                     ├── WaitCancelled: SleepCancelled, SignalWaitCancelled
    │   ├── AwaitEventUnknownOrRevoked                         ├── WaitFailed
    │   └── OperationCancelled
    ├── RunError
    │   └── LeaseLost              └── ReplayMismatch          └── ParkSwallowed           └── JournalCorrupt
    ├── ToolError
    │   ├── NonRetryable           ├── RetryAfter              ├── ToolFailed              ├── StepFailed
    │   ├── ToolUnavailable        └── CompletionsUnavailable
    ├── TriggerError
    │   ├── OccurrenceConflict     ├── SubscriptionNotFound    ├── SubscriptionChanged     └── SubscriptionLimit
    ├── AttachmentError
    │   ├── AttachmentNotFound     ├── AttachmentBackendMissing └── AttachmentCorrupt
    │   └── SweepRefused
    ├── UnknownError
    └── SessionError
        ├── UnknownAgent           ├── HeadConflict            ├── EntryNotFound           ├── RedriveRefused:
        NothingBlocks
        ├── FrameLimitExceeded     ├── OutputMismatch          ├── ForeignCursor           ├── StaleBranch
        ├── SessionNotVisible      └── SessionNotFound: SessionDeleted

    ControlFlow (a BaseException, no WakelineError)
    └── Parked                     └── Stopped

Invariant: codes are persisted and compared by callers, so a code never changes; a message may.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from inspect import get_annotations
from typing import Any, ClassVar, Literal, dataclass_transform

SHOWN_LENGTH, SHOWN_BITS = 200, 200
MOMENTS = ("_at_ms", "until_ms")
"""How the names of fields end that are times of day."""
LONGEST_PART = 4_096
"""Of a message: what one field of it may take, in characters. The field itself is kept whole."""

FailureClass = Literal[
    "invalid_request",
    "unavailable",
    "permission_denied",
    "timeout",
    "execution",
    "external",
    "resource_limit",
    "internal",
]


@dataclass_transform(kw_only_default=True)
class WakelineError(Exception):
    """Base of all errors; subclasses declare their fields as annotations and a `template` over them.

    Type checkers see each subclass as keyword-only over its fields; missing or unknown fields are a `TypeError`.
    """

    code: ClassVar[str] = "wakeline_error"
    retryable: ClassVar[bool] = False
    template: ClassVar[str] = "Wakeline failed; see the fields of this error."
    _declared: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        hints = get_annotations(cls).items()
        own = [name for name, hint in hints if not str(hint).startswith(("ClassVar", "typing.ClassVar"))]
        cls._declared = (*cls._declared, *own)

    def __init__(self, **fields: object) -> None:
        defaults = {name: getattr(type(self), name) for name in self._declared if hasattr(type(self), name)}
        self.fields: dict[str, object] = {**defaults, **fields}
        if "value" in fields:
            self.fields["value"] = _short(fields["value"])
        if set(self.fields) != set(self._declared):
            wanted = ", ".join(self._declared) or "no fields"
            raise TypeError(f"{type(self).__name__} takes {wanted}; got {', '.join(fields) or 'none'}")
        for name, value in self.fields.items():
            setattr(self, name, value)
        self.message: str = self._template().format(
            **{name: _shown(name, value) for name, value in self.fields.items()}
        )
        super().__init__(self.message)

    def _template(self) -> str:
        return self.template

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.fields))

    @classmethod
    def recorded(cls, fields: Mapping[str, Any]) -> WakelineError:
        """The error of recorded fields, of which those that it does not have are left out; raises `TypeError` where one
        is missing."""
        return _rebuild(cls, {name: fields[name] for name in cls._declared if name in fields})

    def to_json(self) -> dict[str, object]:
        """The error as a JSON object: code, message, retryable, fields; values that are not JSON become text."""
        fields = {name: _plain(value) for name, value in self.fields.items()}
        return {"code": self.code, "message": self.message, "retryable": self.retryable, "fields": fields}


def _rebuild(cls: type[WakelineError], fields: dict[str, object]) -> WakelineError:
    error = cls.__new__(cls)
    WakelineError.__init__(error, **fields)
    return error


def _short(value: object) -> object:
    """What somebody gave instead of a value that is usable: shown, not kept, so the beginning of a long one will do."""
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        shown = value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "…"
        return shown.encode("utf-8", "backslashreplace").decode()
    return value


def _shown(name: str, value: object) -> object:
    if name.endswith(MOMENTS) and isinstance(value, int):
        from wakeline.shown import moment  # who wants the errors alone does not wait for it

        return moment(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(item) for item in value) or "none"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, str) and len(value) > LONGEST_PART:
        return value[:LONGEST_PART] + "…"
    return value


def _plain(value: Any) -> object:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value)


# Configuration: somebody has to change code, an argument or the environment.


class ConfigurationError(WakelineError):
    """The app, its settings or a body is set up in a way that cannot work."""


class SettingsInvalid(ConfigurationError):
    """A setting has a value that is not usable."""

    name: str
    value: object
    reason: str
    template = "Setting {name} cannot be {value!r}: {reason}. Change it and start again."


class RedisNotConfigured(ConfigurationError):
    """Work was asked for that needs a shared Redis, and no URL is set."""

    template = (
        "No Redis is configured. Set REDIS_URL (for example redis://localhost:6379/0) and start again; `wakeline dev`"
        " brings a private one."
    )


class EvictionPolicyRefused(ConfigurationError):
    """The server may evict keys, which would lose durable state."""

    policy: str
    template = (
        "Redis evicts keys (maxmemory-policy {policy}), which loses durable work. Set maxmemory-policy to noeviction."
    )


class ServerTooOld(ConfigurationError):
    """The server lacks commands that scripts use; a half of a script would be written before the first one is
    missed."""

    product: str
    found: str
    needed: str
    template = (
        "The server is {product} {found}; Wakeline needs {product} {needed} or newer. Upgrade it, or set REDIS_URL to"
        " one that is."
    )


class KeyFormatTooNew(ConfigurationError):
    """The namespace was written by a later release, whose keys this one would misread."""

    namespace: str
    found: str
    known: str
    template = (
        "Namespace {namespace!r} has keys of format {found}, and this release knows {known}. "
        "Deploy the release that wrote them or a later one, or take another namespace."
    )


REPEATED = "be done again by every replay"


class WrongVerb(ConfigurationError):
    """A verb was called where it would block a loop, or escape the journal of a body."""

    verb: str
    use: str
    harm: str = "block"
    template = "{verb} would {harm} here. Use {use} instead."


class BodyInvalid(ConfigurationError):
    """A decorated function cannot be run as the thing it was declared to be."""

    name: str
    reason: str
    template = "{name} cannot be a body: {reason}."


class AppNotFound(ConfigurationError):
    """No App was found where the command line pointed."""

    target: str
    reason: str
    advice: str
    template = "No App at {target!r}: {reason}. {advice}."


class IsolationUnavailable(ConfigurationError):
    """A tool runs in a process of its own, which would not find its app; it stays queued for a worker that can."""

    tool: str
    template = (
        "Tool {tool!r} runs in a process of its own, which has to find its app by name, and the app of this worker was"
        " not found so. Start the worker with -A module:app, or WAKELINE_APP."
    )


class UnknownName(ConfigurationError):
    """A tool, engine or agent is asked for that this app does not have."""

    kind: str
    name: str
    known: Sequence[str]
    template = "No {kind} is named {name!r}; known: {known}. Register it, or include the module that does."


class DuplicateName(ConfigurationError):
    """Two tools, engines or agents of one app have the same name."""

    kind: str
    name: str
    template = "Two things are registered as {kind} {name!r}. Give one of them another name=."


class ServerStartFailed(ConfigurationError):
    """The private Redis of demo, dev or tests did not start."""

    reason: str
    template = "The embedded Redis did not start: {reason}. Set REDIS_URL to use your own."


class ExtraMissing(ConfigurationError):
    """Something was asked for that needs packages which come with an extra only."""

    what: str
    extra: str
    instead: str
    template = "{what} needs packages that are not installed. Run: pip install 'wakeline[{extra}]'. Or {instead}."


class SecretRefused(ConfigurationError):
    """The secret of a namespace is not the one that was made for it: with it, anybody could make tokens."""

    namespace: str
    reason: str
    template = (
        "The secret of namespace {namespace!r} is refused: {reason}. Restore it from a backup, or make a new one with"
        " `wakeline secret rotate`; tokens that were given out before are void then."
    )


class RotationOverlaps(ConfigurationError):
    """A secret was rotated again while tokens of the one before the current one are still good."""

    namespace: str
    until_ms: int
    template = (
        "The secret before the current one of namespace {namespace!r} is still good until {until_ms}. "
        "Rotate after that, or with --keep 0s, which makes all tokens void that were given out before."
    )


class AgentConflict(ConfigurationError):
    """Two apps in one namespace have an agent of the same name; a session would be served by one or the other, as it
    falls."""

    agent: str
    app: str
    other: str
    template = (
        "Agent {agent!r} of app {app!r} is run in this namespace by workers of app {other!r} too. "
        "Give one of them another name, or the apps namespaces of their own."
    )


class ForeignDoorbell(ConfigurationError):
    """A stock worker took the doorbell of another app's process."""

    namespace: str
    other: str
    template = (
        "This worker runs the app of namespace {namespace!r}, and the job is a doorbell of namespace {other!r}. Set"
        " WAKELINE_APP to that app, or let this worker listen to its own queues. The process stays queued and is rung"
        " again."
    )


class InvalidSchedule(ConfigurationError):
    """A cron expression, its time zone or a policy of it is none."""

    name: str
    expression: str
    reason: str
    template = "Schedule {name!r} ({expression!r}) cannot be used: {reason}."


# Store: Redis did not do what was asked.


class StoreError(WakelineError):
    """Redis could not be reached or did not accept a command."""


class RedisUnavailable(StoreError):
    """Redis did not answer; the call may be sent again."""

    reason: str
    retryable = True
    template = "Redis does not answer: {reason}. Check that it runs and is reachable; the call may be repeated."


class WritesRefused(RedisUnavailable):
    """Redis answers and takes no writes now: a full disk, a replica, too few of them, a long script, a cluster that is
    down; the call may be sent again."""

    template = "Redis takes no writes now: {reason}. `wakeline doctor` says what it is; the call may be repeated."


class RedisRefused(StoreError):
    """Redis answered and said no: credentials, ACL or a wrong URL."""

    reason: str
    template = "Redis refused the connection or command: {reason}. Check user, password, ACL and the URL."


class RedisUrlInvalid(RedisRefused):
    """The URL of Redis cannot be one, so nothing was contacted."""

    template = "The URL of Redis cannot be used: {reason}. Correct REDIS_URL (or the URL that the app was given)."


class TlsFailed(StoreError):
    """The TLS handshake with Redis failed."""

    reason: str
    template = (
        "TLS with Redis failed: {reason}. Name its certificate authority in the URL (?ssl_ca_certs=<file>), "
        "or set WAKELINE_TLS=none for a self-signed server you trust."
    )


class StoreOutOfMemory(StoreError):
    """Redis is at maxmemory and refuses writes."""

    retryable = True
    template = "Redis is out of memory and refuses writes. Give it more memory or prune; the call may be repeated then."


class AttachmentStoreFailed(StoreError):
    """A backend could not do what it was asked to."""

    retryable = True
    backend: str
    reason: str
    template = "The attachment backend {backend!r} failed: {reason}. Nothing refers to what it did not keep; try again."


class ScriptFailed(StoreError):
    """A Lua script stopped with an error Wakeline does not know."""

    script: str
    reason: str
    template = (
        "Script {script} failed: {reason}. This is a bug or a foreign write to Wakeline's keys; run `wakeline doctor`."
    )


# Input: the caller gave something that can be corrected.


class InputError(WakelineError):
    """An argument is not usable; nothing was written."""


class InvalidId(InputError):
    """An id or name does not follow its grammar."""

    kind: str
    value: object
    grammar: str
    template = "{value!r} is not a {kind}: it has to match {grammar}."

    def _template(self) -> str:
        return self.template.replace(" a {kind}", " an {kind}") if self.kind[:1] in "aeiou" else self.template


class AmbiguousId(InputError):
    """The beginning of an id, which several processes share."""

    prefix: str
    candidates: Sequence[str]
    template = "Several processes begin with {prefix!r}: {candidates}. Give more characters of the id."


class InvalidArguments(InputError):
    """Arguments do not fit the signature of a tool, engine or agent."""

    name: str
    reason: str
    template = "The arguments do not fit {name}: {reason}."


class InvalidPayload(InputError):
    """A value cannot be written as JSON, or a text is no JSON."""

    what: str
    reason: str
    template = "{what} is not usable as JSON: {reason}."


class PayloadTooLarge(InputError):
    """A payload is over its limit, in bytes."""

    what: str
    size: int
    limit: int
    template = (
        "{what} has {size} bytes, the limit is {limit}. Store it as an attachment or elsewhere, and pass a reference."
    )


class InvalidDuration(InputError):
    """A duration is negative, not finite, or not readable."""

    value: object
    template = "{value!r} is not a duration. Use a timedelta, seconds, or a text such as '1d12h', '30s', '250ms'."


class InvalidSelector(InputError):
    """A selector is not one of the five forms."""

    reason: str
    template = "The selector is not usable: {reason}. Use payload, pointer, const, template or present."


class SelectorMiss(InputError):
    """A selector's pointer finds nothing in the payload."""

    pointer: str
    template = "The payload has nothing at {pointer!r}. Send a payload that has it, or change the selector."


class RegistrationInvalid(InputError):
    """A process cannot be registered as described."""

    reason: str
    template = "The process cannot be registered: {reason}."


class InvalidHandle(InputError):
    """A handle value is malformed."""

    reason: str
    template = 'This is no process handle: {reason}. A handle is {{"__handle__": "process", "id": "<process id>"}}.'


class InvalidEnvironment(InputError):
    """An execution environment that cannot be one."""

    reason: str
    template = "The execution environment is unusable: {reason}. Give plugin_options and policy only."


class InvalidAttachment(InputError):
    """Bytes, a media type or an id that make no attachment."""

    reason: str
    template = "The attachment is unusable: {reason}."


class MissingExecutionScopeId(InputError):
    """A component of an execution scope is blank."""

    kind: str
    component: str
    template = "Scope {kind} needs a non-blank {component}."


class InvalidWaitIdentity(InputError):
    """A component of a wait identity is blank, or its ordinal is below one."""

    code = "invalid_await_event_wait_identity"
    reason: str
    template = "The wait cannot be identified: {reason}."


class InvalidToken(InputError):
    """A bearer token cannot be made as asked."""

    reason: str
    template = "The token cannot be made: {reason}."


# Processes: the process is not in a state in which this can be done.


class ProcessError(WakelineError):
    """Something about one process stands in the way."""


class ProcessNotFound(ProcessError):
    """No process has this id."""

    process_id: str
    template = "There is no process {process_id!r}. Check the id and the namespace."


class ProcessNoLongerRetained(ProcessError):
    """The process ended and was pruned; only its tombstone is left."""

    process_id: str
    status: str
    pruned_at_ms: int
    template = (
        "Process {process_id!r} ended as {status} and was pruned at {pruned_at_ms}. Keep results longer with a larger"
        " retention."
    )


class ProcessConflict(ProcessError):
    """The id is taken by a process with other content."""

    process_id: str
    existing: object
    given: object
    template = (
        "Process {process_id!r} exists with other content ({existing}, given {given}). Use another id, or send the same"
        " input."
    )


class ProcessAlreadyTerminal(ProcessError):
    """The process has ended; its record never changes again."""

    process_id: str
    status: str
    template = "Process {process_id!r} has already ended as {status}. Start a new one, or `retry` it."


class ProcessNotEnded(ProcessError):
    """What is still under way is not retried: its attempts are the worker's."""

    process_id: str
    status: str
    template = (
        "Process {process_id!r} is {status}; only one that has ended is retried. Wait for its end, or cancel it first."
    )


class RegistrationUnreadable(ProcessError):
    """A process was registered by a later release, in a way that this one does not know whole, or by a foreign hand."""

    process_id: str
    reason: str
    template = (
        "Process {process_id!r} is registered in a way that this release cannot read: {reason}. Use the release that"
        " started it, or a later one."
    )


class ProcessNotRetryable(ProcessError):
    """The process was no work of a tool or an engine."""

    process_id: str
    kind: str
    instead: str
    template = "Process {process_id!r} is {kind}, which is not retried. Instead, {instead}."


class ProcessNotVisible(ProcessError):
    """The caller holds no handle of the process."""

    process_id: str
    template = "Process {process_id!r} is not visible here. Get a handle granted, or start it from here."


class ProcessExecutionUnavailable(ProcessError):
    """A verb of a running process was used outside one."""

    verb: str
    template = (
        "{verb} needs a running process, and there is none here. Use ctx.execution in a body; from outside,"
        " app.handle(id) and app.start."
    )


class ProcessEventContextMismatch(ProcessError):
    """A running process may append to its own log and wait for its own signals only."""

    process_id: str | None
    own: str
    template = (
        "This is process {own!r}; it cannot do this for {process_id!r}. Leave the process id out, or send that process"
        " a signal."
    )


class AlreadyRunning(ProcessError):
    """A living process has the unique key that a start asked for."""

    unique: str
    process_id: str
    template = (
        "Process {process_id!r} is running under the unique key {unique!r}. Wait for its end, or start with"
        " if_running='return' or 'replace'."
    )


class MissingExecutionEnvironment(ProcessError):
    """A process names an environment that is not kept; it is never run in another one."""

    ref: str | None
    template = (
        "The execution environment {ref} is not kept here. Start the process again, or put that environment first."
    )


class UndeclaredEvent(ProcessError):
    """The event type was not declared at registration."""

    process_id: str
    event_type: str
    declared: Sequence[str]
    template = "Process {process_id!r} does not declare {event_type!r}; it declares: {declared}."


class PayloadSchemaMismatch(ProcessError):
    """A payload does not fit the schema of its type."""

    what: str
    path: str
    reason: str
    template = "{what} does not fit its schema at {path}: {reason}."


class WaitTypeDiffers(PayloadSchemaMismatch):
    """A payload does not fit the open wait, which another release opened with another type than the sender declares."""

    asked: str
    """The type of the wait, a JSON Schema."""
    declared: str
    """That of the sender."""
    template = (
        "{what} does not fit the wait that is open for it at {path}: {reason}. The wait asks for {asked}, and what"
        " sends it declares {declared}: they are of two releases. Send what the wait asks for, or send it once the"
        " process has gone on."
    )


class ReservedEvent(ProcessError):
    """A lifecycle event type is written by the runtime alone."""

    event_type: str
    template = (
        "{event_type!r} is written by Wakeline alone. Emit an event type of your own; a signal is sent with signal()."
    )


class ReplayConflict(ProcessError):
    """The replay key was used before with other content."""

    process_id: str
    replay_key: str
    template = (
        "Replay key {replay_key!r} of process {process_id!r} was used with other content. Use a new key for new"
        " content."
    )


class EffectRepeated(ReplayConflict):
    """Two effects of one run have the same key."""

    template = (
        "Effect key {replay_key!r} of process {process_id!r} was used before in this run. Give each effect a key of"
        " its own."
    )


class ReplayKeyRequired(ProcessError):
    """This event type needs a replay key."""

    event_type: str
    template = "{event_type!r} needs a replay key, so that a repeated send is recognised. Pass key=."


class SessionTurnUnsupported(ProcessError):
    """A turn of a session is asked for as a child; a session starts its turns itself."""

    session_id: str
    template = (
        "A turn of session {session_id!r} is no child: a session starts its own turns. Send it an input (`send`,"
        " `ask`), or wake it."
    )


class MailboxFull(ProcessError):
    """Too many signals wait for a process that does not take them."""

    process_id: str
    limit: int
    template = "Process {process_id!r} has {limit} signals it has not taken. Send again when it has taken some."


class NotExternal(ProcessError):
    """Only external processes are reported from outside."""

    process_id: str
    template = (
        "Process {process_id!r} is run by workers and cannot be reported from outside. Signal or cancel it instead."
    )


class TerminalOutcomeMismatch(ProcessError):
    """A terminal event's output does not agree with the state its type declares."""

    event_type: str
    declared: str
    given: str
    template = (
        "{event_type!r} ends a process as {declared}, but its output says {given}. Send the output of the declared"
        " state."
    )


class ExternalRefConflict(ProcessError):
    """The external reference is set already, to something else."""

    process_id: str
    existing: object
    given: object
    template = (
        "Process {process_id!r} already refers to {existing}; it cannot also refer to {given}. Start another process"
        " for it."
    )


class TransitionRefused(ProcessError):
    """An event cannot follow in the status the process is in, or is not the next one."""

    process_id: str
    status: str
    event: str
    template = (
        "Event {event} cannot follow in process {process_id!r}, which is {status}. Export the process and report this."
    )


class ProcessEnded(ProcessError):
    """A result was asked for, and the process ended without one."""


class ProcessFailed(ProcessEnded):
    """The process ended as failed."""

    process_id: str
    failure_class: str
    failure_code: str
    failure_message: str
    template = "Process {process_id!r} failed ({failure_class}/{failure_code}): {failure_message}"


class ProcessCancelled(ProcessEnded):
    """The process ended as cancelled."""

    process_id: str
    reason: str
    template = "Process {process_id!r} was cancelled: {reason}. Start a new one if it is still wanted."


class ProcessAbandoned(ProcessEnded):
    """The process was given up without an outcome; its effects may or may not have happened."""

    process_id: str
    evidence: object
    template = "Process {process_id!r} was abandoned ({evidence}). Check what it did outside before you `retry` it."


# Waits.


class WaitError(WakelineError):
    """A wait ended without a value."""


class WaitTimeout(WaitError):
    """Nothing came before the timeout."""

    what: str
    template = "Waiting for {what} timed out. Wait longer; in code, default= says what to go on with."


class WaitCancelled(WaitError):
    """The wait was cancelled with its process."""

    what: str
    template = "Waiting for {what} was cancelled. Let the body end."


class OperationCancelled(WaitError):
    """Something asked its cancellation token whether to go on, and it is not to."""

    reason: str
    template = "This was cancelled ({reason}). Stop, and leave what is left."


class SleepCancelled(WaitCancelled):
    """A durable sleep was cancelled with its process."""

    code = "runtime_effect_sleep_cancelled"
    template = "The {what} was cancelled with its process. Let the body end."


class SignalWaitTimeout(WaitTimeout):
    """No signal came before the timeout."""

    code = "process_signal_wait_timeout"
    template = "No {what} came before the timeout. Wait longer, or go on without it."


class SignalWaitCancelled(WaitCancelled):
    """The wait for a signal was cancelled with its process."""

    code = "process_signal_wait_cancelled"
    template = "The wait for {what} was cancelled with its process. Let the body end."


class AwaitEventUnknownOrRevoked(WaitError):
    """The key or token is forged, unknown, used up or revoked; which of these is not told."""

    template = "This await key or token is unknown or revoked. Ask its issuer for a new one."


class WaitFailed(WaitError):
    """The wait was resolved with an error."""

    what: str
    failure_code: str
    failure_message: str
    template = "Waiting for {what} ended with {failure_code}: {failure_message}"


# Runs: one worker's try at a process cannot go on.


class RunError(WakelineError):
    """The run of a process cannot go on."""


class LeaseLost(RunError):
    """Another run owns the process now, or it has ended."""

    process_id: str
    template = "This worker no longer runs process {process_id!r}; nothing was written. Stop the body."


class ReplayMismatch(RunError):
    """The body does something else than what its journal records: an effect with other content, or a new one while
    recorded ones are not asked for."""

    process_id: str
    name: str
    paths: Sequence[str]
    total: int
    unasked: Sequence[str] = ()
    """What the process did and the body does not ask for, in words; then ``name`` is what it asks for instead."""
    differences: Sequence[str] = ()
    """The places with what was recorded there, and what the body asks for."""
    template = (
        "Process {process_id!r} replays {name!r} with other content than recorded; {total} difference(s): {paths}. "
        "Restore the old code path, or guard the new one with ctx.patched()."
    )

    def _template(self) -> str:
        if not self.unasked:
            return self.template
        return (
            "Process {process_id!r} asks for {name}, which is new, and not for what it did before: {unasked}. "
            "Restore the old code path, guard the new one with ctx.patched(), or say what was renamed with was=."
        )


class ParkSwallowed(RunError):
    """A body caught the signal that parks it and went on."""

    process_id: str
    template = (
        "The body of {process_id!r} caught Parked and went on. Do not catch BaseException around waits; use ctx.defer."
    )


class JournalCorrupt(RunError):
    """A journal row cannot be read."""

    process_id: str
    replay_key: str
    template = (
        "The journal of {process_id!r} has a row {replay_key!r} that no release here reads. Deploy the one that wrote"
        " it, or cancel and `retry` it."
    )


# Tools: raised by users' tools, or because of them.


class ToolError(WakelineError):
    """A tool ended without a result."""


class NonRetryable(ToolError):
    """Raised by a tool: trying again cannot help."""

    message: str
    template = "{message}"

    def __init__(self, message: str) -> None:
        WakelineError.__init__(self, message=message)


class RetryAfter(ToolError):
    """Raised by a tool: try again after this delay (a duration)."""

    delay: timedelta | int | float | str
    retryable = True
    template = "Try again after {delay}."

    def __init__(self, delay: timedelta | int | float | str) -> None:
        WakelineError.__init__(self, delay=delay)


class ToolUnavailable(ToolError):
    """A call by name means no tool that may be called here."""

    tool: str
    known: Sequence[str]
    template = "Tool {tool!r} is unavailable here. Call one of: {known}."


class CompletionsUnavailable(ToolError):
    """The app has no client for direct completions."""

    reason: str
    template = "No completion can be asked for: {reason}. Give the app one with App.use_completions()."


class StepFailed(ToolError):
    """The function of a step raised; recorded, so that a replay raises the same. ``failure_code`` is the name of what
    it raised."""

    step: str
    failure_code: str
    failure_message: str
    template = "Step {step!r} failed ({failure_code}): {failure_message}"


class ToolFailed(ToolError):
    """A tool that was called ended as failed; `final` means that trying again cannot help."""

    tool: str
    failure_class: str
    failure_code: str
    failure_message: str
    final: bool = False
    retry_after_ms: int | None = None
    attempts: int = 1
    raw: Any = None
    """What the tool said of its failure besides, as JSON data."""
    template = "Tool {tool!r} failed ({failure_class}/{failure_code}): {failure_message}"


# Attachments.


class AttachmentError(WakelineError):
    """Bytes that are kept outside of payloads cannot be had or kept."""


class AttachmentNotFound(AttachmentError):
    """Nobody keeps it, or not whoever asks: one answer for both, so that ids tell nothing."""

    attachment_id: str
    owner: str
    template = (
        "{owner} has no attachment {attachment_id}. Put it, or have it passed on by a process or session that owns it."
    )


class AttachmentBackendMissing(AttachmentError):
    """It lies in a backend that this app does not have."""

    backend: str
    known: Sequence[str]
    template = (
        "The bytes lie in backend {backend!r} and this app has {known}. Give it that one too: App(attachments=…, or"
        " WAKELINE_ATTACHMENTS)."
    )


class AttachmentCorrupt(AttachmentError):
    """What its backend has under its location are other bytes, or none."""

    attachment_id: str
    backend: str
    template = (
        "Backend {backend!r} no longer has the bytes of {attachment_id}. Restore them there, or put the attachment"
        " again."
    )


class SweepRefused(AttachmentError):
    """A sweep of a backend would remove everything in it."""

    backend: str
    found: int
    template = (
        "Nothing in this namespace refers to any of the {found} blobs of backend {backend!r}: it is the wrong"
        " namespace, or its keys are lost. Nothing was removed; say that you mean it to remove them all."
    )


# Sessions.


class SessionError(WakelineError):
    """Something about one session stands in the way."""


class UnknownAgent(SessionError):
    """No agent of this app has the session's kind."""

    agent: str
    template = "There is no agent {agent!r} in this app. Declare it with @app.agent, or include its module."


class SessionNotFound(SessionError):
    """No session has this id."""

    session_id: str
    template = "There is no session {session_id!r}. Check its key and the namespace; what is sent to it creates it."


class SessionDeleted(SessionNotFound):
    """The session was deleted; its id is used up."""

    deleted_at_ms: int
    template = (
        "Session {session_id!r} was deleted at {deleted_at_ms}, and its id is never used again. Take another key."
    )


class SessionNotVisible(SessionError):
    """The caller does not work for the session, so it may not use its history."""

    session_id: str
    process_id: str
    template = (
        "The history of session {session_id!r} is not visible to process {process_id!r}, which does not work for that"
        " session. Ask the session (ctx.ask), or start the process in one of its turns or with using(wake=<the"
        " session>)."
    )


class EntryNotFound(SessionError):
    """No entry of the inbox has this number, or it is not kept any more."""

    session_id: str
    entry: int
    template = "Session {session_id!r} has no entry {entry}, or keeps it no longer. Its wakes() lists what it keeps."


class RedriveRefused(SessionError):
    """The entry is in no state from which it could be offered again, or skipped."""

    session_id: str
    entry: int
    state: str
    template = (
        "Entry {entry} of session {session_id!r} is {state}. Redrive what is failed, undeliverable or blocked; skip"
        " what is blocked."
    )


class NothingBlocks(RedriveRefused):
    """A session was to be redriven or to skip without the number of an entry, and no entry blocks it."""

    entry: int = 0
    template = (
        "No entry blocks session {session_id!r}: it is {state}. `wakeline wakes` names its entries; redrive one by its"
        " number."
    )


class FrameLimitExceeded(SessionError):
    """Turns of a session followed on each other, from frame to frame, without anything having arrived."""

    session_id: str
    limit: int
    template = "Turns of session {session_id!r} switched frames {limit} times in a row. End one without a switch."


class OutputMismatch(SessionError):
    """A turn answered with something else than was asked for."""

    session_id: str
    reason: str
    template = (
        "Session {session_id!r} answered with another output than was asked for: {reason}. Ask for what its agent"
        " returns."
    )


class HeadConflict(SessionError):
    """The session's head moved since it was read."""

    session_id: str
    expected: int
    found: int
    retryable = True
    template = "Session {session_id!r} is at revision {found}, not {expected}. Read it again and repeat."


class UnknownError(WakelineError):
    """A recorded error of a class this program does not have; it keeps the code and message it was recorded with."""

    original_code: str
    original_message: str
    template = "{original_code}: {original_message}"


def from_json(data: Mapping[str, Any]) -> WakelineError:
    """The error that `to_json` described: the same class with the same message, else an `UnknownError`.

    Fields that only a later release has are left out: a body that caught the error would take another branch otherwise.
    One that is missing has its default;
    without one, nothing is guessed.
    """
    code, message, given = str(data.get("code", "unknown")), data.get("message"), data.get("fields")
    kind = _by_code(WakelineError).get(code)
    if kind is not None:
        try:
            recorded: dict[str, Any] = dict(given or {})
            error = kind.recorded(recorded)
        except (TypeError, ValueError, KeyError):
            # Recorded by another release, which called its fields otherwise.
            pass
        else:
            if isinstance(message, str):
                error.message, error.args = message, (message,)
            return error
    return UnknownError(original_code=code, original_message=str(message or ""))


def _by_code(root: type[WakelineError]) -> dict[str, type[WakelineError]]:
    found = {root.code: root}
    for kind in root.__subclasses__():
        found |= _by_code(kind)
    return found


class ForeignCursor(SessionError):
    """A cursor of another session, of none, or from the future."""

    cursor: str
    template = (
        "{cursor!r} is no cursor of this session. Follow it without a cursor, or from one that an item of it had."
    )


class StaleBranch(SessionError):
    """The history went on since its writer read it."""

    session_id: str
    ancestor: int
    found: int
    template = (
        "The history of {session_id!r} is at revision {found}, not {ancestor}. Read what was added and append anew."
    )


class TriggerError(WakelineError):
    """A trigger, or a subscription to it, refuses."""


class OccurrenceConflict(TriggerError):
    """The key was used for an occurrence with another payload."""

    source: str
    key: str
    template = (
        "Key {key!r} of {source!r} was used for an occurrence with another payload. Emit it under a key of its own."
    )


class SubscriptionNotFound(TriggerError):
    """No such subscription, or it is another owner's."""

    source: str
    subscription: str
    template = (
        "Source {source!r} has no subscription {subscription!r} of this owner. `wakeline triggers` shows what there is."
    )


class SubscriptionChanged(TriggerError):
    """The subscription has another revision than the caller read."""

    subscription: str
    expected: int
    found: int
    template = (
        "Subscription {subscription!r} has revision {found}, not {expected}: somebody changed it. Read it again and"
        " decide anew."
    )


class SubscriptionLimit(TriggerError):
    """The source has as many subscriptions as one occurrence may reach."""

    source: str
    limit: int
    template = (
        "Source {source!r} has {limit} subscriptions, which is the most one may have. Remove some, or split the source."
    )


class ControlFlow(BaseException):
    """A run is to be left without an outcome; never caught by `except Exception`."""


class Parked(ControlFlow):
    """The process waits; the run gave it back and will be replayed."""


class Stopped(ControlFlow):
    """The run was handed back or lost."""
