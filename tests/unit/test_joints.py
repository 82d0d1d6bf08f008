"""Names that are joined of others: no two lists of any parts ever make the same name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wakeline import names
from wakeline.causality import SessionScope
from wakeline.names import session_id, unword, word
from wakeline.processes.limits import limit_id, limited
from wakeline.store.keys import JOINTS, RQ_TABLE, TABLE, prefix, queue_name, split_queue
from wakeline.testing.model.doorbells import doorbell_id, former_doorbell_id

# Few letters, and every joint: what collides is found in a few tries.
IDS = st.text("a1:/.#%~-_ {}*25F", min_size=1, max_size=8).filter(str.strip)
NAMESPACES = st.from_regex(r"\A[a1][a1._-]{0,5}\Z")
QUEUES = st.from_regex(r"\A[a1][a1._-]{0,5}\Z")
BODIES = st.from_regex(r"\A[a1][a1:.~-]{0,5}\Z")
FRAMES = st.from_regex(r"\A[a1][a1:.~-]{0,5}\Z")
EPOCHS = st.integers(0, 20)
FAMILIES = st.sampled_from(sorted({family.name for family in TABLE}))

Builder = tuple[Callable[..., str], tuple[st.SearchStrategy[Any], ...]]


def key(namespace: str, family: str, text: str | None = None) -> str:
    """A key of a namespace: of a family that has one, or of one thing of a family."""
    return prefix(namespace) + family + (f":{text}" if text is not None else "")


def scope(agent: str, own: str, frame: str | None) -> str:
    return SessionScope(session_id=session_id(agent, own), agent_frame_id=frame).scope_id


KEYS: dict[str, Builder] = {
    "of a thing": (key, (NAMESPACES, FAMILIES, IDS)),
    "of a namespace": (lambda namespace, family: key(namespace, family), (NAMESPACES, FAMILIES)),
    "of a frame's grants": (lambda ns, a, k, f: key(ns, "grants", scope(a, k, f)), (NAMESPACES, BODIES, IDS, FRAMES)),
    "of a session's grants": (lambda ns, a, k: key(ns, "grants", scope(a, k, None)), (NAMESPACES, BODIES, IDS)),
    "of a body's places": (lambda ns, b: key(ns, "holds", limit_id(b)), (NAMESPACES, BODIES)),
    "of a key's places": (lambda ns, b, k: key(ns, "holds", limit_id(b, k)), (NAMESPACES, BODIES, IDS)),
    "of a queue's places": (lambda ns, q: key(ns, "holds", f"q:{queue_name(ns, q)}"), (NAMESPACES, st.none() | QUEUES)),
}
SPACES: dict[str, dict[str, Builder]] = {
    "queues of RQ": {
        "own": (lambda ns: queue_name(ns, None), (NAMESPACES,)),
        "named": (queue_name, (NAMESPACES, QUEUES)),
    },
    "jobs of RQ": {"doorbell": (doorbell_id, (NAMESPACES, IDS, EPOCHS)), "former": (former_doorbell_id, (IDS, EPOCHS))},
    "limits": {
        "of a body": (limit_id, (BODIES,)),
        "of a key": (limit_id, (BODIES, IDS)),
        "of a queue": (lambda ns, q: f"q:{queue_name(ns, q)}", (NAMESPACES, QUEUES)),
    },
    "scopes": {
        "of a session": (lambda a, k: scope(a, k, None), (BODIES, IDS)),
        "of a frame": (scope, (BODIES, IDS, FRAMES)),
    },
    "sessions": {"session": (session_id, (BODIES, IDS))},
    "words": {"word": (word, (IDS,)), "two words": (lambda one, other: f"{word(one)} {word(other)}", (IDS, IDS))},
    "addresses": {"entry": (lambda sid, n: f"{sid}#{n}", (IDS, EPOCHS))},
}
PAIRS = [
    pytest.param(one, other, id=f"{space}: {a} and {b}")
    for space, builders in SPACES.items()
    for (a, one), (b, other) in combinations_with_replacement(builders.items(), 2)
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@given(data=st.data())
def test_two_lists_of_parts_never_make_one_name(one: Builder, other: Builder, data: st.DataObject) -> None:
    (make_one, of_one), (make_other, of_other) = one, other
    first, second = data.draw(st.tuples(*of_one)), data.draw(st.tuples(*of_other))
    if make_one is make_other and of_one == of_other:
        assert (make_one(*first) == make_other(*second)) == (first == second)
    else:
        assert make_one(*first) != make_other(*second)


OF_A_THING = {name: made for name, made in KEYS.items() if name not in ("of a thing", "of a namespace")}


@pytest.mark.parametrize(
    ("one", "other"),
    [pytest.param(*pair, id=f"{pair[0]} and {pair[1]}") for pair in combinations_with_replacement(OF_A_THING, 2)],
)
@given(data=st.data())
def test_no_two_keys_of_redis_are_one(one: str, other: str, data: st.DataObject) -> None:
    (make_one, of_one), (make_other, of_other) = KEYS[one], KEYS[other]
    first, second = data.draw(st.tuples(*of_one)), data.draw(st.tuples(*of_other))
    assert (make_one(*first) == make_other(*second)) == (one == other and first == second)


@given(st.tuples(NAMESPACES, FAMILIES, IDS), st.tuples(NAMESPACES, FAMILIES, IDS), st.tuples(NAMESPACES, FAMILIES))
def test_a_key_says_its_namespace_its_family_and_its_id(
    one: tuple[str, str, str], other: tuple[str, str, str], bare: tuple[str, str]
) -> None:
    assert (key(*one) == key(*other)) == (one == other)
    assert key(*one) != key(*bare)


@given(NAMESPACES, st.none() | QUEUES)
@example("shop.slow", None)
@example("shop", "slow.er")
@example("shop.", "a")
@example("a..b", "c..d")
def test_a_queue_of_rq_says_its_namespace_and_its_name(namespace: str, queue: str | None) -> None:
    assert split_queue(queue_name(namespace, queue)) == (namespace, queue)
    assert names.check_queue_name(queue_name(namespace, queue))


@pytest.mark.parametrize(
    ("namespace", "queue", "name"),
    [
        ("shop", None, "shop"),
        ("shop", "slow", "shop.slow"),
        ("shop.slow", None, "shop..slow"),
        ("shop.slow", "eu.1", "shop..slow.eu.1"),
        ("a-b_c", "q", "a-b_c.q"),
    ],
)
def test_queue_golden_vectors(namespace: str, queue: str | None, name: str) -> None:
    assert queue_name(namespace, queue) == name


@given(IDS)
def test_a_word_has_no_blank_and_is_read_back(text: str) -> None:
    assert " " not in word(text) and "#" not in word(text)
    assert unword(word(text)) == text


@pytest.mark.parametrize("text", ["p_1", "a.b:c~d-e", "process:turn:x:1"])
def test_ids_of_the_release_before_are_words_as_they_are(text: str) -> None:
    assert word(text) == text


def test_what_looks_like_the_hash_of_a_key_is_hashed_itself() -> None:
    spoken = limit_id("mail", "two words")
    digest = spoken.removeprefix("b:mail:")
    assert len(digest) == 64
    assert limit_id("mail", digest) != spoken


@pytest.mark.parametrize(
    ("body", "own", "limit"),
    [("ab", None, "b:ab"), ("a:b", None, "b:a%3Ab"), ("a", "b", "b:a:b"), ("a:b", "c:d", "b:a%3Ab:c:d")],
)
def test_limit_golden_vectors(body: str, own: str | None, limit: str) -> None:
    assert limit_id(body, own) == limit
    assert limited(limit.removeprefix("b:")) == (f"{body}:{own}" if own else body)


def test_every_key_has_one_id_at_its_end_or_is_listed_with_a_joint() -> None:
    patterns = [family.pattern for family in (*TABLE, *RQ_TABLE) if "<" in family.pattern]
    several = [pattern for pattern in patterns if pattern.count("<") > 1 or not pattern.endswith(">")]
    # An owner is `o_` and letters; a doorbell has no colon; a status is a word and a filter a letter.
    assert several == [
        "by:<status>:<filter>:<value>",
        "execution:<doorbell>:<claim>",
        "worker:<owner>:executions",
    ]
    assert {joint.made.split(",")[0] for joint in JOINTS} >= {
        "{<namespace>}:<family>:<id>",
        "<doorbell>:<claim>",
        "<agent>/<key>",
        "<status>:<filter>:<value>",
    }
