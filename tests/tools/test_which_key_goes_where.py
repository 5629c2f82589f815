"""A key goes to the host it belongs to and to the address set beside it; anywhere else only where the spec says so.

What really arrives is looked at, over HTTP, for everything that sends requests.
"""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import AuthError, BackendError, ImageRAGError, SpecError
from imagerag.agent.types import SamplingParams
from imagerag.tools.credentials import KEYS, check_hub, key_to
from imagerag.tools.healthcheck import check_health
from imagerag.tools.judges.vlm.chat_protocol import ChatMessage
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.registry import make_answerer, make_generator, make_judge
from imagerag.tools.spec import BackendSpec
from tests.tools.wire import Wire, wire

OPENAI, OURS = "sk-openai-0123456789abcdef", "sk-ours-0123456789abcdef"
TURN = [ChatMessage(role="user", parts=("hello",))]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "HF_ENDPOINT", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in KEYS.values():
        monkeypatch.setenv(name, OPENAI)
    monkeypatch.setenv("OUR_KEY", OURS)


@pytest.fixture
def server() -> Iterator[Wire]:
    with wire() as one:
        yield one


async def call(spec: str) -> None:
    """Everything that a spec can be made into sends one request; how it ends does not matter."""
    generator, judge, answerer = make_generator(spec), make_judge(spec), make_answerer(spec)
    with suppress(ImageRAGError):
        await generator.generate("a cat", [], variation=SamplingParams(), size=None)
    for one in (judge, answerer):
        with suppress(ImageRAGError):
            await one.chat.ask(TURN, schema=None, variation=SamplingParams())  # type: ignore[attr-defined]
    await check_health(BackendSpec.parse(spec), "judge")


async def test_a_key_does_not_go_to_an_address_that_was_only_named(server: Wire) -> None:
    await call(f"openai:m@{server.at}")
    assert len(server.arrived) >= 4
    assert set(server.authorizations) == {"Bearer none"}
    assert not any(OPENAI in str(one) for one in server.arrived)


async def test_an_address_of_ones_own_gets_the_key_that_its_spec_names(server: Wire) -> None:
    await call(f"openai:m?key_env=OUR_KEY@{server.at}")
    await call(f"openai:m@{server.at}?key_env=OUR_KEY")  # behind the address it says the same, and is not sent
    assert len(server.arrived) >= 8
    assert set(server.authorizations) == {f"Bearer {OURS}"}
    assert not any("key_env" in one.line for one in server.arrived)


async def test_the_address_set_beside_the_key_gets_it(server: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.at)
    await call("openai:m")
    assert set(server.authorizations) == {f"Bearer {OPENAI}"}


@pytest.mark.parametrize(
    ("address", "variable"),
    [
        ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
        ("https://API.OpenAI.com:443/v1", "OPENAI_API_KEY"),
    ],
)
def test_a_service_gets_its_own_key(address: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"sk-{variable}")
    found = key_to(address)
    assert (found.value, found.variable) == (f"sk-{variable}", variable)


HOSTILE = [
    "https://api.openai.com.evil.example/v1",
    "https://evil.example/api.openai.com",
    "https://evil.example#api.openai.com",
    "https://evil.example?api.openai.com",
    "https://api-openai.com/v1",
    "https://openrouter.ai.evil.example",
    "https://xopenrouter.ai/v1",
    "http://169.254.169.254/v1",
    "http://192.168.1.5:11434/v1",
]


@pytest.mark.parametrize("address", HOSTILE)
def test_a_host_that_looks_like_a_service_gets_nothing(address: str) -> None:
    assert OpenAICredentials.of(address).key is None


WORDS = st.text("abcdefghijklmnop.-0123", min_size=1, max_size=12)
HOSTS = st.builds(lambda before, known, after: f"{before}{known}{after}", WORDS, st.sampled_from(sorted(KEYS)), WORDS)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["http", "https"]), WORDS | HOSTS, WORDS)
def test_no_other_address_gets_any_key(scheme: str, host: str, path: str) -> None:
    account = OpenAICredentials.of(f"{scheme}://{host}/{path}")
    assert account.key is None or account.host in KEYS


