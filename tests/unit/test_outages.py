"""What a server answers that takes no writes for now, in each form in which redis-py raises it: one error, which
workers wait for."""

from __future__ import annotations

import pytest
from redis import exceptions as rex
from wakeline.errors import RedisUnavailable, ScriptFailed, StoreOutOfMemory, WakelineError, WritesRefused
from wakeline.store.connection import is_away, translate

ANSWERS: list[tuple[Exception, type[WakelineError]]] = [
    (
        rex.ResponseError("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."),
        WritesRefused,
    ),
    (rex.BusyLoadingError("Redis is loading the dataset in memory"), WritesRefused),
    (rex.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), WritesRefused),
    (
        rex.ResponseError(
            "Command # 2 (HSET rq:worker:o_1 name o_1) of pipeline caused error: MISCONF Redis is configured to "
            "save RDB snapshots"
        ),
        WritesRefused,
    ),
    (rex.ResponseError("NOREPLICAS Not enough good replicas to write. script: on @user_script:1."), WritesRefused),
    (
        rex.ResponseError(
            "Error running script (call to f_1): @user_script:9: -READONLY You can't write against a read only replica."
        ),
        WritesRefused,
    ),
    (rex.ResponseError("You can't write against a read only replica. script: on @user_script:1."), WritesRefused),
    (rex.ReadOnlyError("You can't write against a read only replica."), WritesRefused),
    (rex.MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."), WritesRefused),
    (rex.ClusterDownError("CLUSTERDOWN Hash slot not served"), WritesRefused),
    (rex.ResponseError("CLUSTERDOWN The cluster is down"), WritesRefused),
    (rex.TryAgainError("Multiple keys request during rehashing of slot"), WritesRefused),
    (
        rex.ResponseError(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
        ),
        WritesRefused,
    ),
    (rex.ResponseError("ERR max number of clients + cluster connections reached"), WritesRefused),
    (rex.ConnectionError("max number of clients reached"), RedisUnavailable),
    (rex.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), StoreOutOfMemory),
    (
        rex.ResponseError("OOM command not allowed when used memory > 'maxmemory'. script: on @user_script:1."),
        StoreOutOfMemory,
    ),
]


@pytest.mark.parametrize(("answer", "told"), ANSWERS, ids=[str(answer)[:40] for answer, _ in ANSWERS])
def test_a_server_that_takes_no_writes_now_is_waited_for_and_told_as_retryable(
    answer: Exception, told: type[WakelineError]
) -> None:
    error = translate("process_finish", answer)
    assert type(error) is told
    assert error.retryable
    assert is_away("process_finish", answer)


@pytest.mark.parametrize(
    "text",
    ["BUSYKEY Target key name already exists.", "BUSYGROUP Consumer Group name already exists", "WRONGTYPE Operation"],
)
def test_another_refusal_is_nothing_to_wait_for(text: str) -> None:
    answer = rex.ResponseError(text)
    assert type(translate("tick", answer)) is ScriptFailed
    assert not is_away("tick", answer)


@pytest.mark.parametrize(
    ("answer", "begins"),
    [
        (rex.BusyLoadingError("Redis is loading the dataset in memory"), "Redis serves neither reads nor writes now: "),
        (rex.ResponseError("BUSY Redis is busy running a script."), "Redis serves neither reads nor writes now: "),
        (rex.ClusterDownError("CLUSTERDOWN Hash slot not served"), "Redis serves neither reads nor writes now: "),
        (
            rex.MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
            "Redis serves neither reads nor writes now: ",
        ),
        (rex.ResponseError("MISCONF Errors writing to the AOF file: full"), "Redis takes no writes now: "),
        (rex.ReadOnlyError("You can't write against a read only replica."), "Redis takes no writes now: "),
        (rex.ResponseError("NOREPLICAS Not enough good replicas to write."), "Redis takes no writes now: "),
    ],
    ids=str,
)
def test_what_refuses_reads_too_is_told_so(answer: Exception, begins: str) -> None:
    for call in ("process_read", "process_finish"):
        error = translate(call, answer)
        assert str(error).startswith(begins)
        assert error.code == "writes_refused"
