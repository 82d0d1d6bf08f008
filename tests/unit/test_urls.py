"""What may hold a password is shown by nothing: not in an error, not in a repr, not in the line that says which server
it is."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.attachments.choosing import chosen_backend
from wakeline.embedded import Embedded
from wakeline.errors import RedisRefused, SettingsInvalid, TlsFailed
from wakeline.settings import Settings
from wakeline.store.backends import backend_of
from wakeline.store.connection import FakeBackend

FORMS = (
    "redis://:{}@localhost:6379/0",
    "redis://user:{}@localhost:6379/0",
    "rediss://user:{}@localhost",
    "redis://:{}@localhost/shop",
    "sentinel://user:{}@host:26379,other/service/0",
    "cluster://user:{}@host:6379,other:6379",
    "cluster://user:{}@host?password={}",
    "unix://:{}@/tmp/redis.sock",
    "{}@localhost:6379",
    "http://user:{}@localhost",
)
PARTS = (
    "QQsecretQQ/WWsecretWW",
    "QQsecretQQ@WWsecretWW",
    "12/QQsecretQQ@WWsecretWW",
    "12?QQsecretQQ=WWsecretWW",
    "12#QQsecretQQ",
    "1/QQsecretQQ",
    "QQsecretQQ:WWsecretWW",
    "[QQsecretQQ",
    "QQsecretQQ]WWsecretWW",
    "QQsecretQQ,WWsecretWW",
    "QQsecretQQ℀WWsecretWW",
    "%ZZQQsecretQQ",
)


def said(url: str) -> str:
    """All that a user of this URL may come to see before anything is connected."""
    settings = Settings.from_env({"REDIS_URL": url})
    seen = [repr(settings), str(settings)]
    try:
        backend = backend_of(url, "shop", rq_prefix="{shop}:rq", options=settings.tls_options())
        seen += [backend.describe(), repr(backend), repr(Embedded(backend, url, backend.describe()))]
    except (RedisRefused, TlsFailed) as error:
        seen += [str(error), repr(error), str(error.to_json()), traceback.format_exc()]
    return "\n".join(seen)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("password", PARTS)
def test_no_part_of_a_password_is_shown_whatever_it_does_to_the_url(form: str, password: str) -> None:
    text = said(form.replace("{}", password))
    assert "secret" not in text.lower().replace("passwords", "")


@given(
    st.sampled_from(FORMS),
    st.lists(
        st.sampled_from(["/", ":", "@", "?", "#", "%", "&", "=", "[", "]", ",", " ", "1", "QsecretQ"]),
        min_size=1,
        max_size=8,
    ),
)
def test_no_part_of_any_password_is_shown(form: str, pieces: list[str]) -> None:
    assert "secret" not in said(form.replace("{}", "QsecretQ" + "".join(pieces)))


def test_an_at_behind_the_host_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(RedisRefused) as refused:
        backend_of("redis://user:12/secret@localhost:6379", "shop")
    assert refused.value.fields == {
        "reason": "the URL has an @ behind its host; in a password, / : @ and ? have to be percent-encoded"
    }


def test_a_password_that_is_encoded_is_sent_as_it_is_meant() -> None:
    made = backend_of("redis://user:a%2Fb%40c%3Fd%23e@localhost:6379/1", "shop").sync()
    assert made.connection_pool.connection_kwargs["password"] == "a/b@c?d#e"


def test_what_is_wrong_is_shown_where_it_cannot_be_a_password() -> None:
    for url, words in (("http://localhost", "not 'http'"), ("redis://localhost/shop", "not '/shop'")):
        with pytest.raises(RedisRefused, match=words):
            backend_of(url, "shop")


@pytest.mark.parametrize("setting", ["s3//key:secret@bucket", "https://key:secret@host/bucket", "dir:secret@x"])
def test_a_setting_of_attachments_that_may_hold_a_password_is_not_shown(setting: str) -> None:
    assert "secret" not in repr(Settings(attachments=setting))
    with pytest.raises(SettingsInvalid) as refused:
        chosen_backend(setting)
    assert "secret" not in str(refused.value) + str(refused.value.to_json())


def test_the_fake_says_what_it_is() -> None:
    assert FakeBackend().describe() == "in-process fakeredis"
