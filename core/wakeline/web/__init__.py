"""The web face: an app over HTTP, for programs and people. It needs the extra ``web``.

`asgi` makes an ASGI app, which `wakeline web` serves, or which another ASGI app mounts.
"""

from __future__ import annotations

from importlib.util import find_spec

from wakeline.errors import ExtraMissing

if find_spec("starlette") is None:
    raise ExtraMissing(what="The web face", extra="web", instead="use the verbs of the app, which do without")

from wakeline.web.face import asgi
from wakeline.web.who import ALLOW_ALL, Authorize, Role, Who

__all__ = ["ALLOW_ALL", "Authorize", "Role", "Who", "asgi"]
