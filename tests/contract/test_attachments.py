"""Attachments in the store: intent before bytes, owners, mark and sweep; every backend behind one contract, faults and
crashes in between included."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import AsyncCtx, Ctx
from wakeline.attachments.attachment import Attachment, attachment_of, references_in
from wakeline.attachments.backend import BlobBackend, Blobs, StoredBlob, new_location
from wakeline.attachments.directory import DirectoryBlobs
from wakeline.attachments.s3 import S3Blobs
from wakeline.errors import (
    AttachmentBackendMissing,
    AttachmentCorrupt,
    AttachmentNotFound,
    AttachmentStoreFailed,
    InvalidAttachment,
    SweepRefused,
)
from wakeline.store import attachments, ends, sessions
from wakeline.store.attachments import STRAY_MS, SweepReport
from wakeline.store.blobs import RedisBlobs
from wakeline.store.calls import Outside

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

DATA = b"\x89PNG \x00\xff bytes"
ID = "sha256:0eb4e6187abf26bf5c3a1c2b8d6d0d6b66eb31ed39c1ea1eaadf2bbd2fa0bd52"
HOUR = "1h"
Made = Callable[["World"], BlobBackend]


@pytest.fixture(scope="session")
def bucket() -> Iterator[Any]:
    """A bucket of a local server that speaks S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="bytes")
    yield client
    served.stop()


