"""Every error of Wakeline: one tree, a stable code each, a message built from its fields that says what to do.

    WakelineError
    ├── ConfigurationError
    │   ├── SettingsInvalid        ├── RedisNotConfigured      ├── EvictionPolicyRefused   ├── ServerTooOld
    │   ├── BodyInvalid            ├── AppNotFound             ├── UnknownName             ├── DuplicateName
    │   ├── WrongVerb              ├── KeyFormatTooNew         ├── InvalidSchedule         ├── AgentConflict
    │   ├── ServerStartFailed      ├── IsolationUnavailable    ├── SecretRefused           ├── RotationOverlaps
    │   ├── ForeignDoorbell        ├── InstrumentNotFound      ├── ExtraMissing            └── AccessUndecided
    ├── StoreError
    │   ├── RedisUnavailable: WritesRefused                    ├── RedisRefused: RedisUrlInvalid ├── TlsFailed
    │   └── StoreOutOfMemory       └── ScriptFailed            └── AttachmentStoreFailed
    ├── InputError
    │   ├── InvalidId              ├── InvalidArguments        ├── InvalidPayload          ├── PayloadTooLarge
    │   ├── InvalidDuration        ├── InvalidSelector         ├── SelectorMiss            ├── RegistrationInvalid
    │   ├── InvalidHandle          ├── InvalidToken            ├── AmbiguousId             ├── MissingExecutionScopeId
    │   ├── InvalidWaitIdentity    ├── InvalidEnvironment      ├── InvalidAttachment       ├── FileUnusable
    │   └── InvalidMoment
    ├── ProcessError
    │   ├── ProcessNotFound        ├── ProcessNoLongerRetained ├── ProcessConflict         ├── ProcessAlreadyTerminal
    │   ├── ProcessNotVisible      ├── UndeclaredEvent         ├── PayloadSchemaMismatch: WaitTypeDiffers
    │   ├── ReplayConflict: EffectRepeated                     ├── ReplayKeyRequired       ├── MailboxFull
    │   ├── ReservedEvent          ├── NotExternal
    │   ├── TerminalOutcomeMismatch ├── ExternalRefConflict    ├── TransitionRefused
    │   ├── ProcessExecutionUnavailable                        ├── ProcessEventContextMismatch
    │   ├── MissingExecutionEnvironment                        ├── ProcessNotEnded         ├── ProcessNotRetryable
    │   ├── AlreadyRunning         ├── SessionTurnUnsupported  ├── RegistrationUnreadable  ├── EventNotFound
    │   ├── CountMoved
    │   └── ProcessEnded: ProcessFailed, ProcessCancelled, ProcessAbandoned
    ├── WaitError
    │   ├── WaitTimeout: SignalWaitTimeout                     ├── WaitCancelled: SleepCancelled, SignalWaitCancelled
    │   ├── AwaitEventUnknownOrRevoked                         ├── WaitFailed              ├── TokenUsed
    │   ├── ApprovalNotOpen: ApprovalAnswered                  └── OperationCancelled
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
    ├── WebError
    │   ├── RequestUnreadable      ├── RequestTooLarge         ├── MediaTypeRefused        ├── HostRefused
    │   ├── OriginRefused          ├── Unauthenticated         ├── RoleTooLow
    │   └── RouteNotFound          └── MethodRefused
    ├── UnknownError
    └── SessionError
        ├── UnknownAgent           ├── HeadConflict            ├── EntryNotFound           ├── StaleBranch
        ├── RedriveRefused: NothingBlocks                      ├── OutputMismatch          ├── ForeignCursor
        ├── FrameLimitExceeded
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
"""The endings of names of fields that are times of day."""
LONGEST_PART = 4_096
"""How many characters of a message one field may take. The field itself is kept whole."""

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
        """The error with recorded fields. Fields that it does not have are left out. Raises `TypeError` where one is
        missing."""
        return _rebuild(cls, {name: fields[name] for name in cls._declared if name in fields})

    def changed(self, **fields: object) -> WakelineError:
        """The same error with some fields changed."""
        return _rebuild(type(self), self.fields | fields)

    def to_json(self) -> dict[str, object]:
        """The error as a JSON object: code, message, retryable, fields; values that are not JSON become text."""
        fields = {name: _plain(value) for name, value in self.fields.items()}
        return {"code": self.code, "message": self.message, "retryable": self.retryable, "fields": fields}


def _rebuild(cls: type[WakelineError], fields: dict[str, object]) -> WakelineError:
    error = cls.__new__(cls)
    WakelineError.__init__(error, **fields)
    return error


def _short(value: object) -> object:
    """A value that was refused. It is shown and not kept, so the beginning of a long one is enough."""
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        shown = value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "…"
        return shown.encode("utf-8", "backslashreplace").decode()
    return value


def _shown(name: str, value: object) -> object:
    if name.endswith(MOMENTS) and isinstance(value, int):
        from wakeline.shown import moment  # loaded when it is needed: it takes time

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


# Configuration: code, an argument or the environment has to be changed.


class ConfigurationError(WakelineError):
    """The app, its settings or a body is set up in a way that cannot work."""


class SettingsInvalid(ConfigurationError):
    """A setting has a value that is not usable."""

    name: str
    value: object
    reason: str
    template = "Setting {name} cannot be {value!r}: {reason}. Change it and start again."


class RedisNotConfigured(ConfigurationError):
    """The work needs a shared Redis, and no URL is set."""

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
    """The server lacks commands that scripts use. A script would stop half-way at the first of them."""

    product: str
    found: str
    needed: str
    template = (
        "The server is {product} {found}; Wakeline needs {product} {needed} or newer. Upgrade it, or set REDIS_URL to"
        " a newer one."
    )


class KeyFormatTooNew(ConfigurationError):
    """A later release wrote the namespace, and this one would misread its keys."""

    namespace: str
    found: str
    known: str
    template = (
        "Namespace {namespace!r} has keys of format {found}, and this release knows {known}. "
        "Deploy the release that wrote them or a later one, or use another namespace."
    )


REPEATED = "be done again by every replay"
NOT_DURABLE = "run without a process"


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


class InstrumentNotFound(ConfigurationError):
    """No instrument was found where ``WAKELINE_INSTRUMENT`` points, so the worker does not start."""

    target: str
    reason: str
    advice: str
    template = "No instrument at {target!r}: {reason}. {advice}."


class IsolationUnavailable(ConfigurationError):
    """A tool runs in its own process, and a worker has no such process that is ready for it. Nothing of the call ran.
    The tool stays queued and is tried again, there or by a worker that can run it."""

    tool: str
    reason: str
    template = "Tool {tool!r} runs in its own process, and {reason}."


class UnknownName(ConfigurationError):
    """This app has no tool, engine or agent of this name."""

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


class ExtraMissing(ConfigurationError, ImportError):
    """The request needs packages that come only with an extra. It is an `ImportError`, too."""

    what: str
    extra: str
    instead: str
    template = "{what} needs packages that are not installed. Run: pip install 'wakeline[{extra}]'. Or {instead}."


class AccessUndecided(ConfigurationError):
    """A web face would be open to all who can reach it, and nothing says that it may be."""

    where: str
    ways: Sequence[str]
    template = "The web face of {where} has no way to tell who may use it. Give it one: {ways}."


class SecretRefused(ConfigurationError):
    """The secret of a namespace is not the one that was made for it. With such a secret, outsiders could make
    tokens."""

    namespace: str
    reason: str
    template = (
        "The secret of namespace {namespace!r} is refused: {reason}. Restore it from a backup, or make a new one with"
        " `wakeline secret rotate`; tokens that were given out before are then void."
    )


class RotationOverlaps(ConfigurationError):
    """A secret was rotated again while the one before the current one is still good."""

    namespace: str
    until_ms: int
    template = (
        "The secret before the current one of namespace {namespace!r} is still good until {until_ms}. "
        "Rotate after that time, or use --keep 0s, which makes all earlier tokens void."
    )


class AgentConflict(ConfigurationError):
    """Two apps in one namespace have an agent of the same name. Either one could serve a session of it."""

    agent: str
    app: str
    other: str
    template = (
        "Workers of app {other!r} run agent {agent!r} in this namespace too, besides app {app!r}. Give one of the two"
        " agents another name, or give each app its own namespace."
    )


class ForeignDoorbell(ConfigurationError):
    """A stock worker took the doorbell of another app's process."""

    namespace: str
    other: str
    template = (
        "This worker runs the app of namespace {namespace!r}, and the job is a doorbell of namespace {other!r}. Set "
        "WAKELINE_APP to that app, or let this worker listen to its own queues. The process stays queued, and its "
        "doorbell is rung again."
    )


