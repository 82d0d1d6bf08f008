"""A tool of a provider, in the form of a function's tool: the same call path runs both.

Invariant: the schemas of its contract check its arguments and result at both ends, as annotations do for a function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from wakeline.arguments import Signature
from wakeline.errors import InvalidArguments, InvalidPayload, PayloadSchemaMismatch
from wakeline.processes.schema import check_payload
from wakeline.tools.catalog import ToolProvider
from wakeline.tools.definition import ToolContract, ToolManifest
from wakeline.tools.tool import Tool
from wakeline.typed import asked, dump
from wakeline.values import Json


class ContractSignature(Signature):
    """Parameters and result according to the schemas of a contract."""

    def __init__(self, name: str, contract: ToolContract) -> None:
        super().__init__(name, _anything)
        self._contract = contract

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Json]:
        """The arguments of one call, by name alone; raises `InvalidArguments`."""
        if args:
            raise InvalidArguments(name=self.name, reason="its arguments have names; give them by name")
        return self._checked(kwargs)

    def bind_json(self, data: Json) -> dict[str, Json]:
        """Arguments given as a JSON object; raises `InvalidArguments`."""
        if not isinstance(data, dict):
            raise InvalidArguments(name=self.name, reason="give a JSON object of named arguments")
        return self._checked(data)

    def _checked(self, given: dict[str, Any]) -> dict[str, Json]:
        data = cast("dict[str, Json]", asked(given, dict[str, Any], f"the arguments of {self.name}"))
        try:
            check_payload(self._contract.input_schema, data, f"the arguments of {self.name}")
        except PayloadSchemaMismatch as error:
            raise InvalidArguments(name=self.name, reason=error.message) from error
        return data

    def taken(self, stored: dict[str, Json]) -> Callable[..., Callable[[], Any]]:
        """A stored argument object, given to the provider whole."""
        return partial(_with_arguments, stored)

    def dump_result(self, value: Any) -> Json:
        """A result as JSON data; raises `InvalidPayload` where it breaks the output schema."""
        data: Json = dump(value, Any, f"The result of {self.name}")
        try:
            check_payload(self._contract.output_schema, data, f"the result of {self.name}")
        except PayloadSchemaMismatch as error:
            raise InvalidPayload(what=f"The result of {self.name}", reason=error.message) from error
        return data

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the argument object."""
        return self._contract.input_schema


def _with_arguments(stored: dict[str, Json], function: Callable[..., Any]) -> Callable[[], Any]:
    return partial(function, stored)


def _anything(**given: Any) -> Any:
    raise AssertionError("stands for the parameters only")


class ProvidedTool(Tool[..., Any]):
    """A provider's tool."""

    def __init__(self, provider: ToolProvider, manifest: ToolManifest) -> None:
        async def execute(args: dict[str, Any]) -> Any:
            return await provider.execute(manifest.name, args)

        super().__init__(execute, name=manifest.name, policy=manifest.retry_policy)
        self.manifest = manifest
        self._contract = provider.resolve_contract(manifest.name) or ToolContract()
        self.signature = ContractSignature(manifest.name, self._contract)