@pytest.fixture(params=["redis", "dir", "s3"])
def blobs(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Blobs:
    """Each backend in turn as the chosen one of an app."""
    own = RedisBlobs(world.backend, world.store.address.prefix)
    match request.param:
        case "redis":
            return Blobs.of(world.namespace, own)
        case "dir":
            return Blobs.of(world.namespace, DirectoryBlobs(tmp_path / "blobs"), own)
        case _:
            return Blobs.of(
                world.namespace,
                S3Blobs("bytes", prefix=f"{world.namespace}/", client=request.getfixturevalue("bucket")),
                own,
            )


def put(world: World, blobs: Blobs, data: bytes = DATA, owner: str = "host") -> Attachment:
    made: Attachment = world.go(attachments.put(blobs, data, "image/png", owner))
    return made


def kept(blobs: Blobs) -> int:
    return len(list(blobs.chosen.list()))


def known(world: World) -> set[str]:
    """The families of attachments that have keys in the namespace."""
    prefix = world.store.address.prefix
    found = {key.removeprefix(prefix).partition(":")[0] for key in world.store.client.scan_iter(match=prefix + "*")}
    return found & {"att", "atts", "attachments", "uploads", "condemned", "bytes"}


# -- one contract of all backends


def test_what_is_put_is_read_back_under_the_hash_of_its_bytes(world: World, blobs: Blobs) -> None:
    made = put(world, blobs)
    assert made.id == "sha256:9070ef8916772f441e4fc97d4c107b8170e3d94062b15c06799d0bc04e3cda51"
    assert (made.media_type, made.size) == ("image/png", 13)
    assert world.go(attachments.get(blobs, made.id, ["host"])) == DATA
    assert world.do(attachments.read(made.id, ["host"])).attachment == made
    assert world.do(attachments.owned("host", limit=10)) == [made]


def test_the_same_bytes_are_uploaded_once(world: World, blobs: Blobs) -> None:
    first = put(world, blobs)
    assert put(world, blobs, owner="process:p") == first
    assert kept(blobs) == 1


def test_it_survives_new_connections(world: World, blobs: Blobs) -> None:
    made = put(world, blobs)
    again = world.reopened()
    assert again.go(attachments.get(blobs, made.id, ["host"])) == DATA


def test_a_backend_keeps_whole_bytes_and_forgets_them_without_complaint(blobs: Blobs) -> None:
    backend = blobs.chosen
    place = new_location("shop", ID)
    assert backend.get(place) is None
    backend.put(place, b"one")
    backend.put(place, b"two")
    assert backend.get(place) == b"two"
    assert [(one.location, one.size) for one in backend.list()] == [(place, 3)]
    backend.delete(place)
    backend.delete(place)
    assert backend.get(place) is None
    assert list(backend.list()) == []
    assert backend.durable


def test_bytes_that_were_lost_or_changed_are_an_error_that_says_so(world: World, blobs: Blobs) -> None:
    made = put(world, blobs)
    [stored] = blobs.chosen.list()
    blobs.chosen.put(stored.location, b"other")
    with pytest.raises(AttachmentCorrupt) as corrupt:
        world.go(attachments.get(blobs, made.id, ["host"]))
    assert corrupt.value.fields == {"attachment_id": made.id, "backend": blobs.chosen.name}
    blobs.chosen.delete(stored.location)
    with pytest.raises(AttachmentCorrupt):
        world.go(attachments.get(blobs, made.id, ["host"]))


def test_a_sweep_removes_the_bytes_that_nobody_owns_and_no_others(world: World, blobs: Blobs) -> None:
    mine, other = put(world, blobs), put(world, blobs, b"other")
    world.do(attachments.drop(other.id, "host"))
    assert world.go(attachments.sweep(blobs)) == SweepReport(looked_at=1, given_up=1, removed=1, left=0)
    assert world.do(attachments.read(other.id, None)) is None
    assert world.go(attachments.get(blobs, mine.id, ["host"])) == DATA
    assert kept(blobs) == 1


# -- owners


def test_who_owns_nothing_reads_nothing_and_cannot_tell_it_from_nothing(world: World, blobs: Blobs) -> None:
    made = put(world, blobs, owner="process:p")
    for owner, wanted in (("process:q", made.id), ("process:p", ID)):
        with pytest.raises(AttachmentNotFound) as refused:
            world.go(attachments.get(blobs, wanted, [owner]))
        assert refused.value.fields == {"attachment_id": wanted, "owner": owner}
    assert world.do(attachments.read(made.id, ["process:q"])) is None
    assert world.go(attachments.get(blobs, made.id, None)) == DATA


def test_a_stand_in_stands_for_a_large_payload_and_for_nothing_else(world: World, blobs: Blobs) -> None:
    put_by_hand = put(world, blobs)
    assert world.do(attachments.read(put_by_hand.id, ["host"], stands_in=True)) is None
    stood_for = world.go(attachments.put(blobs, b"a large payload", "application/json", "host", stands_in=True))
    assert world.do(attachments.read(stood_for.id, ["host"], stands_in=True)).attachment == stood_for


def test_an_owner_gives_up_its_own_alone(world: World, blobs: Blobs) -> None:
    made = put(world, blobs)
    put(world, blobs, owner="process:p")
    assert world.do(attachments.drop(made.id, "process:p"))
    assert not world.do(attachments.drop(made.id, "process:p"))
    assert world.do(attachments.read(made.id, ["process:p"])) is None
    assert world.go(attachments.get(blobs, made.id, ["host"])) == DATA


def test_what_is_shared_is_owned_by_both_and_nobody_shares_what_is_not_his(world: World, blobs: Blobs) -> None:
    one, two = put(world, blobs, b"one", "process:p"), put(world, blobs, b"two", "process:q")
    with pytest.raises(AttachmentNotFound):
        world.do(attachments.share([one.id, two.id], ["process:p"], "session:bot/1"))
    assert world.do(attachments.owned("session:bot/1", limit=10)) == []
    world.do(attachments.share([one.id, two.id], ["process:p"], "session:bot/1", partly=True))
    assert world.do(attachments.owned("session:bot/1", limit=10)) == [one]
    world.do(attachments.drop(one.id, "process:p"))
    assert world.go(attachments.get(blobs, one.id, ["session:bot/1"])) == b"one"


def test_a_list_is_read_in_pages_by_id(world: World) -> None:
    blobs = Blobs.of(world.namespace, RedisBlobs(world.backend, world.store.address.prefix))
    ids = sorted(put(world, blobs, str(n).encode()).id for n in range(7))
    found: list[str] = []
    while page := world.do(attachments.owned("host", limit=3, after=found[-1] if found else None)):
        found += [one.id for one in page]
    assert found == ids


# -- mark and sweep


def swept(world: World, after: str = HOUR) -> SweepReport:
    blobs = Blobs.of(world.namespace, RedisBlobs(world.backend, world.store.address.prefix))
    world.clock.advance(after)
    report: SweepReport = world.go(attachments.sweep(blobs))
    return report


def redis(world: World) -> Blobs:
    return Blobs.of(world.namespace, RedisBlobs(world.backend, world.store.address.prefix))


def test_a_process_keeps_what_it_owns_until_it_is_pruned(world: World) -> None:
    world.start("p")
    made = put(world, redis(world), owner="process:p")
    world.do(ends.cancel("p", "asked", grace_ms=0))
    world.tick()
    assert swept(world, "6d").given_up == 0
    assert world.go(attachments.get(redis(world), made.id, ["process:p"])) == DATA
    world.clock.advance("2d")
    world.tick()
    assert swept(world).removed == 1
    assert known(world) == set()


def test_a_session_keeps_what_it_owns_until_it_is_deleted(world: World) -> None:
    world.do(sessions.create(world.session("bot/1")))
    put(world, redis(world), owner="session:bot/1")
    assert swept(world, "400d").given_up == 0
    world.do(sessions.delete("bot/1"))
    assert swept(world).removed == 1
    assert known(world) == set()


def test_an_owner_that_is_not_there_yet_has_an_hour_to_come(world: World) -> None:
    made = put(world, redis(world), owner="process:p")
    assert swept(world, "59m").given_up == 0
    world.start("p")
    assert swept(world, "2h").given_up == 0
    assert world.go(attachments.get(redis(world), made.id, ["process:p"])) == DATA


def test_what_a_journal_keeps_goes_with_its_generation(world: World) -> None:
    fence = world.running("p")
    put(world, redis(world), owner="journal:p")
    world.clock.advance("2h")
    world.do(ends.continue_as_new(fence, "{}"))
    assert swept(world).removed == 1
    put(world, redis(world), owner="journal:p")
    assert swept(world, "2h").removed == 0


def test_a_host_keeps_what_it_owns_whatever_the_age(world: World) -> None:
    put(world, redis(world))
    assert swept(world, "4000d").given_up == 0


# -- a crash in between


class Dies(Exception):
    """The process that uploads is gone."""


def step_by_step(world: World, program: Any, dies_after: int) -> None:
    """Drives a program until so many of its steps were done."""
    value: Any = None
    for done in range(dies_after):
        step = program.send(value) if done else next(program)
        value = step.function() if isinstance(step, Outside) else world.do(step)
    program.close()


@pytest.mark.parametrize("dies_after", [1, 2])
def test_an_upload_that_was_never_finished_is_swept_and_its_bytes_with_it(world: World, dies_after: int) -> None:
    blobs = redis(world)
    step_by_step(world, attachments.put(blobs, DATA, "image/png", "host"), dies_after)
    assert kept(blobs) == dies_after - 1
    assert world.do(attachments.read(attachment_of(DATA, "image/png").id, None)) is None
    assert swept(world, "59m").removed == 0
    swept(world, "2m")
    assert known(world) == set()


def test_an_upload_that_took_so_long_that_it_was_swept_is_made_again(world: World) -> None:
    blobs = redis(world)
    program = attachments.put(blobs, DATA, "image/png", "host")
    world.do(next(program))
    step = program.send(None)
    assert isinstance(step, Outside)
    step.function()
    swept(world, "61m")
    answer: Any = world.do(program.send(None))
    assert answer is None
    with pytest.raises(StopIteration) as done:
        while True:
            step = program.send(answer)
            answer = step.function() if isinstance(step, Outside) else world.do(step)
    assert world.go(attachments.get(blobs, done.value.value.id, ["host"])) == DATA
    assert kept(blobs) == 1


def test_of_two_uploads_of_the_same_bytes_one_is_kept(world: World) -> None:
    blobs = redis(world)
    slow = attachments.put(blobs, DATA, "image/png", "process:slow")
    world.do(next(slow))
    made = put(world, blobs)
    step = slow.send(None)
    assert isinstance(step, Outside)
    step.function()
    with pytest.raises(StopIteration):
        slow.send(world.do(slow.send(None)))
    assert kept(blobs) == 2
    assert world.go(attachments.sweep(blobs)).removed == 1
    assert kept(blobs) == 1
    for owner in ("host", "process:slow"):
        assert world.go(attachments.get(blobs, made.id, [owner])) == DATA


def test_a_sweep_that_dies_before_it_has_removed_is_finished_by_the_next(world: World) -> None:
    blobs = redis(world)
    made = put(world, blobs)
    world.do(attachments.drop(made.id, "host"))
    step_by_step(world, attachments.sweep(blobs), 1)
    assert kept(blobs) == 1
    again = put(world, blobs)  # meanwhile another client puts the same bytes
    assert world.go(attachments.sweep(blobs)).removed == 1
    assert world.go(attachments.get(blobs, again.id, ["host"])) == DATA
    assert kept(blobs) == 1


def test_writers_and_sweepers_side_by_side_lose_nothing(world: World) -> None:
    """Eight threads put, give up and read the same three contents while two sweep; what has an owner is always
    there."""
    blobs = redis(world)
    broken: list[BaseException] = []
    rounds = 40

    def works(owner: str) -> None:
        try:
            for n in range(rounds):
                data = f"content {n % 3}".encode()
                made = world.go(attachments.put(blobs, data, "text/plain", owner))
                assert world.go(attachments.get(blobs, made.id, [owner])) == data
                world.do(attachments.drop(made.id, owner))
        except BaseException as error:  # noqa: BLE001 - told below
            broken.append(error)

    def sweeps() -> None:
        try:
            while workers[0].is_alive():
                world.go(attachments.sweep(blobs))
        except BaseException as error:  # noqa: BLE001 - told below
            broken.append(error)

    workers = [threading.Thread(target=works, args=(f"process:{n}",)) for n in range(8)]
    others = [threading.Thread(target=sweeps) for _ in range(2)]
    for thread in [*workers, *others]:
        thread.start()
    for thread in [*workers, *others]:
        thread.join(60)
    assert broken == []
    world.go(attachments.sweep(blobs))
    assert known(world) == set()


# -- what a backend has without a record


class Old:
    """A backend whose bytes are as old as the test says."""

    name, durable = "old", True

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, location: str, data: bytes) -> None:
        self.kept[location] = data

    def get(self, location: str) -> bytes | None:
        return self.kept.get(location)

    def delete(self, location: str) -> None:
        self.kept.pop(location, None)

    def list(self) -> Iterator[StoredBlob]:
        return iter([StoredBlob(location, len(data), 1_700_000_000_000) for location, data in self.kept.items()])

    def close(self) -> None: ...


