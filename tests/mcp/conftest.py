"""A provider on this machine, a server over real HTTP on a port of its own, and the SDK's own client, of either
protocol generation."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mcp_types
import pytest
from mcp import Client
from PIL import Image

from imagerag import ImageRAG
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_result import RunLimits
from imagerag.files.access_policy import InputPolicy
from imagerag.http_server.access import HttpOptions
from imagerag.http_server.listening import address_of
from imagerag.mcp.http import PATH, make_app
from imagerag.mcp.server import Limits, ServerState
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.fakes import ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, RecordedRequest, tiny_png
from tests.http_serving import served_here

MODES = ("legacy", "2026-07-28")
KEY = "sk-mcp-0123456789abcdefSECRET"
WANTED = "a blue star"
REDRAWN = tiny_png("redrawn with references")


IMPATIENT = """
import sys
from imagerag.agent.images import decoding_pool
from imagerag.cli import main
decoding_pool._PROGRAM = decoding_pool._PROGRAM.replace(
    "import main; main()", "import main; main.__globals__['processor_seconds'] = lambda pixels: 1; main()"
)
main(sys.argv[1:])
"""
"""The program with the decoders of `impatient_decoders`."""


async def handed_in(client: Client, name: str, *, until: asyncio.Event) -> Any:
    """Search with an image file, again and again until then, once at least: the last answer."""
    while True:
        answer = await client.call_tool("search_references", {"image": name})
        if until.is_set():
            return answer


def refused(answer: Any) -> bool:
    """Whether the answer says of a file that it asks for too much."""
    return any(word in answer.content[0].text for word in ("scans", "far more", "not an image"))


def alike(one: bytes, other: bytes) -> bool:
    """Whether pictures of one colour show the same. Judges get JPEGs in a size of their own, so bytes differ."""
    pixels: list[Any] = [Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0)) for data in (one, other)]
    return all(abs(a - b) < 4 for a, b in zip(*pixels, strict=True))


@dataclass
class Provider:
    """Draws one picture without references and another with them; only the other has everything in it.

    Attributes:
        may_draw: pictures wait until it is set, as it is at first.
    """

    may_draw: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_draw.set()

    def __call__(self, request: RecordedRequest) -> MockResponse:
        if request.asks == "image":
            assert self.may_draw.wait(120), "nobody let it draw"
            picture = REDRAWN if request.endpoint == "images.edit" else tiny_png(request.prompt)
            return MockResponse(images=(picture,))
        if "better" in (request.schema or {}).get("properties", {}):
            return MockResponse(text='{"reason": "", "better": "second"}')
        met = any(alike(image.data, REDRAWN) for image in request.images)
        check = {"number": 1, "requirement": WANTED, "kind": "content", "evidence": "", "met": met, "caption": WANTED}
        return MockResponse(text=json.dumps({"checks": [check]}))


@dataclass
class Place:
    """Everything on one machine: a home, a provider, a library, and servers over them.

    Attributes:
        serving: the newest server.
        url: where it listens.
        manager: the SDK's keeper of its sessions.
    """

    home: Path
    provider: Provider
    loopback: MockOpenAIServer
    library: ScriptedLibrary = field(default_factory=lambda: ScriptedLibrary(elsewhere=0.1))
    serving: ServerState | None = None
    url: str = ""
    manager: Any = None

    def rag(self) -> ImageRAG:
        rag = ImageRAG(generator="loop", judge="loop", library="loop", home=self.home)
        facts = ImageModel(max_references=4)
        draws = OpenAIImages("loop", base_url=self.loopback.base_url, api_key=KEY, facts=facts, timeout_s=30)
        account = OpenAICredentials(
            self.loopback.base_url, KEY
        )  # that it takes pictures is known: nobody asks it first
        looks = VlmJudge(chat=OpenAIChat(model="loop", account=account, timeout_s=30, max_images=9))
        rag.dependencies.use("generator", "loop", draws)
        rag.dependencies.use("judge", "loop", looks)
        rag.dependencies.use("library", "loop", self.library)
        return rag

    def make(
        self, *, inputs: InputPolicy | None = None, ceilings: RunLimits | None = None, **limits: Any
    ) -> ServerState:
        service = ChatService(self.rag(), inputs=inputs or InputPolicy(), ceilings=ceilings)
        return ServerState(service=service, limits=Limits(**limits))

    @asynccontextmanager
    async def listening(
        self, *, token: str | None = None, inputs: InputPolicy | None = None, sessions: int = 64, **limits: Any
    ) -> AsyncIterator[str]:
        """A server on a free port; stopped at the end, its runs with it."""
        serving, options = self.make(inputs=inputs, **limits), HttpOptions(port=0, token=token, sessions=sessions)
        built = serving.build()
        app = make_app(built, options, lambda session: serving.handlers.jobs.leave(session))
        self.manager = built.session_manager
        async with served_here(app, options) as listening:
            self.serving, self.url = serving, address_of(listening, PATH)
            yield self.url

    async def until(self, true: Callable[[], Any], why: str) -> None:
        """Wait for something that other tasks bring about."""
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.01)
        assert true(), why

    async def quiet(self) -> int:
        """How many requests the provider had, once it has had no more for a while."""
        seen = -1
        while seen != self.loopback.count():
            seen = self.loopback.count()
            await asyncio.sleep(0.4)
        return seen


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    provider = Provider()
    with MockOpenAIServer(provider) as loopback:
        place = Place(tmp_path / "home", provider, loopback)
        place.library.plant(WANTED, tiny_png("one"), similarity=0.9, title="Star One")
        place.library.plant({WANTED: 0.8}, tiny_png("two"), title="Star Two", licence="CC-BY-4.0")
        yield place
        provider.may_draw.set()
    assert loopback.errors == []


@dataclass
class Human:
    """Answers forms.

    Attributes:
        says: what the form is filled in with, one answer after the other; None leaves it.
        asked: the questions.
        titles: what clients show of each form beside its fields: title and description.
        name: of the form's field.
        leaving: how the form is left.
    """

    says: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    name: str = "numbers"
    leaving: Literal["decline", "cancel"] = "decline"

    async def __call__(self, _: Any, params: Any) -> mcp_types.ElicitResult:
        self.asked.append(params.message)
        self.titles.append(" ".join(params.requested_schema.get(key, "") for key in ("title", "description")).strip())
        said = self.says.pop(0)
        if said is None:
            return mcp_types.ElicitResult(action=self.leaving)
        return mcp_types.ElicitResult(action="accept", content={self.name: said})


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(mode: str) -> Connect:
    """Connects the SDK's client, of the generation under test, to an address."""

    def made(url: str, human: Human | None = None) -> Client:
        return Client(url, mode=mode, elicitation_callback=human)

    return made


@dataclass(frozen=True)
class Kit:
    """The tools of this file, for test modules, which cannot import it."""

    human = Human
    wanted = WANTED
    redrawn = REDRAWN
    key = KEY


@pytest.fixture
def kit() -> Kit:
    return Kit()
