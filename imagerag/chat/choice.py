"""Choosing references by hand in a chat: the question as front ends show it, and every form of answer they send.

The question has both forms that are in use: `HumanInterrupt` (Agent Inbox, and agent-chat-ui as it was) and that of
LangChain's middleware (`action_requests`, `review_configs`), which agent-chat-ui reads now.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.human_selection import validate_selection
from imagerag.chat.markdown import picture, plain
from imagerag.formatting.numbers import cosine, counted
from imagerag.formatting.quoting import line
from imagerag.formatting.web_credits import licence_text
from imagerag.graphs.configuration.public_url import image_url

ACTION: Final = "choose_references"
_NONE: Final = frozenset({"", "none", "no", "0", "[]"})
_WORDS: Final = "A response in words is read likewise; to ignore takes none."
_TYPES: Final = "accept, edit, response or ignore"


class Choice(BaseModel):
    """What was chosen: SHA-256 of references, best first, and of the image that is to be edited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chosen: list[str]
    edit: str | None = None


@dataclass(frozen=True)
class Question:
    """A run's question, as its record has it: numbered candidates, and how many may be taken."""

    value: Mapping[str, Any]

    @property
    def offered(self) -> Sequence[Mapping[str, Any]]:
        """The candidates, in the order of their numbers."""
        candidates: Sequence[Mapping[str, Any]] = self.value["candidates"]
        return candidates

    @property
    def proposal(self) -> list[str]:
        """The numbers that are taken where somebody only agrees: the best of each concept."""
        best: dict[str, str] = {}
        for one in self.offered:
            best.setdefault(str(one["concept"]), str(one["number"]))
        return list(best.values())[: int(self.value["limit"])]

    def interrupt(self, problem: str = "") -> dict[str, Any]:
        """The value of the interrupt.

        Args:
            problem: why the answer before cannot be.
        """
        arguments = {"references": ", ".join(self.proposal), **({"edit": ""} if self.value["may_edit"] else {})}
        problem = problem or str(self.value.get("problem") or "")
        description = self.text(problem)
        return {
            "action_request": {"action": ACTION, "args": arguments},
            "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True},
            "description": description,
            "action_requests": [{"name": ACTION, "args": arguments, "description": description}],
            "review_configs": [{"action_name": ACTION, "allowed_decisions": ["approve", "edit", "reject"]}],
            "question": dict(self.value),
            **({"problem": problem} if problem else {}),
        }

    def text(self, problem: str = "") -> str:
        """The question in Markdown: every candidate with its number, image, similarity and licence."""
        limit = counted(int(self.value["limit"]), "image")
        edit = " `edit` takes the number of one that is to be edited instead." if self.value["may_edit"] else ""
        return "\n\n".join(
            [
                *([f"**Not taken: {plain(problem)}**"] if problem else []),
                f"**{counted(len(self.offered), 'reference')} passed for** {plain(str(self.value['prompt']))}",
                *map(_candidate, self.offered),
                f"`references` takes numbers, best first, {limit} at most, or `none`.{edit} {_WORDS}",
            ]
        )

    def choice(self, answer: object) -> Choice:
        """The choice that an answer makes, whatever front end it comes from.

        Raises:
            UsageError: none that can be made; the message says how to answer.
        """
        kind, arguments = _parts(answer)
        if kind in ("accept", "approve") and not isinstance(arguments, Mapping):
            return self._valid(self._ids(", ".join(self.proposal)), None)
        if kind in ("ignore", "reject") and not arguments:
            return Choice(chosen=[])
        if not isinstance(arguments, Mapping):
            return self._valid(self._ids(arguments), None)
        if unknown := sorted(arguments.keys() - {"references", "chosen", "edit"}):
            raise UsageError(f"an answer has `references` and `edit`, no {line(str(unknown[0]), 40)!r}")
        edit = self._ids(arguments.get("edit"))
        if len(edit) > 1:
            raise UsageError("one image can be edited, not several")
        references = arguments.get("references", arguments.get("chosen", ""))
        return self._valid(self._ids(references), edit[0] if edit else None)

    def _valid(self, chosen: Sequence[str], edit: str | None) -> Choice:
        if problem := validate_selection(self.value, chosen, edit):
            raise UsageError(problem)
        return Choice(chosen=list(chosen), edit=edit)

    def _ids(self, picks: object) -> list[str]:
        """Ids from numbers or ids, in a text or a list."""
        text = ", ".join(map(str, picks)) if isinstance(picks, list | tuple) else str("" if picks is None else picks)
        if text.strip().strip(".").lower() in _NONE:
            return []
        words = re.findall(r"[0-9a-z]+", re.sub(r"image://|#|\band\b", " ", text.lower()))
        ids = {str(one["number"]): str(one["id"]) for one in self.offered}
        known = {**ids, **{sha: sha for sha in ids.values()}}
        if re.search(r"[^0-9a-z,;.#&\s:/]", text.lower()) or not words or any(word not in known for word in words):
            raise UsageError(f"{line(text, 60)!r} are not numbers from 1 to {len(ids)} with commas, nor 'none'")
        return [known[word] for word in dict.fromkeys(words)]


def _parts(answer: object) -> tuple[str, object]:
    """The kind of an answer and what comes with it.

    Raises:
        UsageError: no form of an answer.
    """
    if isinstance(answer, Mapping) and "decisions" in answer:
        answer = answer["decisions"]
        if not (isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], Mapping)):
            raise UsageError('there is one decision to take: {"decisions": [{"type": "approve"}]}')
    if isinstance(answer, list | tuple) and len(answer) == 1 and isinstance(answer[0], Mapping):
        answer = answer[0]
    if not isinstance(answer, Mapping):
        return "response", answer
    if "type" not in answer:
        return "edit", answer
    kind = str(answer["type"])
    if kind not in ("accept", "approve", "edit", "response", "ignore", "reject"):
        raise UsageError(f"an answer is of type {_TYPES}, not {line(kind, 40)!r}")
    content = next((answer[key] for key in ("args", "edited_action", "message") if answer.get(key)), None)
    if isinstance(content, Mapping) and "args" in content:  # a whole action, of which the arguments are the answer
        content = content["args"]
    if kind == "edit" and not isinstance(content, Mapping):
        raise UsageError(
            'an answer of type edit has args: {"action": "choose_references", "args": {"references": "1, 2"}}'
        )
    return kind, content


def _candidate(one: Mapping[str, Any]) -> str:
    name = str(one.get("title") or one.get("caption") or "untitled")
    web = one.get("web") or {}
    by = (
        f", by {plain(str(one.get('author') or 'unknown'), 60)}, {plain(str(web.get('page') or ''), 300)}"
        if web
        else ""
    )
    licence = plain(licence_text(str(one.get("licence") or "")), 80) or "unknown"
    return (
        f"{picture(image_url(str(one['id'])), name)}\n\n**{one['number']}** {plain(name, 80)}, "
        f"for {plain(str(one['concept']), 80)}, similarity {cosine(float(one['similarity']))}, licence {licence}{by}"
    )
