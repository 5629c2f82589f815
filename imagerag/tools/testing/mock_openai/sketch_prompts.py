"""Parse a judge's question, and build the response in the requested form, whatever the client's wording.

The vocabulary is a convention: names of JSON fields are matched against the words below. A client with other wordings
gives `MockOpenAIServer` its own responder.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from imagerag.agent.types import Concept, RequirementCheck, Verdict
from imagerag.tools.testing.mock_openai.default_responder import sample_of
from imagerag.tools.testing.mock_openai.request_log import RecordedRequest

CHECKLISTS: Final = frozenset({"requirements", "checklist", "checks", "items", "judgements", "judgments"})
MISSING: Final = frozenset({"missing", "concepts", "missing_concepts"})
CAPTIONS: Final = frozenset({"captions", "caption"})
TEXTS: Final = frozenset({"text", "requirement", "concept", "name", "statement", "description", "what"})
METS: Final = frozenset({"met", "satisfied", "fulfilled", "present", "passed", "pass", "holds", "ok"})
ALIGNED: Final = frozenset({"aligned", "match", "matches", "aligns", "all_met", "yes", "answer", "decision", "verdict"})
REASONS: Final = frozenset({"evidence", "reason", "why", "explanation", "rationale", "thinking", "observations"})
BETTER: Final = frozenset({"better", "preferred", "winner", "choice", "best", "preference"})

_PROMPT: Final = re.compile(
    r'PROMPT: (?P<json>"(?:[^"\\]|\\.)*")'
    r"|<(?P<tag>prompt|request|instruction)>\s*(.+?)\s*</(?P=tag)>"
    r"|(?:prompt|instruction|request)[^\n\"“:]{0,40}[:]?\s*[\"“](.+?)[\"”]"
    r"|(?:^|\n)\s*(?:prompt|request|instruction)\s*:\s*(.+?)(?=\n|$)",
    re.IGNORECASE | re.DOTALL,
)
_GROUPS: Final = [
    {number: name for name, number in _PROMPT.groupindex.items()}.get(number + 1) for number in range(_PROMPT.groups)
]
_LISTED: Final = re.compile(r"^\s*(?:[-*•]|\d+[.):])\s+(.+?)\s*$", re.MULTILINE)
_CHECKLIST: Final = re.compile(r"^\W*(?:checklist|requirements|concepts)\W*$", re.IGNORECASE | re.MULTILINE)
_SEARCHED: Final = re.compile(r'^SEARCH: ("(?:[^"\\]|\\.)*")', re.MULTILINE)
_KIND: Final = re.compile(r"^\[(content|style|likeness|kept)\]\s+")
_SENT: Final = re.compile(r"(?:^|\n)Picture \d+, (the original|somebody's own|a reference)\.")
_ROLES: Final = {"the original": "edit", "somebody's own": "subject", "a reference": "reference"}


About = Literal["decision", "missing", "captions", "rephrased"]


@dataclass(frozen=True)
class ParsedRequest:
    """A judge's question.

    Attributes:
        prompt: the prompt that the image should show; empty if none was found in the text.
        requirements: the given checklist, or the concepts to caption; empty if the judge has to name them.
        kinds: kinds of the requirements, if given.
        sent: purpose of each image that was sent to the generator, in order.
        about: topic of an unstructured question.
        searched: the concepts that were already searched in vain.
    """

    prompt: str
    requirements: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    about: About = "decision"
    searched: tuple[str, ...] = ()


@dataclass(frozen=True)
class SketchVerdict:
    """Result of the sketch judge."""

    verdict: Verdict | None = None
    concepts: tuple[Concept, ...] = ()
    captions: tuple[str, ...] = ()
    better: Literal["first", "second", "neither"] = "neither"


def question_of(request: RecordedRequest) -> ParsedRequest:
    """Parse the question in the text of a request."""
    prompt_match = next(
        (match for role, text in request.turns if role == "user" and (match := _PROMPT.search(text))), None
    )
    prompt = _prompt_in(prompt_match) if prompt_match else ""
    head = _CHECKLIST.search(request.prompt)
    points = _LISTED.findall(request.prompt[head.end() :]) if head else []
    listed = tuple(_bare(point) for point in points)
    kinds = tuple(kind[1] if (kind := _KIND.match(point)) else "content" for point in points)
    roles = tuple(_ROLES[name] for name in _SENT.findall(request.prompt))
    words = request.prompt.lower()
    if "yes or no" in words:
        return ParsedRequest(prompt, listed, kinds, roles, "decision")
    about: About = "decision"
    if "rephrase" in words:
        about = "rephrased"
    elif "caption" in words:
        about = "captions"
    elif "missing" in words or "difference" in words:
        about = "missing"
    searched = tuple(map(json.loads, _SEARCHED.findall(request.prompt)))
    return ParsedRequest(prompt, listed, kinds, roles, about, searched)


def _prompt_in(match: re.Match[str]) -> str:
    if match["json"]:
        return str(json.loads(match["json"]))
    return next((group for name, group in zip(_GROUPS, match.groups(), strict=True) if group and not name), "")


def _bare(point: str) -> str:
    """An item of a list, without its kind and quotes."""
    point = _KIND.sub("", point)
    return str(json.loads(point)) if re.fullmatch(r'"(?:[^"\\]|\\.)*"', point) else point


def asks_preference(request: RecordedRequest) -> bool:
    """Whether two images are to be compared."""
    fields = (request.schema or {}).get("properties", {})
    return bool(BETTER & set(fields))


def answer_text(request: RecordedRequest, question: ParsedRequest, judged: SketchVerdict) -> str:
    """Text of the response: JSON if a schema was requested, otherwise lines."""
    schema = request.schema
    if schema is not None:
        return json.dumps(_Filler(schema, judged).value(schema, ""))
    if question.about == "captions":
        return "\n".join(judged.captions) or "none"
    if question.about == "missing":
        return "\n".join(concept.text for concept in judged.concepts) or "none"
    return "Yes." if judged.verdict and judged.verdict.aligned else "No."


@dataclass(frozen=True)
class _Filler:
    """Fills a JSON schema from the verdict, field by field, by the fields' names."""

    root: Mapping[str, Any]
    seen: SketchVerdict

    def value(self, schema: Mapping[str, Any], name: str, record: Mapping[str, Any] | None = None) -> Any:
        """Value of the field `name`; `record` is the list item that it belongs to."""
        schema = self._resolved(schema)
        value = self._known(name, schema, record or {})
        if value is not None:
            return value
        if "properties" in schema:
            return {field: self.value(inner, field, record) for field, inner in schema["properties"].items()}
        return sample_of(schema, self.root)

    def _known(self, name: str, schema: Mapping[str, Any], record: Mapping[str, Any]) -> Any:
        verdict = self.seen.verdict
        if schema.get("type") == "array":
            records = self._records(name)
            return None if records is None else [self._item(schema.get("items", {}), item) for item in records]
        for names, key in ((TEXTS, "text"), (METS, "met"), (REASONS, "evidence"), (CAPTIONS, "caption")):
            if name in names and key in record:
                return record[key]
        if name in record:
            return record[name]
        if name in BETTER:
            return self.seen.better
        if verdict is None:
            return None
        if name in ALIGNED:
            return self._decision(schema, bool(verdict.aligned))
        return verdict.score if name == "score" else verdict.reason if name in REASONS else None

    def _item(self, schema: Mapping[str, Any], record: Mapping[str, Any]) -> Any:
        inner = self._resolved(schema)
        if inner.get("type") == "string":
            return record["caption"] if record.get("is_caption") else record["text"]
        return self.value(inner, "", record)

    def _records(self, name: str) -> Sequence[Mapping[str, Any]] | None:
        if name in CHECKLISTS:
            unmet = dict(zip((concept.text for concept in self.seen.concepts), self.seen.captions, strict=False))
            checks: Sequence[RequirementCheck] = self.seen.verdict.checks if self.seen.verdict else ()
            return [
                {"text": check.requirement.text, "kind": check.requirement.kind, "met": check.met,
                 "evidence": check.evidence, "caption": unmet.get(check.requirement.text, ""),
                 "index": at, "number": at + 1, "n": at + 1}
                for at, check in enumerate(checks)
            ]  # fmt: skip
        if name in MISSING | CAPTIONS:
            captions = self.seen.captions or tuple(concept.text for concept in self.seen.concepts)
            return [
                {"text": concept.text, "kind": concept.kind, "caption": caption, "is_caption": name in CAPTIONS,
                 "index": at, "number": at + 1, "n": at + 1}
                for at, (concept, caption) in enumerate(zip(self.seen.concepts, captions, strict=False))
            ]  # fmt: skip
        return None

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            target: Any = self.root
            for step in str(schema["$ref"]).removeprefix("#/").split("/"):
                target = target[step]
            schema = target
        for options in ("anyOf", "oneOf"):
            if options in schema:
                return self._resolved(schema[options][0])
        return schema

    @staticmethod
    def _decision(schema: Mapping[str, Any], aligned: bool) -> Any:
        """Yes or no in the schema's type."""
        if schema.get("type") == "boolean":
            return aligned
        word = "yes" if aligned else "no"
        return next((choice for choice in schema.get("enum", ()) if str(choice).lower() == word), word)
