"""Finds the app a worker serves: ``module:attribute``, from the command line or ``WAKELINE_APP``."""

from __future__ import annotations

import importlib
import os
import sys

from wakeline.app import App
from wakeline.errors import AppNotFound


def load_app(target: str | None = None) -> App:
    """The app; raises `AppNotFound` saying what to do."""
    name = target or os.environ.get("WAKELINE_APP", "")
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise AppNotFound(target=name, reason="name it as module:attribute with -A or WAKELINE_APP")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        app = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise AppNotFound(target=name, reason=str(error)) from error
    if not isinstance(app, App):
        raise AppNotFound(target=name, reason=f"{attribute} is a {type(app).__name__}, not an App")
    return app
