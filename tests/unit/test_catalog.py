"""The tool catalog decides; what it does not know is asked of providers, or has the defaults."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError
from wakeline.engines.registry import Registry
from wakeline.errors import BodyInvalid, DuplicateName, InvalidArguments, InvalidPayload
from wakeline.tools.catalog import ToolCatalog, callable_manifest, callable_manifest_by_id, projection_of, scheduling_of
from wakeline.tools.definition import MATERIALIZE, Availability, ToolContract, ToolManifest, preserve_projected_refs_in
from wakeline.tools.leftovers import Leftovers
from wakeline.tools.provided import ProvidedTool
from wakeline.tools.tool import Tool


class Provider:
    """Shows some tools, resolves others too, and notes what it was asked."""

    def __init__(
        self,
        shown: Sequence[ToolManifest] = (),
        hidden: Sequence[ToolManifest] = (),
        contract: ToolContract | None = None,
    ) -> None:
        self.shown, self.hidden, self.contract = shown, hidden, contract
        self.asked: list[str] = []

    def tool_manifests(self) -> Sequence[ToolManifest]:
        return self.shown

    def resolve(self, name: str) -> ToolManifest | None:
        self.asked.append(name)
        return next((m for m in (*self.shown, *self.hidden) if m.name == name), None)

    def resolve_contract(self, name: str) -> ToolContract | None:
        return self.contract

    async def execute(self, name: str, args: dict[str, Any]) -> Any:
        return [name, args]


def manifest(name: str, availability: Availability = "callable", **over: Any) -> ToolManifest:
    return ToolManifest(id=f"tool:{name}", name=name, availability=availability, **over)


def test_tool_argument_projection_policy_resolves_from_active_catalog_and_defaults_unknown() -> None:
    seedy = manifest("seedy", argument_projection=preserve_projected_refs_in("seed"))
    catalog = ToolCatalog.from_tools([seedy], {})
    assert projection_of(catalog, "seedy") == preserve_projected_refs_in("seed")
    assert projection_of(catalog, "missing") == MATERIALIZE


def test_scheduling_is_the_catalogs_too() -> None:
    catalog = ToolCatalog([manifest("one_by_one", scheduling="serial")])
    assert (scheduling_of(catalog, "one_by_one"), scheduling_of(catalog, "missing")) == ("serial", "parallel")


def test_an_entry_of_the_catalog_is_decisive_and_no_provider_is_asked() -> None:
    provider = Provider([manifest("known")])
    catalog = ToolCatalog.from_tools([manifest("known"), manifest("off")], {"known": "searchable", "off": "off"})
    assert callable_manifest(catalog, [provider], "known") is None
    assert callable_manifest(catalog, [provider], "off") is None
    assert callable_manifest_by_id(catalog, [provider], "tool:known") is None
    assert provider.asked == []


@pytest.mark.parametrize(
    ("availability", "found"), [("off", False), ("searchable", False), ("callable", True), ("showcased", True)]
)
def test_a_call_resolves_from_callable_on(availability: Availability, found: bool) -> None:
    assert (callable_manifest(ToolCatalog([manifest("t", availability)]), [], "t") is not None) is found
    assert (callable_manifest(ToolCatalog(), [Provider([manifest("t", availability)])], "t") is not None) is found
    assert (
        callable_manifest_by_id(ToolCatalog(), [Provider([manifest("t", availability)])], "tool:t") is not None
    ) is found


def test_a_provider_resolves_names_it_does_not_show_and_ids_only_of_what_it_shows() -> None:
    provider = Provider([manifest("shown")], [manifest("unshown")])
    assert callable_manifest(ToolCatalog(), [Provider(), provider], "unshown") == manifest("unshown")
    assert callable_manifest_by_id(ToolCatalog(), [Provider(), provider], "tool:shown") == manifest("shown")
    assert callable_manifest_by_id(ToolCatalog(), [Provider(), provider], "tool:unshown") is None


def test_two_tools_of_one_name_or_id_are_no_catalog() -> None:
    for other in (manifest("t"), ToolManifest(id="tool:t", name="u")):
        with pytest.raises(DuplicateName):
            ToolCatalog([manifest("t"), other])


def test_a_fingerprint_is_of_the_content_whatever_the_order() -> None:
    one, other = ToolCatalog([manifest("a"), manifest("b")]), ToolCatalog([manifest("b"), manifest("a")])
    assert one.fingerprint == other.fingerprint != ToolCatalog([manifest("a")]).fingerprint
    assert (one.callable_names, len(one), [m.name for m in one]) == (["a", "b"], 2, ["a", "b"])


def test_a_functions_manifest_and_contract_follow_from_it() -> None:
    def charge(order: int, note: str = "") -> str:
        """Charge an order."""
        return ""

    tool = Tool(charge, scheduling="serial", examples=[{"order": 1}])
    assert tool.manifest == ToolManifest(
        id="tool:charge", name="charge", description="Charge an order.", scheduling="serial"
    )
    assert tool.contract.input_schema["required"] == ["order"]
    assert tool.contract.output_schema == {"type": "string"}
    assert tool.contract.examples == ({"order": 1},)
    with pytest.raises(BodyInvalid):
        Tool(charge, id="")
    with pytest.raises(ValidationError):
        ToolManifest(id="x", name="")


def test_a_provided_tool_is_checked_by_its_contract_at_both_ends() -> None:
    contract = ToolContract(
        input_schema={
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        },
        output_schema={"type": "integer"},
    )
    tool = ProvidedTool(Provider([manifest("add")], contract=contract), manifest("add"))
    assert tool.signature.bind(n=1) == tool.signature.bind_json({"n": 1}) == {"n": 1}
    assert tool.contract == contract and tool.signature.schema == contract.input_schema
    for wrong in ({}, {"n": "one"}, {"n": 1, "m": 2}, [1]):
        with pytest.raises(InvalidArguments):
            tool.signature.bind_json(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments):
        tool.signature.bind(1)
    assert tool.signature.dump_result(3) == 3
    with pytest.raises(InvalidPayload):
        tool.signature.dump_result("three")


def test_leftovers_are_drained_once_in_order_whichever_threads_left_them() -> None:
    left: Leftovers[int] = Leftovers()
    threads = [threading.Thread(target=lambda: [left.add(n) for n in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drained = left.drain()
    assert (len(drained), left.drain()) == (400, [])
    left.add(1)
    left.add(2)
    assert left.drain() == [1, 2]


def test_a_tool_that_is_declared_again_shows_its_new_manifest() -> None:
    def charge() -> None: ...

    registry = Registry()
    registry.add("tool", registry.tools, Tool(charge))
    first = registry.catalog
    assert registry.catalog is first
    registry.add("tool", registry.tools, Tool(charge, scheduling="serial"))
    assert scheduling_of(registry.catalog, "charge") == "serial"
    assert scheduling_of(first, "charge") == "parallel"
