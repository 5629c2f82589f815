"""Tools as the SDK takes them."""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict


def tool_definition(
    name: str,
    call: Callable[..., Awaitable[Any]],
    description: str,
    arguments: dict[str, Any],
    gives: type[BaseModel],
    answer: dict[str, Any],
    *,
    reads: bool,
    meta: dict[str, Any] | None,
) -> Tool:
    """A tool whose arguments and results are described by schemas of ours, and judged by models of ours.

    Args:
        call: answers it.
        arguments, answer: the JSON Schemas that clients see.
        gives: the model of what it answers.
        reads: whether it changes and spends nothing.
        meta: what the extensions say of it.
    """
    return Tool(
        fn=call,
        name=name,
        title=name.replace("_", " "),
        description=description,
        parameters=arguments,
        fn_metadata=FuncMetadata(arg_model=_AnyArguments, output_model=gives, output_schema=answer),
        is_async=True,
        context_kwarg="ctx",
        annotations=ToolAnnotations(
            read_only_hint=reads, destructive_hint=False, idempotent_hint=reads, open_world_hint=not reads
        ),
        meta=meta,
    )


class _AnyArguments(ArgModelBase):
    """Takes whatever comes and hands it on: the request models judge it, in their own words."""

    model_config = ConfigDict(extra="allow")

    def model_dump_one_level(self) -> dict[str, Any]:
        return {"arguments": dict(self.model_extra or {})}