def test_strays_are_removed_when_they_are_a_day_old_and_nothing_else_is(world: World) -> None:
    backend = Old()
    made = put(world, Blobs.of(world.namespace, backend))
    stray = new_location(world.namespace, ID)
    backend.put(new_location("another", ID), b"another namespace's")
    backend.put(stray, b"nobody's")
    # By the server's time: that of the machine that sweeps is not asked.
    world.clock.advance(STRAY_MS / 1000)
    assert world.go(attachments.sweep_strays(world.namespace, backend)) == 0
    world.clock.advance("1s")
    assert world.go(attachments.sweep_strays(world.namespace, backend)) == 1
    assert sorted(backend.kept.values()) == sorted([DATA, b"another namespace's"])
    assert world.go(attachments.get(Blobs.of(world.namespace, backend), made.id, ["host"])) == DATA


def test_a_namespace_that_knows_nothing_removes_nothing_unless_told_to(world: World) -> None:
    backend = Old()
    for _ in range(3):
        backend.put(new_location(world.namespace, ID), b"of lost keys")
    world.clock.advance("2d")
    with pytest.raises(SweepRefused) as refused:
        world.go(attachments.sweep_strays(world.namespace, backend))
    assert refused.value.fields == {"backend": "old", "found": 3}
    assert len(backend.kept) == 3
    assert world.go(attachments.sweep_strays(world.namespace, backend, all_of_them=True)) == 3


