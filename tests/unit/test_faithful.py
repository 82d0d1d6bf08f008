"""Values on their way through JSON: one form of equal values in every process, and what is read back is what was given
or the value is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr, computed_field, field_serializer
from typing_extensions import TypedDict
from wakeline import App
from wakeline.effects.envelope import Envelope, envelope_hash
from wakeline.effects.journal import JournalRow
from wakeline.errors import InvalidArguments, InvalidPayload
from wakeline.settings import Settings
from wakeline.typed import asked, dump, load
from wakeline.values import content_json, is_marked, means, to_json


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@dataclass
class Item:
    name: str
    tags: set[str] = field(default_factory=set[str])


@dataclass
class Squared:
    side: int
    area: int = field(init=False)

    def __post_init__(self) -> None:
        self.area = self.side**2


class Order(BaseModel):
    user_id: int = Field(alias="userId")
    items: list[Item] = []
    seen: dict[Colour, frozenset[str]] = {}


class Split(BaseModel):
    number: int = Field(validation_alias="in", serialization_alias="out")


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime
    tags: set[str]


class Encoded(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    raw: bytes


class Login(BaseModel):
    user: str
    password: SecretStr


class Revealed(BaseModel):
    password: SecretStr

    @field_serializer("password", when_used="json")
    def _reveal(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Partial(BaseModel):
    shown: int
    hidden: int = Field(exclude=True)


class Forgetful(BaseModel):
    hidden: int = Field(default=0, exclude=True)


class Lossy(BaseModel):
    name: str

    @field_serializer("name")
    def _short(self, value: str) -> str:
        return value[:1]


class Cat(BaseModel):
    name: str


class Dog(BaseModel):
    name: str


class Tagged(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Other(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Tags(RootModel[set[str]]):
    pass


class Row(TypedDict):
    tags: set[str]


class Point(NamedTuple):
    x: int
    tags: frozenset[str]


class Node(BaseModel):
    tags: set[str]
    inner: list[Node] = []


WORDS = {f"word{i}" for i in range(12)}
BERLIN = timezone(timedelta(hours=2))
SET_BEARING: dict[str, tuple[Any, Any]] = {
    "set": (WORDS, set[str]),
    "loose set": (WORDS, Any),
    "frozensets in a set": ({frozenset({"a", "b", w}) for w in WORDS}, set[frozenset[str]]),
    "dict of sets": ({"a": WORDS, "b": [WORDS]}, dict[str, Any]),
    "dataclass": (Item("x", WORDS), Item),
    "loose dataclass": ({"item": Item("x", WORDS)}, Any),
    "model": (Order(userId=1, items=[Item("x", WORDS)], seen={Colour.RED: frozenset(WORDS)}), Order),
    "loose model": ([Order(userId=1, items=[Item("x", WORDS)], seen={Colour.RED: frozenset(WORDS)})], Any),
    "root model": (Tags(WORDS), Tags),
    "recursive model": (Node(tags=WORDS, inner=[Node(tags=WORDS)]), Node),
    "typed dict": ({"tags": WORDS}, Row),
    "named tuple": (Point(1, frozenset(WORDS)), Point),
    "union": (WORDS, int | set[str]),
    "optional": ([WORDS, None], list[set[str] | None]),
    "enums": (set(Colour), set[Colour]),
    "mixed": ({1, "a", None, 2.5, *WORDS}, set[Any]),
    "custom serializer": (Revealed(password=SecretStr("x")), Revealed),
    "deque": (deque([WORDS]), deque[set[str]]),
}


def test_a_value_with_sets_is_the_same_text_in_every_process() -> None:
    said = [
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import test_faithful as t\nfor value, kind in t.SET_BEARING.values(): "
                "print(t.to_json(t.dump(value, kind)))",
            ],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout  # fmt: skip
        for seed in ("1", "2", "3")
    ]
    assert said[0].count("\n") == len(SET_BEARING)
    assert said[1:] == [said[0], said[0]]


@pytest.mark.parametrize("name", SET_BEARING)
def test_a_value_with_sets_reads_back(name: str) -> None:
    value, kind = SET_BEARING[name]
    if kind is not Any:
        assert load(dump(value, kind), kind) == value or name == "dict of sets"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.10"), Decimal("1.1")),
        (Decimal("100"), Decimal("1E+2")),
        (Decimal("-0.0"), Decimal(0)),
        (datetime(2026, 7, 1, 12, tzinfo=BERLIN), datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ([2], [2.0]),
        ([-0.0], [0]),
        ({Decimal("1.0"), Decimal(2)}, {Decimal("2.00"), Decimal(1)}),
        ({"b": 1, "a": {8, 0}}, {"a": {0, 8}, "b": 1.0}),
        (Level.LOW, 1),
        (Colour.RED, "red"),
    ],
)
def test_equal_values_are_one_content(one: Any, other: Any) -> None:
    assert content_json(asked(one)) == content_json(asked(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.10", "1.1"),  # texts, such as versions
        (Decimal("1.10"), Decimal("1.11")),
        (
            datetime(2026, 7, 1, 12),
            datetime(2026, 7, 1, 12, tzinfo=UTC),
        ),  # noqa: DTZ001 - a time without a zone is no moment
        ("2026-07-01T12:00:00+02:00", "2026-07-01T10:00:00Z"),
        ([1, 2], [2, 1]),
        ({1, 2}, {1, 3}),
    ],
)
def test_values_that_are_not_equal_are_other_content(one: Any, other: Any) -> None:
    assert content_json(asked(one)) != content_json(asked(other))


def test_what_is_stored_keeps_the_digits_and_the_zone_that_were_given() -> None:
    assert dump([Decimal("1.10"), datetime(2026, 7, 1, 12, tzinfo=BERLIN)]) == ["1.10", "2026-07-01T12:00:00+02:00"]
    assert [type(one) for one in dump([Decimal("1.10"), {1}])] == [str, list]


ROUND: dict[str, tuple[Any, Any]] = {
    "alias": (Order(userId=5, items=[Item("y")]), Order),
    "two aliases": (Split(**{"in": 3}), Split),
    "computed field of a model that forbids others": (Forbidding(width=3), Forbidding),
    "loose, computed": ({"f": Forbidding(width=3)}, dict[str, Forbidding]),
    "strict": (Strict(when=datetime(2026, 1, 1, tzinfo=UTC), tags={"a"}), Strict),
    "base64": (Encoded(raw=b"\xff\x00"), Encoded),
    "revealed secret": (Revealed(password=SecretStr("x")), Revealed),
    "discriminated": (Tagged(name="rex"), Annotated[Other | Tagged, Field(discriminator="kind")]),
    "a field that its constructor computes": (Squared(3), Squared),
    "path": (Path("/a/b"), Path),
    "int keys": ({1: "a"}, dict[int, str]),
    "enum keys": ({Colour.RED: [Colour.BLUE]}, dict[Colour, list[Colour]]),
    "naive time": (datetime(2026, 1, 1), datetime),  # noqa: DTZ001
    "decimal": (Decimal("0.10000000000000000001"), Decimal),
    "any inside": ({"a": [1, (2, 3)], "b": None}, dict[str, Any]),
}


@pytest.mark.parametrize("name", ROUND)
def test_what_can_be_read_back_is_stored_so_that_it_is(name: str) -> None:
    value, kind = ROUND[name]
    found = load(dump(value, kind), kind)
    assert (found == value and type(found) is type(value)) or (name, found) == (
        "any inside",
        {"a": [1, [2, 3]], "b": None},
    )


def test_a_subclass_is_read_as_what_is_declared() -> None:
    class Puppy(Dog):
        age: int = 1

    assert load(dump([Puppy(name="rex")], list[Dog]), list[Dog]) == [Dog(name="rex")]


LOST: dict[str, tuple[Any, Any, str]] = {
    "secret": (Login(user="ann", password=SecretStr("x")), Login, "who.password: it is a secret"),
    "secret in loose data": (
        {"all": [Login(user="ann", password=SecretStr("x"))]},
        Any,
        "who.all[0].password: it is a secret",
    ),
    "secret in a typed dict of anything": ({"key": SecretStr("x")}, dict[str, Any], "who.key: it is a secret"),
    "excluded field": (Partial(shown=1, hidden=2), Partial, "who.hidden: Field required"),
    "excluded field with a default": (Forgetful(hidden=2), Forgetful, "who.hidden: it is not what JSON gives back"),
    "excluded field in loose data": ([Forgetful(hidden=2)], Any, "who[0].hidden: it is not what JSON gives back"),
    "serializer that loses": ([Lossy(name="long")], list[Lossy], "who[0].name: it is not what JSON gives back"),
    "union of the same fields": (Dog(name="rex"), Cat | Dog, "who: it is not what JSON gives back"),
    "a date that reads as a text": (
        {"on": date(2024, 2, 29)},
        dict[str, date | str],
        "who.on: it is not what JSON gives back",
    ),
    "keys of one text": ({1: "a", "1": "b"}, Any, "who: it has fewer entries"),
    "keys that are no texts": (
        {(1, 2): "x"},
        dict[tuple[int, int], str],
        "who.1,2.[key]: Input should be a valid tuple",
    ),
    "iterator": (iter([1]), Any, "who: it is an iterator"),
    "iterator inside": ({"a": [map(str, [1])]}, Any, "who.a[0]: it is an iterator"),
    "file": (io.StringIO("text"), Any, "who: it is an open file; put its bytes into an attachment"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_does_not_read_back_is_refused_with_its_path_at_the_start(name: str) -> None:
    value, kind, said = LOST[name]
    app = App("nowhere", settings=Settings())

    def takes(who: Any) -> None: ...

    takes.__annotations__["who"] = kind
    with pytest.raises(InvalidArguments) as refused:
        app.tool(takes).signature.bind(value)
    assert said in refused.value.reason


def test_a_declared_int_that_is_none_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(
        InvalidPayload, match="it is None, and <class 'int'> is declared; give a value, or declare it as optional"
    ):
        dump(None, int)
    with pytest.raises(InvalidPayload, match=r"at a, Input should be a valid integer when it is read back"):
        dump({"a": None}, dict[str, int])
    assert dump(None, int | None) is None


def test_the_arguments_of_a_step_may_be_secrets_and_are_no_iterators() -> None:
    assert asked([Login(user="ann", password=SecretStr("x"))], strict=False) == [
        {"user": "ann", "password": "**********"}
    ]
    with pytest.raises(InvalidPayload, match="it is an iterator"):
        asked({"args": (iter([1]),)}, strict=False)


# -- the release before


def test_a_row_of_the_release_before_is_known_by_its_content_whatever_order_its_sets_have() -> None:
    envelope = Envelope(kind="step", name="s", args=asked({"args": ({"b", "a"}, Decimal("1.10")), "kwargs": {}}))
    old = (
        '{"n":1,"o":3,"k":"step","h":"0123456789abcdef0123456789abcdef","at":7,"f":"s",'
        '"e":{"args":[["b","a"],"1.10"],"kwargs":{}}}'
    )
    assert JournalRow.from_json(old).is_of(envelope)
    assert JournalRow.from_json(old.replace('["b","a"]', '["b","c"]')).is_of(envelope) is False
    assert JournalRow.from_json(old.replace('"f":"s"', '"f":"t"')).is_of(envelope) is False
    assert JournalRow.from_json(old.replace('"f":"s"', '"f":"s","s":1')).is_of(envelope) is False
    long = Envelope(kind="step", name="s", args=asked({f"{n:08}" for n in range(1000)}))
    assert JournalRow.from_json(old.partition(',"e"')[0] + "}").is_of(long)


def test_an_effect_without_sets_has_the_hash_it_always_had() -> None:
    args = {"args": ["1.10", "2026-07-01T12:00:00+02:00", 2.0, None], "kwargs": {}}
    given = asked({"args": (Decimal("1.10"), datetime(2026, 7, 1, 12, tzinfo=BERLIN), 2.0, None), "kwargs": {}})
    assert envelope_hash(Envelope(kind="step", name="s", args=given)) == envelope_hash(
        Envelope(kind="step", name="s", args=args)
    )
    assert envelope_hash(Envelope(kind="step", name="s", args=args)) == "f9dd40223ff0afc4f1ac68e43ccef969"


@pytest.mark.parametrize(
    ("stored", "given", "same"),
    [
        ([[3, 1], [2]], [{1, 3}, [2]], True),
        ([[3, 1], [2]], [{1, 3}, [3]], False),
        ([[["b", "a"], ["c"]]], [{frozenset({"c"}), frozenset({"a", "b"})}], True),
        ([[1, 1]], [{1, 2}], False),
        ([[2, 1]], [[1, 2]], False),
        (["1.1"], [Decimal("1.10")], True),
        (["2026-07-01T10:00:00Z"], [datetime(2026, 7, 1, 12, tzinfo=BERLIN)], True),
        (["1.1"], ["1.10"], False),
        ({"a": [2, 1]}, {"a": {1, 2}}, True),
        ({"a": [2, 1]}, {"b": {1, 2}}, False),
    ],
)
def test_stored_data_means_marked_data_where_only_the_order_of_its_sets_differs(
    stored: Any, given: Any, same: bool
) -> None:
    assert means(stored, asked(given)) is same
    assert is_marked(asked(given)) is (given not in ([[1, 2]], ["1.10"]))
    assert to_json(asked(given)) == to_json(dump(given))