def test_a_user_name_does_not_make_a_host() -> None:
    assert OpenAICredentials.of("https://api.openai.com@evil.example/v1").key is None
    assert OpenAICredentials.of("https://api.openai.com:x@evil.example/v1").host == "evil.example"


@pytest.mark.parametrize(
    "address",
    ["http://models.example.org/v1", "http://192.168.1.5:8000/v1", "http://foo.localhost/v1", "http://0.0.0.0"],
)
def test_no_key_leaves_this_machine_in_the_clear(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthError, match=r"OUR_KEY is not sent over http to .*: write https://"):
        OpenAICredentials.of(address, key_env="OUR_KEY").sent_key("openai:m")
    with pytest.raises(AuthError, match="not sent over http"):
        OpenAICredentials.of(address, "sk-given").sent_key("openai:m")
    with pytest.raises(AuthError, match="the password or key in its address"):
        OpenAICredentials.of(address.replace("http://", "http://bob:hunter22@")).sent_key("openai:m")
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(AuthError, match="OPENAI_API_KEY is not sent over http"):
        OpenAICredentials.of().sent_key("openai:m")


def test_a_service_is_not_called_in_the_clear_either() -> None:
    with pytest.raises(AuthError, match=r"OPENAI_API_KEY is not sent over http to api\.openai\.com"):
        OpenAICredentials.of("http://api.openai.com/v1").sent_key("openai:m")


def test_without_a_key_a_server_of_the_local_network_is_called() -> None:
    assert OpenAICredentials.of("http://192.168.1.7:11434/v1").sent_key("openai:m") == "none"


async def test_a_redirect_is_not_followed_to_another_server(server: Wire) -> None:
    with wire() as elsewhere:
        server.redirect = f"{elsewhere.at}/chat/completions"
        judge = make_judge(f"openai:m?key_env=OUR_KEY@{server.at}")
        with pytest.raises(BackendError, match="points elsewhere"):
            await judge.chat.ask(TURN, schema=None, variation=SamplingParams())  # type: ignore[attr-defined]
        await call(f"openai:m?key_env=OUR_KEY@{server.at}")
        assert elsewhere.arrived == []
        assert server.arrived


async def test_what_goes_to_this_machine_goes_through_no_proxy(server: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    with wire() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await call(f"openai:m?key_env=OUR_KEY@{server.at}")
        assert proxy.arrived == []
        assert server.arrived
        # What is not encrypted carries no key, and so may be read by the proxy.
        await check_health(BackendSpec.parse("openai:m@http://models.invalid/v1"), "judge")
        assert [one.headers.get("authorization") for one in proxy.arrived] == ["Bearer none"]


async def test_whose_account_it_is_is_told_to_nobody_else(server: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    await call(f"openai:m@{server.at}")
    assert len(server.arrived) >= 4
    assert not any("secret" in str(one) for one in server.arrived)


async def test_a_missing_key_says_what_to_type(server: Wire) -> None:
    server.status = 401
    judge = make_judge(f"openai:m@{server.at}")
    with pytest.raises(AuthError, match=r"no key went there: .*\?key_env=NAME@URL"):
        await judge.chat.ask(TURN, schema=None, variation=SamplingParams())  # type: ignore[attr-defined]
    with pytest.raises(AuthError, match="needs a key: set NOT_THERE"):
        OpenAICredentials.of(server.at, key_env="NOT_THERE").sent_key("openai:m")


@pytest.mark.parametrize("value", ["sk-real-key-1234567890", "abcdef0123456789abcdef", "lower"])
def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(value: str) -> None:
    for text in (f"openai:m?key_env={value}@https://h/v1", f"openai:m?api_key={value}@https://h/v1"):
        with pytest.raises(SpecError) as failed:
            make_judge(text)
        assert value not in str(failed.value)


def test_the_token_of_the_hub_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    check_hub("a model")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org")
    check_hub("a model")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
    with pytest.raises(AuthError, match=r"HF_TOKEN is not sent over http to hub\.example\.org"):
        check_hub("a model")