class InvalidSchedule(ConfigurationError):
    """A cron expression, its time zone or its policy is invalid."""

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


_SERVES_NOTHING = (
    r"\bloading\b|\bbusy\b|clusterdown|cluster is down|slot not served|with master is down|unblocked|number of clients"
)
"""What a server says that refuses reads, too."""


class WritesRefused(RedisUnavailable):
    """Redis answers and takes no writes now: a full disk, a replica, too few replicas, a long script, a cluster that is
    down. The call may be sent again. The message of a server that answers no reads either, as one that loads its data,
    says that."""

    template = "Redis takes no writes now: {reason}. `wakeline doctor` says why; the call may be repeated."

    def _template(self) -> str:
        serves_nothing = re.search(_SERVES_NOTHING, str(self.fields["reason"]), re.IGNORECASE)
        return (
            self.template.replace("takes no writes", "serves neither reads nor writes")
            if serves_nothing
            else self.template
        )


class RedisRefused(StoreError):
    """Redis answered and said no: credentials, ACL or a wrong URL."""

    reason: str
    template = "Redis refused the connection or command: {reason}. Check user, password, ACL and the URL."


class RedisUrlInvalid(RedisRefused):
    """The URL of Redis is invalid, so no server was contacted."""

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
    """A backend of attachments failed."""

    retryable = True
    backend: str
    reason: str
    template = (
        "The attachment backend {backend!r} failed: {reason}. No reference was made to bytes that it did not keep; "
        "try again."
    )


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


