"""Finds the app that a worker or the command line serves, with the modules that it includes. The app is
``module:attribute``, given or in ``WAKELINE_APP``. Finds also the instrument that ``WAKELINE_INSTRUMENT`` names for
workers.

Invariant: a loaded app knows all of its bodies. If it has no code for a name, this release has none.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType

from wakeline.app import App
from wakeline.errors import AppNotFound, InstrumentNotFound, WakelineError
from wakeline.telemetry.instrument import Instrument

NAME_IT = "Name it as module:attribute with -A or WAKELINE_APP"
INCLUDE_IT = "Name modules that can be imported in include="
MEND_IT = "It was found; correct it"
NAME_INSTRUMENT = (
    "Set WAKELINE_INSTRUMENT to module:attribute of an object of a class below wakeline.extending.Instrument"
)


def load_for_work(target: str | None = None) -> App:
    """As `load_app`, with the instrument of ``WAKELINE_INSTRUMENT``: for what runs work or keeps it going. Raises
    `InstrumentNotFound` too."""
    app = load_app(target)
    if app.settings.instrument is not None:
        app.observe(_instrument(app.settings.instrument))
    return app


def _instrument(target: str) -> Instrument:
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        reason = "the name has no module and attribute around a colon"
        raise InstrumentNotFound(target=target, reason=reason, advice=NAME_INSTRUMENT)
    try:
        found = getattr(_import(module_name, "it", target), attribute)
    except AppNotFound as broken:
        raise InstrumentNotFound(target=target, reason=broken.reason, advice=MEND_IT) from broken
    except (ImportError, AttributeError) as error:
        raise InstrumentNotFound(target=target, reason=str(error), advice=NAME_INSTRUMENT) from error
    if isinstance(found, type) and issubclass(found, Instrument):
        try:
            return found()
        except Exception as error:  # the boundary to user code, as an import is
            reason = f"{attribute} is a class, and making one raised {type(error).__name__}: {error}"
            raise InstrumentNotFound(target=target, reason=reason, advice=MEND_IT) from error
    if not isinstance(found, Instrument):
        what = "a class of something else" if isinstance(found, type) else f"a {type(found).__name__}"
        what = f"{what}, not an Instrument"
        raise InstrumentNotFound(target=target, reason=f"{attribute} is {what}", advice=NAME_INSTRUMENT)
    return found


def load_app(target: str | None = None) -> App:
    """The app, with its included modules imported; raises `AppNotFound` naming the module that failed."""
    name = target or os.environ.get("WAKELINE_APP", "")
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise AppNotFound(
            target=name,
            reason="the name has no module and attribute around a colon" if name else "none was named",
            advice=NAME_IT,
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        app = getattr(_import(module_name, "it", name), attribute)
    except (ImportError, AttributeError) as error:
        raise AppNotFound(target=name, reason=str(error), advice=NAME_IT) from error
    if not isinstance(app, App):
        raise AppNotFound(target=name, reason=f"{attribute} is a {type(app).__name__}, not an App", advice=NAME_IT)
    _include(app, name)
    app.target = name
    return app


def _include(app: App, target: str) -> None:
    imported: list[str] = []
    while left := [module for module in app.included if module not in imported]:
        # An included module may include others.
        try:
            _import(left[0], left[0], target)
        except ImportError as error:
            raise AppNotFound(target=target, reason=f"it includes {left[0]}: {error}", advice=INCLUDE_IT) from error
        imported.append(left[0])


def _import(module: str, called: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except WakelineError:
        raise  # an invalid body says itself what to do
    except Exception as error:  # the boundary to user code: a module may raise anything while it is imported
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise  # the module itself, or a package that should contain it
        raised = f"importing {called} raised {type(error).__name__} at {_place(error)}: {error}"
        raise AppNotFound(target=target, reason=raised, advice=MEND_IT) from error


def _place(error: Exception) -> str:
    """Where in the user's own files it happened: the deepest line under the working directory."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.relpath(error.filename)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(os.getcwd() + os.sep)]
    last = (own or frames)[-1]
    return f"{os.path.relpath(last.filename)}:{last.lineno}"
