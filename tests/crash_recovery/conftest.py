"""What both storms share: a provider whose answers depend on the request alone, and runs over real HTTP in real homes.

`STORM=full` in the environment runs them at the size they were made for (200 runs, 50 kills; minutes):

    STORM=full python -m pytest tests/storm -s
"""

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.generation import RETRY, build_workflow
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.fakes import ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, RecordedRequest, tiny_png

FULL = os.environ.get("STORM") == "full"
KEY = "sk-storm-0123456789abcdefSECRET"
POINTS = ("a red hat", "a blue star", "ink on paper")
TIMEOUT_S = 8.0
"""Of one answer. A hang takes this long; an answer of the loopback's takes milliseconds, on a busy machine seconds."""

READ_ALL_THE_SAME = ("garbled_text", "empty_data")
"""Faults of a chat answer that came, was paid for and is kept as such: the very same is not asked again."""

PAID_ALL_THE_SAME = ("truncated_base64", "invalid_json")
"""Faults of a picture that came, was paid for and is kept as it is: it is not asked for again."""

AT_ONCE = tuple(policy._replace(initial_interval=0.001, max_interval=0.001) for policy in RETRY)
"""What fails is tried as often as ever, but at once: `tests/graphs/test_rate_limits.py` is about the waits."""


def hurry() -> None:
    """Retry at once from now on; for a process of its own."""
    (build_workflow.__kwdefaults__ or {})["retry"] = AT_ONCE


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setitem(build_workflow.__kwdefaults__ or {}, "retry", AT_ONCE)


def approves(request: RecordedRequest) -> bool:
    """Whether the judge's answer to a request for a verdict is a yes."""
    return all(found(request)) if request.schema else random.Random(request.digest).random() < 0.2


def found(request: RecordedRequest) -> list[bool]:
    """Which points of the checklist are met."""
    chance = random.Random(request.digest)
    return [chance.random() < 0.55 for _ in POINTS]


def wants_verdict(request: RecordedRequest) -> bool:
    """Whether a request asks for a verdict: the fused question, or the first of the stepwise ones."""
    return request.endpoint == "chat" and (fields(request) >= {"checks"} or "yes or no" in request.prompt)


def fields(request: RecordedRequest) -> set[str]:
    """What the object asked for has: a checklist, a comparison of equals, or nothing because words are asked for."""
    return set((request.schema or {}).get("properties", ()))


def answer(request: RecordedRequest) -> MockResponse:
    """A picture, a verdict, a list or a caption: the same one for the same request, in whatever process."""
    if request.asks == "image":
        return MockResponse(images=(tiny_png(request.digest),))
    if "better" in fields(request):
        return MockResponse(text='{"reason": "", "better": "second"}')
    if request.schema:
        return MockResponse(text=checklist(found(request)))
    if wants_verdict(request):
        return MockResponse(text="Yes." if approves(request) else "No.")
    return MockResponse(text="content: a blue star" if '"content:' in request.prompt else "1. A detailed blue star.")


def checklist(met: Sequence[bool]) -> str:
    """A fused answer."""
    import json

    points = enumerate(zip(POINTS, met, strict=True), start=1)
    return json.dumps(
        {
            "checks": [
                {"number": n, "requirement": text, "kind": "content", "evidence": "", "met": yes, "caption": text}
                for n, (text, yes) in points
            ]
        }
    )


def make_runner(home: str | Path, url: str) -> Runner:
    """A runner whose generator and judge are at `url`; it retries as every run does, but at once."""
    dependencies, library = Dependencies(DataDir.find(home)), ScriptedLibrary(elsewhere=0.6)
    for point in (*POINTS, "another", "one more"):
        library.plant(point)
    facts = ImageModel(max_references=4)
    generator = OpenAIImages("loopback", base_url=url, api_key=KEY, facts=facts, timeout_s=TIMEOUT_S)
    # That it takes pictures is known: nobody asks it first.
    chat = OpenAIChat(model="loopback", account=OpenAICredentials(url, KEY), timeout_s=TIMEOUT_S, max_images=9)
    dependencies.use("generator", "storm", generator)
    dependencies.use("judge", "storm", VlmJudge(chat=chat))
    dependencies.use("library", "storm", library)
    return Runner(dependencies=dependencies)


def make_setup(mode: Literal["fused", "stepwise"]) -> RunSpec:
    """Two rounds at most."""
    return RunSpec(generator="storm", judge="storm", library="storm", config=RunConfig(max_rounds=2, judge_mode=mode))


async def last(events: Any) -> RunRecord:
    """The record that ends a run."""
    record: RunRecord = [event async for event in events][-1].record
    return record


@dataclass(frozen=True)
class Traffic:
    """What the server saw of one run."""

    run_id: str
    requests: Sequence[RecordedRequest]

    @classmethod
    def of(cls, server: MockOpenAIServer, run_id: str) -> "Traffic":
        """The run is told from others by its idempotency keys, which every request has."""
        requests = server.requests
        assert all(request.idempotency_key for request in requests if request.method == "POST")
        return cls(run_id, [each for each in requests if (each.idempotency_key or "").startswith(f"{run_id}-")])

    @property
    def answered(self) -> list[RecordedRequest]:
        """Answers that arrived."""
        return [request for request in self.requests if request.answered]

    @property
    def lost(self) -> list[RecordedRequest]:
        """Requests whose answers never came, or came damaged."""
        return [each for each in self.requests if not each.answered and not self._kept_as_unreadable(each)]

    def check_ending(self, record: RunRecord) -> None:
        """It ended by name, with its best attempt if anything was drawn, and aligned only by the judge's last word."""
        assert record.status == "ended"
        assert record.outcome in set(Outcome) - {Outcome.CANCELLED}
        assert record.reason
        if any(request.asks == "image" and request.status == 200 for request in self.answered):
            assert record.best_attempt is not None
        if record.best_attempt is not None:
            assert record.image
            assert Path(record.image.path or "").stat().st_size > 0
        verdicts = [request for request in self.answered if wants_verdict(request)]
        said_yes = bool(verdicts) and verdicts[-1].fault is None and approves(verdicts[-1])
        assert (record.outcome is Outcome.ALIGNED) == said_yes

    def check_keys(self) -> None:
        """What was lost on the way was asked for again, if at all, under the key it had."""
        same: defaultdict[str, list[RecordedRequest]] = defaultdict(list)
        for request in self.requests:
            same[request.digest].append(request)
        lost = set(map(id, self.lost))
        for asked in same.values():
            for before, after in pairwise(asked):
                assert id(before) not in lost or before.idempotency_key == after.idempotency_key

    @staticmethod
    def _kept_as_unreadable(request: RecordedRequest) -> bool:
        damaged = READ_ALL_THE_SAME if request.endpoint == "chat" else PAID_ALL_THE_SAME
        return request.fault in damaged and request.served


@dataclass(frozen=True)
class Storm:
    """The tools of this file, for test modules, which cannot import it."""

    full = FULL
    key = KEY
    answer = staticmethod(answer)
    make_runner = staticmethod(make_runner)
    make_setup = staticmethod(make_setup)
    last = staticmethod(last)
    traffic = staticmethod(Traffic.of)


@pytest.fixture
def storm() -> Storm:
    """The tools of this file."""
    return Storm()