def test_bytes_in_a_backend_this_app_has_not_are_named_and_left_alone(world: World) -> None:
    made = put(world, Blobs.of(world.namespace, Old()))
    mine = redis(world)
    with pytest.raises(AttachmentBackendMissing) as missing:
        world.go(attachments.get(mine, made.id, ["host"]))
    assert missing.value.fields == {"backend": "old", "known": ["redis"]}
    world.do(attachments.drop(made.id, "host"))
    other = put(world, mine, b"mine")
    world.do(attachments.drop(other.id, "host"))
    assert world.go(attachments.sweep(mine)) == SweepReport(looked_at=2, given_up=2, removed=1, left=1)


@pytest.mark.parametrize("is_async", [True, False])
def test_a_body_that_reads_what_lies_in_a_backend_this_worker_has_not_waits_for_one_that_has(
    world: World, is_async: bool
) -> None:
    made = put(world, Blobs.of(world.namespace, Old()), owner="process:p")
    app = app_of(world)

    async def awaited(ctx: AsyncCtx) -> None:
        try:
            await ctx.attachments.get(made.id)
        except Exception as error:
            raise AssertionError("it is not the body's to handle") from error

    def blocking(ctx: Ctx) -> None:
        ctx.attachments.get(made.id)

    handle = app.using(id="p").start(app.engine(name="reads")(awaited if is_async else blocking))
    assert work(world, app) == ["released"]
    found = handle.status()
    assert (found.status, found.misfit and found.misfit.kind) == ("queued", "missing")
    assert "old" in str(found.misfit and found.misfit.message)


