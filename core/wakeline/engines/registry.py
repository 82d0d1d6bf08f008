"""The bodies that one release of an app knows by name.

Invariant: a name (of an engine, with its version) means one body. A process without a body here stays queued and
visible, and never fails for it.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

from wakeline.engines.engine import Engine
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.errors import DuplicateName, SettingsInvalid, UnknownAgent, UnknownName
from wakeline.processes.code import ANY_TOOL, agent_code, engine_code, tool_code
from wakeline.sessions.agent import Agent
from wakeline.telemetry.instruments import Instruments
from wakeline.tools.catalog import ToolCatalog, ToolProvider
from wakeline.tools.completions import CompletionClient, UnavailableCompletions
from wakeline.tools.hooks import Hooks
from wakeline.tools.provided import ProvidedTool
from wakeline.tools.tool import Tool
from wakeline.triggers.schedule import Schedule

B = TypeVar("B", Tool[..., Any], Engine[..., Any], Agent)
ReplayMode = Literal["strict", "tell"]
"""What follows if a body asks for a new effect and has not asked for all recorded ones: a mismatch, or a line in the
log."""


def check_replay(mode: ReplayMode) -> ReplayMode:
    """The mode; raises `SettingsInvalid` for any other word."""
    if mode not in get_args(ReplayMode):
        raise SettingsInvalid(name="replay", value=mode, reason=f"it is one of {', '.join(get_args(ReplayMode))}")
    return mode


class Registry:
    """Tools, engines and agents by name, and the environment that starts of this app capture."""

    def __init__(self, environment: EnvironmentSpec = EMPTY) -> None:
        self.environment = environment
        self.replay: ReplayMode = "strict"
        self.tools: dict[str, Tool[..., Any]] = {}
        self.engines: dict[str, Engine[..., Any]] = {}
        """The version of each name that is started."""
        self.versions: dict[tuple[str, str | None], Engine[..., Any]] = {}
        """All versions that run here."""
        self.agents: dict[str, Agent] = {}
        self._renamed: dict[str, str] = {}
        """The present name for each former name of a tool or an engine."""
        self.schedules: dict[str, Schedule] = {}
        self.providers: list[ToolProvider] = []
        self.hooks = Hooks()
        self.instruments = Instruments()
        """Told what this app does."""
        self.extensions: dict[type, object] = {}
        self.completions: CompletionClient = UnavailableCompletions("the app has no completion client")
        self._catalog: ToolCatalog | None = None

    def add(self, kind: str, table: dict[str, B], body: B) -> B:
        """Registers a body; raises `DuplicateName` if another function has the name. Engines and tools share their
        names, because both are started by name."""
        known = (
            table.get(body.name) if table is self.agents else self.engines.get(body.name) or self.tools.get(body.name)
        )
        if known is not None and known.function is not body.function:
            raise DuplicateName(kind=kind, name=body.name)
        if isinstance(body, Tool) and any(
            other.manifest.id == body.manifest.id for other in self.tools.values() if other.name != body.name
        ):
            raise DuplicateName(kind="tool id", name=body.manifest.id)
        if not isinstance(body, Agent):
            self._rename(body)
        table[body.name] = body
        self._catalog = None
        return body

    def _rename(self, body: Tool[..., Any] | Engine[..., Any]) -> None:
        """Notes the former names of a body. Raises `DuplicateName` if another body has or had one of them, or if the
        body's own name is a former name of another."""
        if body.name in self._renamed:
            raise DuplicateName(kind="former", name=body.name)
        for name in body.was:
            if name in self.tools or name in self.engines or self._renamed.get(name, body.name) != body.name:
                raise DuplicateName(kind="former", name=name)
            self._renamed[name] = body.name

    def current(self, name: str) -> str:
        """The present name of a tool or an engine with this name."""
        return self._renamed.get(name, name)

    def add_engine(self, engine: Engine[..., Any]) -> Engine[..., Any]:
        """Registers one version of an engine. The last version is started, or the last one with ``default=True``. Each
        version runs its own processes."""
        known = self.versions.get((engine.name, engine.version))
        if engine.name in self.tools or (known is not None and known.source is not engine.source):
            raise DuplicateName(
                kind="engine", name=engine.name if engine.version is None else f"{engine.name} version {engine.version}"
            )
        self._rename(engine)
        self.versions[engine.name, engine.version] = engine
        started = self.engines.get(engine.name)
        if started is None or engine.is_default or not started.is_default or started is known:
            self.engines[engine.name] = engine
        return engine

    def has_engine(self, name: str, version: str | None) -> bool:
        """Whether processes of this version can run here."""
        return (self.current(name), version) in self.versions

    def former_names_of_signal(self, name: str) -> tuple[str, ...]:
        """The former names of a signal as engines declare them, oldest first. Names that some engine uses for another
        signal are left out."""
        engines = self.versions.values()
        former = (
            one for engine in engines if name in engine.signals for one in engine.names_of_signal(name) if one != name
        )
        return tuple(
            dict.fromkeys(one for one in former if not any({name, one} <= engine.signals.keys() for engine in engines))
        )

    @property
    def catalog(self) -> ToolCatalog:
        """A snapshot of the app's own tools; the same object until another tool is declared."""
        if self._catalog is None:
            self._catalog = ToolCatalog.from_tools(tool.manifest for tool in self.tools.values())
        return self._catalog

    def tool(self, name: str) -> Tool[..., Any]:
        """A tool of the app, or of a provider; raises `UnknownName`."""
        found = self.tools.get(self.current(name)) or next(
            (
                ProvidedTool(p, m)
                for p in self.providers
                if (m := p.resolve(name)) is not None and m.name == name and m.is_callable
            ),
            None,
        )
        if found is None:
            raise UnknownName(kind="tool", name=name, known=sorted(self.tools))
        return found

    def engine(self, name: str, version: str | None = None) -> Engine[..., Any]:
        """The engine of exactly this version; raises `UnknownName`."""
        found = self.versions.get((self.current(name), version))
        if found is None:
            known = sorted(f"{one} version {of}" if of else one for one, of in self.versions)
            raise UnknownName(kind="engine", name=f"{name} version {version}" if version else name, known=known)
        return found

    def agent(self, name: str) -> Agent:
        if name not in self.agents:
            raise UnknownAgent(agent=name)
        return self.agents[name]

    @property
    def codes(self) -> list[str]:
        """What can run here, in the form of the scripts: agents, engines with their versions, tools, and any tool of a
        provider."""
        named = {
            name: [name, *(old for old, new in self._renamed.items() if new == name)]
            for name in (*self.engines, *self.tools)
        }
        engines = [engine_code(one, version) for name, version in self.versions for one in named.get(name, [name])]
        tools = [tool_code(one) for name in self.tools for one in named[name]] + ([ANY_TOOL] if self.providers else [])
        return sorted([*engines, *tools, *(agent_code(name) for name in self.agents)])

    @property
    def isolated_codes(self) -> tuple[str, ...]:
        """Those of `codes` that run in isolates: isolated tools, under each of their names."""
        isolated = [name for name, tool in self.tools.items() if tool.isolation is not None]
        former = [old for old, new in self._renamed.items() if new in isolated]
        return tuple(sorted(tool_code(name) for name in (*isolated, *former)))

    @property
    def policies(self) -> dict[str, str]:
        """What the turns of each agent take, in the form of the scripts."""
        return {name: agent.policy.wire() for name, agent in self.agents.items()}

    def startable(self, name: str) -> Tool[..., Any] | Engine[..., Any]:
        """An engine or tool by name; raises `UnknownName` listing what there is."""
        found = self.engines.get(self.current(name)) or self.tools.get(self.current(name))
        if found is None:
            raise UnknownName(kind="engine or tool", name=name, known=sorted([*self.engines, *self.tools]))
        return found
