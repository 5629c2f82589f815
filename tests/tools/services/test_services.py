"""Services by name: requests go to its address, with its key, without what it refuses, and for its roles alone."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from imagerag.agent.errors import AuthError, ImageRAGError, SpecError, UsageError
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.graphs.configuration.trust_policy import is_plain
from imagerag.tools import registry
from imagerag.tools.credentials import key_to
from imagerag.tools.healthcheck import check_health
from imagerag.tools.judges.recipes import judge_recipes
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.local_servers import local_servers_now
from imagerag.tools.model_list import list_models
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.services import lookup, table
from imagerag.tools.services.service import CHAT_ROLES, ROLES, ImagesProtocol, Service
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import DefaultResponder, MockOpenAIServer, tiny_png
from tests.tools.embedders.embedding_server import embedding_server
from tests.tools.wire import ALIGNED, wire

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "openai" / "openapi_subset.json"
NAMES = sorted(table.SERVICES)
KEY = "sk-of-the-service-0123456789"
ENVIRONMENT = {
    *(name for one in table.SERVICES.values() for name in (*one.keys, one.address_variable) if name),
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY",
}  # fmt: skip
IMAGE = ImagePart(data=tiny_png("a circle"), media_type="image/png")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer(DefaultResponder(text=lambda request: ALIGNED), limits=False) as one:
        yield one


def moved(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> Service:
    """The service with its address on loopback, and its key set."""
    service = table.SERVICES[name]
    if service.address:
        service = replace(service, address=address)
        monkeypatch.setitem(table.SERVICES, name, service)  # type: ignore[arg-type]
    else:
        monkeypatch.setenv(service.address_variable, address.removesuffix("/v1"))
    for variable in service.keys[-1:]:
        monkeypatch.setenv(variable, KEY)
    return service


async def critique(judge: Any) -> Any:
    return await judge.critique(
        "a red circle", IMAGE, subjects=(), requirements=(), mode="fused", variation=SamplingParams(seed=7)
    )


@pytest.mark.parametrize("name", NAMES)
async def test_the_judge_of_each_service_asks_its_address_with_its_key(
    name: str, server: MockOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = moved(monkeypatch, name, server.base_url)
    judge = registry.make_judge(f"{name}:some/model:8b")
    assert isinstance(judge, VlmJudge)
    before = len(server.requests)
    await critique(judge)
    (request,) = server.requests[before:]
    body = request.body
    assert (request.endpoint, body["model"]) == ("chat", "some/model:8b")
    assert judge.identity.startswith(f"{name}:some/model:8b")
    assert ("seed" in body) is ("seed" not in service.refuses)
    assert ("max_tokens" in body) is ("max_tokens" not in service.refuses and judge.chat.answer_tokens is not None)  # type: ignore[attr-defined]
    assert not {"n", "logprobs"} & body.keys()  # what no service is sure to take is never sent
    assert_published(body)


def assert_published(body: dict[str, Any]) -> None:
    """The body follows OpenAI's published description, where that is present."""
    if not PUBLISHED.is_file():
        return
    schemas = json.loads(PUBLISHED.read_text())["components"]["schemas"]
    schema = {"$ref": "#/components/schemas/CreateChatCompletionRequest", "components": {"schemas": schemas}}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(body)]
    assert not errors


@pytest.mark.parametrize("name", NAMES)
async def test_the_key_that_arrives_is_the_services_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with wire() as at:
        service = moved(monkeypatch, name, at.at)
        await critique(registry.make_judge(f"{name}:m"))
        await check_health(BackendSpec.parse(f"{name}:m"), "judge")
        assert set(at.authorizations) == {f"Bearer {KEY}" if service.keys else "Bearer none"}
        lines = [one.line.removesuffix("/models").removesuffix("/chat/completions") for one in at.arrived]
        assert {line.partition(" ")[2] for line in lines} == {"/openai/v1" if name == "azure" else "/v1"}