@pytest.mark.parametrize(("recovery", "became"), [("rerunnable", "released"), ("owner_bound", "lost")])
def test_a_result_that_cannot_be_stored_has_work_that_is_never_run_twice_left_to_its_lease(
    world: World, monkeypatch: pytest.MonkeyPatch, recovery: Any, became: str
) -> None:
    def away(self: RedisBlobs, location: str, data: bytes) -> None:
        raise AttachmentStoreFailed(backend="redis", reason="it is away")

    app, ran = app_of(world), list[str]()

    @app.tool
    def charge() -> str:
        ran.append("charged")
        return "x" * 100_000

    app.using(id="p", recovery=recovery).start(charge)
    monkeypatch.setattr(RedisBlobs, "put", away)
    assert work(world, app) == [became]
    world.clock.advance("1s")
    assert world.tick().fired == (1 if became == "released" else 0)
    work(world, app)
    assert len(ran) == (2 if became == "released" else 1)


# -- bad input


@pytest.mark.parametrize("media_type", ["", "png", "image/", "Image/PNG", "text/plain; charset=utf-8", "image/png\n"])
def test_what_is_no_media_type_is_refused_before_anything_is_written(world: World, media_type: str) -> None:
    with pytest.raises(InvalidAttachment):
        world.go(attachments.put(redis(world), DATA, media_type, "host"))
    assert known(world) == set()


def test_what_is_too_large_for_redis_is_refused_and_leaves_nothing(world: World) -> None:
    with pytest.raises(InvalidAttachment, match="a directory or S3"):
        put(world, redis(world), b"x" * (8 * 1024 * 1024 + 1))
    swept(world, "2h")
    assert known(world) == set()


@pytest.mark.parametrize(
    "location", ["../../etc/passwd", "a" * 81, "", "/abs", "../" + "a" * 64 + "-" + "b" * 16, "ns/" + "a" * 64]
)
def test_no_location_leads_out_of_a_directory(tmp_path: Path, location: str) -> None:
    backend = DirectoryBlobs(tmp_path)
    for act in (backend.get, backend.delete, lambda place: backend.put(place, b"x")):
        with pytest.raises(AttachmentStoreFailed, match="is no location"):
            act(location)


def test_a_directory_leaves_no_half_written_file_where_it_can_be_read(tmp_path: Path) -> None:
    import os

    backend = DirectoryBlobs(tmp_path)
    place = new_location("shop", ID)
    backend.put(place, b"whole")
    half = next(tmp_path.rglob("*-*")).with_name(".writing-half")
    half.write_bytes(b"ha")
    os.utime(half, (1, 1))
    assert [one.size for one in backend.list()] == [5]
    assert not half.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"shop"}