class FileUnusable(InputError):
    """A file that a command was given cannot be read or written."""

    path: str
    reason: str
    template = (
        "{path} cannot be used: {reason}. Name a file in a folder that exists, on a disk with room, with the rights of"
        " this user."
    )


class AmbiguousId(InputError):
    """Several processes have an id with this beginning."""

    prefix: str
    candidates: Sequence[str]
    template = "Several processes begin with {prefix!r}: {candidates}. Give more characters of the id."


class InvalidArguments(InputError):
    """Arguments do not fit the signature of a tool, engine or agent."""

    name: str
    reason: str
    template = "The arguments do not fit {name}: {reason}."


class InvalidPayload(InputError):
    """A value cannot be written as JSON, or a text is not JSON."""

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


class InvalidMoment(InputError):
    """A moment is no datetime, or does not say its time zone."""

    value: object
    template = (
        "{value!r} is not a moment. Use a datetime with a time zone, such as datetime(2030, 1, 31, 9, tzinfo=UTC), or"
        " on the command line a text such as 2030-01-31T09:00+01:00 or 2030-01-31T08:00Z."
    )


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
    """An execution environment is invalid."""

    reason: str
    template = "The execution environment is unusable: {reason}. Give plugin_options and policy only."


class InvalidAttachment(InputError):
    """The bytes, the media type or the id of an attachment are invalid."""

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
        "Process {process_id!r} ended as {status} and was pruned at {pruned_at_ms}. A larger retention keeps results "
        "longer."
    )


