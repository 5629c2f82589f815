"""Letting a human choose references through the client, in the way of either protocol generation.

Up to 2025-11-25 the server asks during the call (`elicitation/create`). From 2026-07-28 on it may not: the call ends
with what it needs to know, and the client makes it again with the answer. Clients without elicitation get the numbered
question as the result, and answer it with `continue_run`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.errors import UsageError
from imagerag.formatting.numbers import cosine
from imagerag.formatting.quoting import line, quoted

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context
    from mcp_types import InputRequiredResult

    from imagerag.assistants.tool_result import ToolResult

MODERN: Final = "2026-07-28"
KEY: Final = "references"
ASKED_AT_MOST: Final = 3
SHOWN: Final = 32
_IN_THE_APP: Final = "the user sees the references and chooses among them in the app beside this answer: wait for that."
_NONE: Final = frozenset({"", "none", "no", "0", "[]"})


class ElicitedChoice(BaseModel):
    """The references to draw with."""

    # Clients show the title and the docstring. Text, because every client can show it.
    model_config = ConfigDict(title="References")

    numbers: str = Field(
        default="",
        title="Numbers",
        description="Numbers of the references to use, best first, with commas between them; nothing takes none.",
        max_length=200,
    )


def is_modern(ctx: "Context[Any, Any]") -> bool:
    """Whether questions are part of results, as from 2026-07-28 on."""
    from mcp_types.version import is_version_at_least

    return ctx.protocol_version is not None and is_version_at_least(ctx.protocol_version, MODERN)


def can_ask(ctx: "Context[Any, Any]") -> bool:
    """Whether the client shows forms to its user. One that says only `elicitation: {}` does."""
    capabilities = ctx.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return False
    return capabilities.elicitation.form is not None or capabilities.elicitation.url is None


def waits(answer: "ToolResult") -> bool:
    """Whether a run waits for a choice."""
    return answer.data.get("kind") == "run" and answer.data.get("status") == "interrupted"


def selection_of(answer: "ToolResult", reply: str) -> list[str]:
    """The numbers that were chosen.

    Raises:
        UsageError: not numbers that were offered; says which there are.
    """
    offered = [str(reference["number"]) for reference in answer.data.get("offered", ())]
    if reply.strip().lower() in _NONE:
        return []
    picks = [str(int(pick)) for pick in re.findall(r"[0-9]{1,4}", reply)]
    wrong = re.sub(r"[0-9,;\s]|and", "", reply) or any(pick not in offered for pick in picks)
    if wrong or not picks:
        raise UsageError(f"{line(reply, 40)!r} are not numbers from 1 to {len(offered)}, with commas, or 'none'")
    distinct, limit = list(dict.fromkeys(picks)), answer.data.get("max_selections")
    if limit is not None and len(distinct) > limit:
        raise UsageError(f"{len(distinct)} are too many: at most {limit} can be sent with the prompt")
    return distinct


def leave_to_app(answer: "ToolResult") -> "ToolResult":
    """The answer for a client that shows the app: the user chooses there, and the model waits for that."""
    text, _, _ = answer.text.rpartition("\nNext: ")
    return replace(answer, text=f"{text}\nNext: {_IN_THE_APP}")


def question(answer: "ToolResult", problem: str = "") -> str:
    """The question for a human: numbered, with similarity, title and licence; of images from the web the page, too."""
    offered: Sequence[Mapping[str, Any]] = answer.data.get("offered", ())
    limit = answer.data.get("max_selections")
    most = f", at most {limit} of them" if limit else ""
    lines = [f"Which images from the library may be used{most}?", *map(_offer, offered[:SHOWN])]
    return "\n".join([*([f"{problem}."] if problem else []), *lines])[:8_000]


def _offer(reference: Mapping[str, Any]) -> str:
    similarity = reference.get("similarity")
    alike = f", similarity {cosine(similarity)}" if isinstance(similarity, int | float) else ""
    title = reference.get("title") or reference.get("caption") or "untitled"
    licence = quoted(reference["licence"], 40) if reference.get("licence") else "unknown"
    title_text = f"{quoted(title, 60)} for {quoted(reference.get('concept', ''), 40)}"
    web = (
        f", by {quoted(reference.get('author') or 'unknown', 40)}, {reference['source']}"
        if reference.get("source")
        else ""
    )
    return f"{reference['number']}. {title_text}{alike}, licence {licence}{web}"


async def ask_now(ctx: "Context[Any, Any]", answer: "ToolResult") -> list[str] | None:
    """Ask during the call (up to 2025-11-25). None when the human did not say."""
    from mcp.server.elicitation import AcceptedElicitation

    problem = ""
    for _ in range(ASKED_AT_MOST):
        try:
            elicited = await ctx.elicit(question(answer, problem), ElicitedChoice)
        except ValueError as error:  # accepted, but not with what the form asks for
            problem = str(error)
            continue
        if not isinstance(elicited, AcceptedElicitation):
            return None
        try:
            return selection_of(answer, elicited.data.numbers)
        except UsageError as error:
            problem = str(error)
    return None


def ask_later(answer: "ToolResult", problem: str = "") -> "InputRequiredResult":
    """The question as a result (from 2026-07-28 on); its sealed state says which run it is about."""
    from mcp.server.elicitation import render_elicitation_schema
    from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

    form = ElicitRequestFormParams(
        message=question(answer, problem), requested_schema=render_elicitation_schema(ElicitedChoice)
    )
    return InputRequiredResult(
        request_state=str(answer.data["run_id"]), input_requests={KEY: ElicitRequest(params=form)}
    )


def said_later(ctx: "Context[Any, Any]") -> str | None:
    """The user's reply to `ask_later`; None when they declined.

    Raises:
        UsageError: the client came back without an answer.
    """
    from mcp_types import ElicitResult

    response = (ctx.input_responses or {}).get(KEY)
    if not isinstance(response, ElicitResult):
        raise UsageError("the call came back without the answer to its question")
    if response.action != "accept":
        return None
    numbers = (response.content or {}).get("numbers", "")
    return (
        numbers
        if isinstance(numbers, str)
        else ",".join(map(str, numbers))
        if isinstance(numbers, list)
        else str(numbers)
    )