@pytest.mark.parametrize("hours", [2, -2])
def test_a_machine_whose_clock_is_off_leaves_what_another_one_writes_into_the_directory(
    tmp_path: Path, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import time

    backend = DirectoryBlobs(tmp_path)
    backend.put(new_location("shop", ID), b"whole")
    being_written, old = (next(tmp_path.rglob("*-*")).with_name(f".writing-{name}") for name in ("now", "before"))
    being_written.write_bytes(b"ha")
    old.write_bytes(b"ha")
    here, here_ns = time.time, time.time_ns
    os.utime(old, (here() - 5_400, here() - 5_400))
    monkeypatch.setattr(time, "time", lambda: here() + hours * 3_600)
    monkeypatch.setattr(time, "time_ns", lambda: here_ns() + hours * 3_600_000_000_000)
    assert [one.size for one in backend.list()] == [5]
    assert (being_written.exists(), old.exists()) == (True, False)


def test_a_directory_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AttachmentStoreFailed):
        DirectoryBlobs(tmp_path / "file").put(new_location("shop", ID), b"x")


def test_a_bucket_that_is_not_there_is_a_typed_error(bucket: Any) -> None:
    with pytest.raises(AttachmentStoreFailed, match="NoSuchBucket"):
        S3Blobs("nowhere", client=bucket).put(new_location("shop", ID), b"x")


def test_references_are_found_in_any_depth_and_each_once() -> None:
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    text = (
        f'{{"a":[{{"__attachment__":"{one}","size":1}},{{"b":{{"__attachment__":"{two}"}}}}],'
        f'"c":{{"__attachment__":"{one}"}},"d":{{"__attachment__":7}}}}'
    )
    assert references_in(text) == [one, two]
    assert references_in('{"a":"no reference"}') == []


def test_places_of_a_backend_that_is_not_here_keep_nobody_else_waiting(world: World) -> None:
    mine, old = redis(world), Blobs.of(world.namespace, Old())
    for n in range(70):
        world.do(attachments.drop(put(world, old, f"old {n}".encode()).id, "host"))
    world.go(attachments.sweep(mine))
    world.clock.advance("1s")
    world.do(attachments.drop(put(world, mine, b"mine").id, "host"))
    assert world.go(attachments.sweep(mine)) == SweepReport(looked_at=1, given_up=1, removed=1, left=70)


def test_a_backend_that_fails_keeps_no_removal_from_being_known(world: World) -> None:
    class Failing(Old):
        def delete(self, location: str) -> None:
            if self.kept[location] == b"stuck":
                raise AttachmentStoreFailed(backend="old", reason="it is away")
            super().delete(location)

    backend = Failing()
    blobs = Blobs.of(world.namespace, backend)
    for data in (b"a", b"stuck", b"b"):
        world.do(attachments.drop(put(world, blobs, data).id, "host"))
    with pytest.raises(AttachmentStoreFailed, match="it is away"):
        world.go(attachments.sweep(blobs))
    assert list(backend.kept.values()) == [b"stuck"]
    assert world.store.client.zcard(world.store.address.prefix + "condemned") == 1


def test_an_attachment_of_thousands_is_looked_at_in_bounded_steps(world: World) -> None:
    blobs = redis(world)
    made = put(world, blobs)
    for n in range(3_000):
        world.do(attachments.share([made.id], None, f"process:gone-{n}"))
    world.clock.advance("2h")
    world.go(attachments.sweep(blobs))
    fields = world.store.client.hkeys(world.store.address.prefix + f"att:{made.id}")
    assert [field for field in fields if field.startswith("o:")] == ["o:host"]
    assert known(world) == {"att", "atts", "attachments", "bytes"}
    world.do(attachments.drop(made.id, "host"))
    assert world.go(attachments.sweep(blobs)).removed == 1
    assert known(world) == set()


def test_what_a_directory_keeps_is_read_by_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    root = tmp_path / "new" / "root"
    location = new_location("shop", ID)
    before = os.umask(0)
    try:
        DirectoryBlobs(root).put(location, b"private")
    finally:
        os.umask(before)
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert sorted(modes.values()) == [
        0o600,
        0o700,
        0o700,
        0o700,
    ]  # the file; the root, the namespace, the first two digits
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