class EventNotFound(ProcessError):
    """The log of the process has no event of this number."""

    process_id: str
    sequence: int
    status: str
    latest: int
    template = (
        "Process {process_id!r} has no event {sequence}; it is {status}, and its latest is {latest}. `wakeline events`"
        " lists them."
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
    """The process has not ended. Only an ended process is retried; its worker makes further attempts of a running
    one."""

    process_id: str
    status: str
    template = (
        "Process {process_id!r} is {status}; only one that has ended is retried. Wait for its end, or cancel it first."
    )


class RegistrationUnreadable(ProcessError):
    """A later release or a foreign program registered the process, in a form that this release cannot read
    completely."""

    process_id: str
    reason: str
    template = (
        "Process {process_id!r} is registered in a way that this release cannot read: {reason}. Use the release that"
        " started it, or a later one."
    )


class ProcessNotRetryable(ProcessError):
    """The process is no tool and no engine, so it cannot be retried."""

    process_id: str
    kind: str
    instead: str
    template = "Process {process_id!r} is {kind}, which is not retried. Instead, {instead}."


class ProcessNotVisible(ProcessError):
    """The caller holds no handle of the process."""

    process_id: str
    template = "Process {process_id!r} is not visible here. Get a handle granted, or start it from here."


class ProcessExecutionUnavailable(ProcessError):
    """A verb of a running process was used outside of one, or through a context that was kept after its run."""

    verb: str
    template = (
        "{verb} needs a running process, and there is none here. In a body use its own ctx, which serves that run"
        " alone; outside of one use app.handle(id) and app.start."
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


class CountMoved(ProcessError):
    """More match than were confirmed, so a verb for many did nothing."""

    verb: str
    confirmed: int
    found: int
    template = (
        "{verb} did nothing: {found} match by now, and {confirmed} were confirmed. Look at what came, and confirm"
        " {found}, or narrow the filter."
    )


class MissingExecutionEnvironment(ProcessError):
    """A process names an environment that is not kept. It never runs in another one."""

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
    """A payload does not fit the open wait. Another release opened the wait, with another type than the sender
    declares."""

    asked: str
    """The type of the wait, a JSON Schema."""
    declared: str
    """The type that the sender declares, a JSON Schema."""
    template = (
        "{what} does not fit its open wait at {path}: {reason}. The wait asks for {asked}, and the sender declares "
        "{declared}; they are of two releases. Send what the wait asks for, or send it once the"
        " process has gone on."
    )


class ReservedEvent(ProcessError):
    """Only the runtime writes this event type."""

    event_type: str
    template = (
        "Only Wakeline writes {event_type!r}, as all its process.* events and signal.<name>. Emit an event type of your"
        " own; send a signal with signal()."
    )


class ReplayConflict(ProcessError):
    """The replay key was used before with other content. For an entry of a session ``session_id`` is that session, and
    ``process_id`` the same."""

    process_id: str
    replay_key: str
    session_id: str | None = None
    template = (
        "Replay key {replay_key!r} of process {process_id!r} was used with other content. Use a new key for new"
        " content."
    )

    def _template(self) -> str:
        if self.session_id is None:
            return self.template
        return "Key {replay_key!r} was used for another entry of session {session_id!r}. Use a new key for new content."


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
    """A turn of a session was started as a child. Only the session itself starts its turns."""

    session_id: str
    template = (
        "A turn of session {session_id!r} cannot be started as a child. Send the session an input (`send`, `ask`), or"
        " wake it."
    )


class MailboxFull(ProcessError):
    """Too many signals wait for a process that does not take them."""

    process_id: str
    limit: int
    template = "Process {process_id!r} has {limit} signals it has not taken. Send again when it has taken some."


class NotExternal(ProcessError):
    """Only external processes are reported from outside."""

    process_id: str
    template = "Workers run process {process_id!r}, so it cannot be reported from outside. Signal or cancel it instead."


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
    """An event cannot follow in the current status of the process, or is not the next one."""

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
    """Code asked its cancellation token whether to go on, and it is cancelled."""

    reason: str
    template = "This was cancelled ({reason}). Stop here."


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


class ApprovalNotOpen(WaitError):
    """The approval cannot be answered, or is not known."""

    approval: str
    template = (
        "Approval {approval!r} cannot be answered: it was answered or withdrawn, its time is over, or its process has"
        " ended. `wakeline approvals` and app.approvals() list those that can be."
    )


class ApprovalAnswered(ApprovalNotOpen):
    """The approval was answered before; the first answer stands."""

    approval: str
    answered_at_ms: int | None
    """When; None where it is not known."""
    template = "Approval {approval!r} was answered before, at {answered_at_ms}, and the first answer stands."

    def _template(self) -> str:
        return self.template if self.answered_at_ms is not None else self.template.replace(", at {answered_at_ms}", "")


class TokenUsed(WaitError):
    """The token was used before; the first answer stands."""

    template = "This token was answered before, and the first answer stands."


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
    """The body does something else than its journal records: an effect with other content, or a new effect while it has
    not asked for recorded ones."""

    process_id: str
    name: str
    paths: Sequence[str]
    total: int
    unasked: Sequence[str] = ()
    """In words, what the process did and the body does not ask for. If it is given, ``name`` is what the body asks for
    instead."""
    differences: Sequence[str] = ()
    """Each place, with what was recorded there and what the body asks for."""
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
    """The function of a step raised. This is recorded, so that a replay raises the same. ``failure_code`` is the class
    name of what it raised."""

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
    """Further data of the tool about its failure, as JSON data."""
    template = "Tool {tool!r} failed ({failure_class}/{failure_code}): {failure_message}"


# Attachments.


class AttachmentError(WakelineError):
    """Bytes of an attachment cannot be read or kept."""


class AttachmentNotFound(AttachmentError):
    """The attachment is not kept, or the reader does not own it. Both have one answer, so that an id tells nothing."""

    attachment_id: str
    owner: str
    template = "{owner} has no attachment {attachment_id}. Put it, or let a process or session that owns it pass it on."


class AttachmentBackendMissing(AttachmentError):
    """The attachment lies in a backend that this app does not have."""

    backend: str
    known: Sequence[str]
    template = (
        "The bytes lie in backend {backend!r}, and this app has {known}. Give the app that backend too: "
        "App(attachments=…), or WAKELINE_ATTACHMENTS."
    )


class AttachmentCorrupt(AttachmentError):
    """The backend has other bytes under the location of the attachment, or none."""

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
        " namespace, or its keys are lost. Nothing was removed. `wakeline attachments sweep --all-strays`"
        " removes them all."
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
    template = "There is no session {session_id!r}. Check its key and the namespace; the first input creates it."


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
    """The inbox has no entry of this number, or no longer keeps it."""

    session_id: str
    entry: int
    template = (
        "Session {session_id!r} has no entry {entry}, or no longer keeps it. Its wakes() lists the entries that it "
        "keeps."
    )


class RedriveRefused(SessionError):
    """In its state the entry can be neither offered again nor skipped."""

    session_id: str
    entry: int
    state: str
    template = (
        "Entry {entry} of session {session_id!r} is {state}. Redrive an entry that is failed, undeliverable or "
        "blocked; skip one that is blocked."
    )


class NothingBlocks(RedriveRefused):
    """A redrive or a skip named no entry, and no entry blocks the session."""

    entry: int = 0
    template = (
        "No entry blocks session {session_id!r}: it is {state}. `wakeline wakes` names its entries; redrive one by its"
        " number."
    )


class FrameLimitExceeded(SessionError):
    """Too many turns of a session followed each other from frame to frame, and no entry arrived in between."""

    session_id: str
    limit: int
    template = "Turns of session {session_id!r} switched frames {limit} times in a row. End one without a switch."


class OutputMismatch(SessionError):
    """A turn answered with an output of another type than was asked for."""

    session_id: str
    reason: str
    template = (
        "Session {session_id!r} answered with an output of another type: {reason}. Ask for the type that its agent "
        "returns."
    )


class HeadConflict(SessionError):
    """The session's head moved since it was read."""

    session_id: str
    expected: int
    found: int
    retryable = True
    template = "Session {session_id!r} is at revision {found}, not {expected}. Read it again and repeat."


# The web face: a request was refused before any verb was asked.


class WebError(WakelineError):
    """A request over HTTP was refused before anything was done."""


class RequestUnreadable(WebError):
    """A request over HTTP is not what HTTP or JSON allow."""

    reason: str
    template = "The request cannot be read: {reason}."


class RequestTooLarge(WebError):
    """The body of a request is over the limit, in bytes."""

    limit: int
    template = "The body has over {limit} bytes, which is the limit. Store it as an attachment, and send a reference."


class MediaTypeRefused(WebError):
    """The body of a request has a media type that is not taken."""

    given: str
    takes: str
    template = "A body of type {given!r} is not taken here. Send {takes}, and name it in Content-Type."


class HostRefused(WebError):
    """A request names a host by which this server is not known: a page of another site may have led a browser here."""

    host: str
    template = "This server is not known as {host!r}. Name the host in WAKELINE_WEB_HOSTS, or as `hosts` of asgi()."


class OriginRefused(WebError):
    """A page of another site sent a request that changes something."""

    origin: str
    template = "A page of another site ({origin}) asks for a change. Open the page of this server, and ask there."


class Unauthenticated(WebError):
    """A request does not say who sends it, or not in a way that is good here."""

    template = "It is not known who asks. Send credentials that are good for this server."


class RoleTooLow(WebError):
    """Who asks may not do this."""

    name: str
    role: str
    needed: str
    template = "{name!r} has the role {role}, and this needs {needed}. Ask someone who has it, or to be given it."


class RouteNotFound(WebError):
    """The web face has nothing at this path."""

    path: str
    template = "There is nothing at {path!r}. /v1/openapi.json lists the routes; an id in a path is percent-encoded."


class MethodRefused(WebError):
    """The web face has other methods at this path."""

    method: str
    allowed: Sequence[str]
    template = "{method} is not possible here; what is: {allowed}."


class UnknownError(WakelineError):
    """A recorded error of a class that this program does not have. It keeps its recorded code and message."""

    original_code: str
    original_message: str
    template = "{original_code}: {original_message}"


def from_json(data: Mapping[str, Any]) -> WakelineError:
    """The error that `to_json` described, of the same class and with the same message; an `UnknownError` if that is not
    possible. Fields that only a later release has are left out: otherwise a body that caught the error would take
    another branch. A missing field has its default; a missing field without one gives an `UnknownError`.
    """
    code, message, given = str(data.get("code", "unknown")), data.get("message"), data.get("fields")
    kind = _by_code(WakelineError).get(code)
    if kind is not None:
        try:
            recorded: dict[str, Any] = dict(given or {})
            error = kind.recorded(recorded)
        except (TypeError, ValueError, KeyError):
            # Another release recorded it, with other names of fields.
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
    """The cursor is of another session, is no cursor, or is from the future."""

    cursor: str
    template = (
        "{cursor!r} is no cursor of this session. Follow it without a cursor, or from the cursor of one of its items."
    )


class StaleBranch(SessionError):
    """The history went on since its writer read it."""

    session_id: str
    ancestor: int
    found: int
    template = (
        "The history of {session_id!r} is at revision {found}, not {ancestor}. Read what was added, and append again."
    )


class TriggerError(WakelineError):
    """A trigger, or a subscription to it, refuses the request."""


class OccurrenceConflict(TriggerError):
    """The key was used for an occurrence with another payload."""

    source: str
    key: str
    template = (
        "Key {key!r} of {source!r} was used for an occurrence with another payload. Emit this one under another key."
    )


class SubscriptionNotFound(TriggerError):
    """There is no such subscription, or it has another owner."""

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
        "Subscription {subscription!r} has revision {found}, not {expected}: it was changed meanwhile. Read it again,"
        " and decide again."
    )


class SubscriptionLimit(TriggerError):
    """The source already has as many subscriptions as one occurrence may reach."""

    source: str
    limit: int
    template = (
        "Source {source!r} has {limit} subscriptions, which is the most one may have. Remove some, or split the source."
    )


class ControlFlow(BaseException):
    """Leaves a run without an outcome; `except Exception` does not catch it."""


class Parked(ControlFlow):
    """The process waits; the run gave it back and will be replayed."""


class Stopped(ControlFlow):
    """The run was handed back or lost."""
