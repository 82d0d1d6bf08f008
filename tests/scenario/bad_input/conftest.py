"""Bad input meets the real scripts, programs and runner in this process, under a virtual clock, on fakeredis and on
every real server."""

from __future__ import annotations

from tests.races.conftest import app, backend, lua_server, world

__all__ = ["app", "backend", "lua_server", "world"]