@pytest.mark.parametrize("name", NAMES)
async def test_no_key_goes_to_an_address_that_a_spec_names_instead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT & {key for one in table.SERVICES.values() for key in one.keys}:
        monkeypatch.setenv(variable, KEY)
    monkeypatch.setenv("OUR_KEY", "sk-ours")
    with wire() as at:
        await critique(registry.make_judge(f"{name}:m@{at.at}"))
        assert at.authorizations == ["Bearer none"]
        await critique(registry.make_judge(f"{name}:m?key_env=OUR_KEY@{at.at}"))
        assert at.authorizations[1:] == ["Bearer sk-ours"]


def test_a_service_behind_openai_base_url_gets_the_key_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openrouter.ai/api/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-or-1")
    account = OpenAICredentials.of()
    assert (account.key, account.sent_key("openai:m")) == ("sk-or-1", "sk-or-1")
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)  # its own key is preferred
    assert OpenAICredentials.of().key == KEY
    assert OpenAICredentials.of_spec(BackendSpec.parse("openrouter:m")).key == KEY


@pytest.mark.parametrize("name", NAMES)
async def test_a_redirect_takes_no_key_elsewhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with wire() as at, wire() as elsewhere:
        at.redirect = f"{elsewhere.at}/chat/completions"
        moved(monkeypatch, name, at.at)
        with pytest.raises(ImageRAGError, match="points elsewhere"):
            await critique(registry.make_judge(f"{name}:m"))
        assert not elsewhere.arrived


