"""What a client knows of its answered writes, in any order of the answers."""

from __future__ import annotations

from wakeline.store.rewinds import Answered, Look, Rewind, said


def answered(*writes: tuple[int, int]) -> tuple[Answered, str]:
    """A client that heard these numbers at these times, and its name."""
    made = Answered()
    client, _ = made.stamp()
    for number, now_ms in writes:
        made.heard(client, number, now_ms)
    return made, client


def test_the_highest_number_counts_although_answers_of_several_threads_cross() -> None:
    made, client = answered((1, 0), (3, 0), (2, 0))
    assert (made.stamp(), made.noticed) == ((client, 3), False)


def test_an_answer_that_tells_no_number_changes_nothing() -> None:
    made, client = answered((1, 0))
    made.heard(client, "", 5)
    assert (made.stamp(), made.noticed) == ((client, 1), False)


def test_a_rewind_is_found_once_and_the_client_goes_on_under_another_name() -> None:
    made, client = answered((1, 1000), (2, 2000), (3, 3000), (4, 3010))
    made.heard(client, -1, 9000)
    made.heard(client, -1, 9000)  # of another thread, under the old name
    made.heard(client, 5, 9000)
    made.looked(Look(client, 4, 1, ""))
    assert made.found() == Rewind(client, 3, 2000, 3010)
    assert (made.found(), made.noticed) == (None, False)
    name, number = made.stamp()
    assert (name != client, number) == (True, 0)


def test_a_look_shows_less_than_was_answered_when_it_left_and_never_more() -> None:
    made, client = answered((1, 1000), (2, 2000))
    made.looked(Look(client, 2, 2, ""))
    made.looked(Look(client, 1, 1, ""))  # the second was answered while the look was on its way
    assert made.found() is None
    made.looked(Look(client, 2, 0, ""))
    assert made.found() == Rewind(client, 2, 1000, 2000)


def test_times_of_the_last_writes_are_kept_a_tenth_of_a_second_apart_and_not_for_ever() -> None:
    made, client = answered(*((n, n * 10) for n in range(1, 20_001)))
    assert 700 < len(made._times) <= 1024
    made.heard(client, -19_900, 300_000)
    found = made.found()
    assert found is not None
    assert (found.writes, found.last_ms) == (100, 200_000)
    assert 198_900 <= found.first_ms <= 199_010


def test_a_loss_that_is_longer_than_times_are_kept_for_has_its_first_time_too() -> None:
    made, client = answered(*((n, n * 100) for n in range(1, 36_001)))
    made.heard(client, 0, 4_000_000)
    assert made.found() == Rewind(client, 36_000, 100, 3_600_000)


def test_calls_that_leave_together_are_a_write_each_and_all_of_them_are_lost_together() -> None:
    made, client = answered((10, 1000), (30, 2000), (50, 3000))
    made.heard(client, -10, 9000)
    assert made.found() == Rewind(client, 40, 2000, 3000)


def test_what_could_not_be_told_is_told_later() -> None:
    made, client = answered((1, 1000))
    made.heard(client, 0, 2000)
    found = made.found()
    made.put_back(found)
    assert (made.noticed, made.found()) == (True, Rewind(client, 1, 1000, 1000))


def test_the_log_says_how_much_and_when() -> None:
    assert said(Rewind("c", 1, 1_700_000_000_000, 1_700_000_000_000), emptied=False).startswith(
        "the store has gone back, by a crash, a failover or a restore: 1 acknowledged write, answered from 2023-11-14"
        " 22:13:20.000 UTC to 2023-11-14 22:13:20.000 UTC, is gone. Starts, signals"
    )
    assert said(Rewind("c", 0), emptied=True).startswith("the store was emptied, or is another one now. Send")
