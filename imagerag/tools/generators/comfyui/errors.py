"""Errors of a ComfyUI server, as imagerag's."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from imagerag.agent.errors import AuthError, BackendError, ImageRAGError, RateLimitedError, UsageError
from imagerag.tools.error_bodies import read_body
from imagerag.tools.generators.comfyui.placeholders import Nodes
from imagerag.tools.generators.comfyui.workflow import label
from imagerag.tools.openai.errors import redact
from imagerag.tools.openai.retry_delay import retry_delay

_PROBLEMS: Final = 5
"""Nodes in one message."""
_MEMORY: Final = ("outofmemory", "out of memory", "allocation on device")


class WorkflowRefusedError(UsageError):
    """The server refuses a workflow, and has run nothing.

    Attributes:
        body: its response, `error` and `node_errors`.
    """

    def __init__(self, message: str, body: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.body = body


def unreachable(who: str, address: str, error: Exception) -> BackendError:
    """The error for a failed connection."""
    import httpx2

    begun = not isinstance(error, httpx2.ConnectError | httpx2.InvalidURL)
    backend_error = BackendError(
        f"{who} cannot be reached, or broke off ({type(error).__name__}): does ComfyUI run at {address}?",
        retryable=not isinstance(error, httpx2.InvalidURL),
    )
    backend_error.sent = begun
    return backend_error


def no_comfyui(who: str, what: str) -> BackendError:
    """The error for a response that ComfyUI does not give."""
    return BackendError(f"{who} answered with {what}: is it ComfyUI that runs at this address?", retryable=False)


def error_of_status(
    who: str, status: int, headers: Mapping[str, str], body: bytes, secrets: Collection[str]
) -> ImageRAGError:
    """The error for a response with another status than 200."""
    text = body[: 1 << 20].decode("utf-8", "replace")
    message = f"{who}: {redact(read_body(text).words, secrets) or 'an error without words'} (HTTP {status})"
    if status in (401, 403):
        return AuthError(f"{message}; put the server's key into a variable, and name that: ?key_env=NAME@URL")
    if 300 <= status < 400:
        return BackendError(
            f"{message}; it points elsewhere, which is not followed: name that address", retryable=False
        )
    if status == 404:
        return BackendError(f"{message}; is it ComfyUI that runs at this address?", retryable=False)
    if status == 413:
        return UsageError(f"{message}; the server takes no upload of this size (its option max-upload-size)")
    if status == 429:
        return RateLimitedError(message, retry_after_s=retry_delay(headers, text))
    if status == 400 and (refusal := _refusal(text)) is not None:
        return WorkflowRefusedError(message, refusal)
    return BackendError(message, retryable=status >= 500, retry_after_s=retry_delay(headers, text))


def _refusal(text: str) -> Mapping[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and ("node_errors" in document or "error" in document) else None


def refused(who: str, nodes: Nodes, body: Mapping[str, Any], secrets: Collection[str] = ()) -> UsageError:
    """The error for a refused workflow, with each node's title, class and problem."""
    problems = list(_node_problems(nodes, body))
    if not problems:
        error = body.get("error")
        fields = error if isinstance(error, Mapping) else {"message": error}
        extra = fields.get("extra_info")
        node_id = extra.get("node_id") if isinstance(extra, Mapping) else None
        where = f"{label(nodes, str(node_id))}: " if node_id is not None else ""
        problems = [where + ": ".join(str(fields[name]) for name in ("message", "details") if fields.get(name))]
    more = f" (and {len(problems) - _PROBLEMS} more)" if len(problems) > _PROBLEMS else ""
    return UsageError(
        f"{who}: the server refuses the workflow: {redact('; '.join(problems[:_PROBLEMS]), secrets)}{more}"
    )


def _node_problems(nodes: Nodes, body: Mapping[str, Any]) -> Iterator[str]:
    by_node = body.get("node_errors")
    for node_id, problem in by_node.items() if isinstance(by_node, Mapping) else ():
        errors = problem.get("errors") if isinstance(problem, Mapping) else None
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, Mapping):
                words = ": ".join(str(error[name]) for name in ("message", "details") if error.get(name))
                yield f"{label(nodes, str(node_id))}: {words}"


def execution_error(who: str, nodes: Nodes, messages: object, secrets: Collection[str] = ()) -> BackendError:
    """The error for a run of the workflow that failed.

    Out of memory can be retried: the server has unloaded its models by then. Anything else would fail again.

    Args:
        messages: `status.messages` of the history, pairs of event and data.
    """
    events = {
        str(pair[0]): pair[1]
        for pair in (messages if isinstance(messages, list) else ())
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], Mapping)
    }
    if (error := events.get("execution_error")) is not None:
        words = f"{error.get('exception_type', '')}: {error.get('exception_message', '')}"
        memory = any(name in words.lower() for name in _MEMORY)
        where = label(nodes, str(error.get("node_id", "?")))
        return BackendError(f"{who}: {where} failed: {redact(words, secrets)}", retryable=memory)
    if (stopped := events.get("execution_interrupted")) is not None:
        where = label(nodes, str(stopped.get("node_id", "?")))
        return BackendError(f"{who}: it was interrupted at the server, in {where}", retryable=False)
    return BackendError(f"{who}: the server reports a failure without saying which", retryable=False)
