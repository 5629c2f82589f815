"""Asking the person, through the client, whether an image may be added to a library; in either protocol generation.

What is agreed to is one image with its words: from 2026-07-28 on, where the call comes a second time with the answer,
another image or another caption asks anew.
"""

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from imagerag.assistants.adding import Addition, add, declined, not_asked, planned_addition
from imagerag.assistants.tool_inputs import AddImage
from imagerag.assistants.tool_result import ToolResult
from imagerag.mcp.elicitation import can_ask, is_modern

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context
    from mcp_types import InputRequiredResult

    from imagerag.assistants.service import ChatService

KEY: Final = "consent"


class ElicitedConsent(BaseModel):
    """An image for a library."""

    model_config = ConfigDict(title="Add an image")  # clients show both

    add: bool = Field(default=True, title="Add it", description="Whether the image is added to the library.")


async def add_image(
    service: "ChatService", request: AddImage, ctx: "Context[Any, Any]"
) -> "ToolResult | InputRequiredResult":
    """Ask, and add on yes.

    Raises:
        ImageRAGError: the image may not be read, or the library may not be changed.
    """
    addition = await planned_addition(service.rag, service.images, request)
    if not can_ask(ctx):
        return await not_asked(service.images, addition)
    if not is_modern(ctx):
        agreed = await _asked_now(ctx, addition)
    elif ctx.request_state != addition.digest:
        return _question(addition)
    else:
        agreed = _said_later(ctx)
    return await add(service.rag, service.images, addition) if agreed else declined(addition)


async def _asked_now(ctx: "Context[Any, Any]", addition: Addition) -> bool:
    """Ask during the call (up to 2025-11-25)."""
    from mcp.server.elicitation import AcceptedElicitation

    try:
        elicited = await ctx.elicit(addition.question, ElicitedConsent)
    except ValueError:  # accepted, but not with what the form asks for
        return False
    return isinstance(elicited, AcceptedElicitation) and elicited.data.add


def _question(addition: Addition) -> "InputRequiredResult":
    """The question as a result (from 2026-07-28 on); its sealed state says what it is about."""
    from mcp.server.elicitation import render_elicitation_schema
    from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

    form = ElicitRequestFormParams(
        message=addition.question, requested_schema=render_elicitation_schema(ElicitedConsent)
    )
    return InputRequiredResult(request_state=addition.digest, input_requests={KEY: ElicitRequest(params=form)})


def _said_later(ctx: "Context[Any, Any]") -> bool:
    """Whether the user agreed, in the second half of a call; what is not a plain yes is none."""
    from mcp_types import ElicitResult

    response = (ctx.input_responses or {}).get(KEY)
    if not isinstance(response, ElicitResult) or response.action != "accept":
        return False
    return (response.content or {}).get("add", True) is True