@pytest.mark.parametrize("name", NAMES)
async def test_a_refused_or_missing_key_names_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with wire() as at:
        at.status = 401
        service = moved(monkeypatch, name, at.at)
        with pytest.raises(AuthError, match=service.keys[-1] if service.keys else "key_env=NAME@URL"):
            await critique(registry.make_judge(f"{name}:m"))
        for variable in service.keys:
            monkeypatch.delenv(variable, raising=False)
        # A server that needs no key is asked without one; where it wants one, the error says which variable to set.
        with pytest.raises(AuthError, match=service.keys[0] if service.keys else "no key went there"):
            await critique(registry.make_judge(f"{name}:m"))
        assert len(at.arrived) == (1 if service.key_required else 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_service_serves_its_roles_alone(name: str, role: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = moved(monkeypatch, name, "http://127.0.0.1:9/v1")
    make: dict[str, Any] = {one: getattr(registry, f"make_{one}") for one in ROLES}
    assert registry.has_provider(role, name) is (role in service.roles) is (name in registry.providers(role))
    if role not in service.roles:
        with pytest.raises(SpecError, match=f"{service.title} is no {role} here; it is answerer, describer"):
            make[role](f"{name}:m")
        return
    made = make[role](f"{name}:m")
    assert (made.name if role == "embedder" else made.identity).startswith(f"{name}:m")
    with pytest.raises(SpecError, match="names no model"):
        make[role](name)


@pytest.mark.parametrize("name", [name for name in NAMES if table.SERVICES[name].images])
async def test_each_image_service_is_asked_in_its_own_form(
    name: str, server: MockOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = moved(monkeypatch, name, server.base_url)
    assert service.images is not None
    generator = registry.make_generator(f"{name}:grok-imagine-image")
    before, size = len(server.requests), Size(width=1536, height=1024)
    await generator.generate("a cat", [], variation=SamplingParams(), size=size)
    await generator.generate("a cat", [IMAGE], variation=SamplingParams(), size=size)
    plain, referring = server.requests[before:]
    fields = {"size": {"size"}, "aspect_ratio": {"aspect_ratio"}, "width_height": {"width", "height"}}
    for request in (plain, referring):
        assert request.body.keys() & {"size", "aspect_ratio", "width", "height"} == fields[service.images.size]
        assert request.body["response_format"] == (service.images.response_format or "b64_json")
        assert [image.data for image in request.images] == ([] if request is plain else [IMAGE.data])
    assert plain.path.endswith(service.images.plain_path)
    own = service.images.path if service.images.references else "/images/edits"
    assert referring.path.endswith(own)
    assert not service.images.references or service.images.references in referring.body


@pytest.mark.parametrize("name", [n for n in NAMES if "embedder" in table.SERVICES[n].roles and n != "azure"])
async def test_each_embedder_is_asked_at_its_address_with_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding_server() as at:
        service = moved(monkeypatch, name, at.at)
        embedder = registry.make_embedder(f"{name}:text-model-of-{name}")
        vectors = await embedder.embed_texts(["a red circle", "blue"])
        assert vectors.shape == (2, at.length)
        assert at.bodies[-1]["model"] == f"text-model-of-{name}"
        assert at.headers[-1]["authorization"] == (f"Bearer {KEY}" if service.keys else "Bearer none")
        assert embedder.identity.spec.startswith(f"{name}:text-model-of-{name}?length=8")


def test_known_prices_are_the_services_and_unknown_ones_are_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    for one in table.SERVICES.values():
        for key in one.keys:
            monkeypatch.setenv(key, KEY)

    def most(spec: str) -> float | None:
        tariff = registry.make_judge(spec).capabilities.tariff  # type: ignore[attr-defined]
        found: float | None = tariff.most(100, 1, None)
        return found

    for spec in ("groq:qwen/qwen3.8-27b", "xai:grok-4.3", "mistral:mistral-medium-latest", "together:Qwen/Qwen3.5-9B"):
        assert (most(spec) or 0) > 0, spec
    assert (most("groq:qwen/qwen3.8-27b@http://127.0.0.1:9/v1") or 0) > 0  # a proxy passes on the bill
    assert most("hf:Qwen/Qwen3-VL-8B-Instruct") is None
    assert most("ollama-cloud:gemma4:31b") is None
    assert most("ollama:qwen3-vl:235b-cloud") is None  # a local Ollama passes it on
    assert [most(f"{name}:qwen3-vl:8b") for name in ("ollama", "lmstudio", "vllm")] == [0, 0, 0]
    assert most("vllm:m@https://gpu.example.org/v1") is None


@pytest.mark.parametrize(
    ("variable", "value", "name", "address"),
    [
        ("AZURE_OPENAI_ENDPOINT", "https://ours.openai.azure.com/", "azure", "https://ours.openai.azure.com/openai/v1"),
        ("AZURE_OPENAI_ENDPOINT", "https://o.openai.azure.com/openai/v1/", "azure", "https://o.openai.azure.com/openai/v1"),
        ("OLLAMA_HOST", "0.0.0.0", "ollama", "http://127.0.0.1:11434/v1"),
        ("OLLAMA_HOST", "gpu.lan:9999", "ollama", "http://gpu.lan:9999/v1"),
        ("OLLAMA_HOST", "https://ollama.example.org", "ollama", "https://ollama.example.org/v1"),
    ],
)  # fmt: skip
def test_an_address_of_ones_own_is_read_as_it_is_written(
    variable: str, value: str, name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    account = OpenAICredentials.of_spec(BackendSpec.parse(f"{name}:m"))
    assert (account.base_url, account.key) == (address, KEY if name == "azure" else None)
    assert account.named_as("openai", "m") == f"{name}:m" + ("" if "11434" in address else f"@{address}")
    assert key_to("https://ours.openai.azure.com.evil.example/v1").value is None


@pytest.mark.parametrize("value", ["http://", "ftp://host", "http://host:port"])
def test_an_address_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", value)
    with pytest.raises(SpecError, match="OLLAMA_HOST is no address"):
        registry.make_judge("ollama:m")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", value)
    assert registry.make_judge("openai:m@http://127.0.0.1:9/v1").identity == "openai:m@http://127.0.0.1:9/v1"
    assert next(one.detail for one in local_servers_now(0.5) if one.service.name == "ollama").startswith("OLLAMA_HOST")


def test_a_service_without_an_address_says_how_to_set_one() -> None:
    with pytest.raises(SpecError, match=r"set AZURE_OPENAI_ENDPOINT, or write azure:MODEL@URL"):
        registry.make_judge("azure:m")


def test_data_may_name_services_that_the_user_chose_by_a_key_and_no_others() -> None:
    plain = {name for name in NAMES if is_plain(f"{name}:m")}
    assert plain == set(NAMES) - {"ollama", "lmstudio", "vllm", "hf"}
    assert not any(is_plain(f"{name}:m@https://evil.example/v1") for name in NAMES)
    assert not any(is_plain(f"{name}:m", services=False) for name in NAMES)
    assert not is_plain("auto")


WRONG: list[dict[str, Any]] = [
    {"address": "http://models.example.org/v1"},
    {"address": "models.example.org"},
    {"address": ""},
    {"name": "Our Service"},
    {"keys": ("sk-0123456789",)},
    {"keys": ()},
    {"roles": frozenset({"library"})},
    {"roles": frozenset()},
    {"refuses": frozenset({"everything"})},
    {"images": ImagesProtocol()},
    {"roles": CHAT_ROLES | {"generator"}},
]
GOOD: dict[str, Any] = {"name": "ours", "title": "Ours", "address": "https://m.example.org/v1", "keys": ("OUR_KEY",)}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
def test_a_service_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    assert Service(**GOOD).base_url == "https://m.example.org/v1"
    with pytest.raises(SpecError, match="is not valid"):
        Service(**GOOD | wrong)


class Point:
    """An entry point of an installed package."""

    value = "ours:SERVICE"

    def __init__(self, name: str, service: Any) -> None:
        self.name, self._service = name, service

    def load(self) -> Any:
        if isinstance(self._service, Exception):
            raise self._service
        return self._service


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    points: dict[str, Any] = {}

    def found(*, group: str, name: str | None = None) -> list[Point]:
        named = {name: points[name]} if name in points else points if name is None else {}
        return [Point(key, service) for key, service in named.items()] if group == lookup.GROUP else []

    monkeypatch.setattr(lookup, "entry_points", found)
    lookup._installed.cache_clear()
    yield points
    lookup._installed.cache_clear()


async def test_an_installed_package_adds_a_service(installed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with wire() as at:
        installed["ours"] = Service(**GOOD | {"address": at.at})
        monkeypatch.setenv("OUR_KEY", KEY)
        judge = registry.make_judge("ours:m")
        await critique(judge)
        assert (judge.identity, at.authorizations) == ("ours:m", [f"Bearer {KEY}"])
        assert "ours" in registry.providers("judge")
        assert not is_plain("ours:m")


@pytest.mark.parametrize("service", ["no service", Service(**GOOD | {"name": "other"}), ImportError("no module")])
def test_an_installed_service_is_checked_when_it_is_loaded(installed: dict[str, Any], service: Any) -> None:
    installed["ours"] = service
    with pytest.raises(SpecError, match=r"the service 'ours' of ours:SERVICE"):
        registry.make_judge("ours:m")


def test_an_installed_service_does_not_replace_a_built_in_one(installed: dict[str, Any]) -> None:
    installed["groq"] = Service(**GOOD | {"name": "groq"})
    assert lookup.service_named("groq") is table.SERVICES["groq"]
    assert [one.name for one in lookup.all_services()].count("groq") == 1


def test_the_list_of_models_has_a_judge_of_each_service_and_every_recipe() -> None:
    listed = list_models(Prices.load(), role="judge")
    specs = {one.spec for one in listed}
    assert {f"{one.name}:{one.judge}" for one in table.SERVICES.values() if one.judge} <= specs
    assert {spec for spec, _ in judge_recipes()} <= specs
    assert all(registry.has_provider("judge", one.provider) for one in listed)
    (groq,) = list_models(Prices.load(), provider="groq")
    assert (groq.spec, groq.cost.free) == ("groq:qwen/qwen3.8-27b", False)
    assert groq.cost.text_in_usd is not None
    (hosted,) = list_models(Prices.load(), provider="hf")
    assert (hosted.cost.free, hosted.cost.text_in_usd) == (False, None)
    with pytest.raises(UsageError, match="provider of listed models"):
        list_models(Prices.load(), provider="nobody")
