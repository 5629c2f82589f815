"""The loopback provider itself: what it records, how it fails, and that it knows what arrived."""

import asyncio
import socket
import threading

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.tools.testing.mock_openai import (
    DefaultResponder,
    Fault,
    FaultRates,
    MockOpenAIServer,
    MockResponse,
    RecordedRequest,
    sample_of,
    tiny_png,
)
from imagerag.tools.testing.mock_openai.request_parsing import read_form
from imagerag.tools.testing.mock_openai.responses import FAULT_KINDS

HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {
    "type": "object",
    "properties": {"met": {"type": "boolean"}, "kind": {"enum": ["content", "style"]}},
    "required": ["met", "kind"],
    "additionalProperties": False,
}


def chat(client: openai.OpenAI, **options: object) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(model="m", messages=HELLO, **options)


def test_scripts_come_first_and_in_order_then_the_answerer(server: MockOpenAIServer, client: openai.OpenAI) -> None:
    server.enqueue("chat", MockResponse(text="one"), MockResponse(text="two"))
    assert [chat(client).choices[0].message.content for _ in range(3)] == ["one", "two", "Yes."]
    assert server.count("chat") == server.count() == len(server.answered) == 3
    assert server.count("responses") == 0


def test_a_request_is_recorded_without_its_key(server: MockOpenAIServer, client: openai.OpenAI, key: str) -> None:
    client.images.edit(
        model="gpt-image-2", prompt="a cat — ü", image=[("a.png", tiny_png("a"), "image/png")] * 2,
        extra_headers={"Idempotency-Key": "once"},
    )  # fmt: skip
    request = server.requests[0]
    assert (request.endpoint, request.model, request.prompt) == ("images.edit", "gpt-image-2", "a cat — ü")
    assert [(image.name, image.filename, image.media_type) for image in request.images] == [
        ("image[]", "a.png", "image/png")
    ] * 2
    assert request.images[0].data == tiny_png("a")
    assert request.idempotency_key == "once"
    assert request.headers["authorization"] == "<redacted>"
    assert key not in repr(request) + str(request.headers)


def test_images_inside_json_are_found_and_words_are_not(server: MockOpenAIServer, client: openai.OpenAI) -> None:
    import base64

    bare = base64.b64encode(tiny_png("bare")).decode()
    parts = [
        {"type": "text", "text": "/9j/ is how they begin"},
        {"type": "image_url", "image_url": {"url": "http://x"}},
    ]
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{bare}"}}
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": [*parts, url]}])
    client.images.generate(model="m", prompt="x", extra_body={"ref_images": [bare]})
    assert [[image.name for image in request.images] for request in server.requests] == [
        ["messages.0.content.2.image_url.url"],
        ["ref_images.0"],
    ]


@pytest.mark.parametrize("way", ["json_schema", "tools", "json_object", "text"])
def test_the_form_of_an_answer_is_the_one_asked_for(server: MockOpenAIServer, client: openai.OpenAI, way: str) -> None:
    function = {"name": "judge", "parameters": SCHEMA}
    options: dict[str, dict[str, object]] = {
        "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "j", "schema": SCHEMA}}},
        "tools": {"tools": [{"type": "function", "function": function}]},
        "json_object": {"response_format": {"type": "json_object"}},
        "text": {},
    }
    message = chat(client, **options[way]).choices[0].message
    wanted = '{"met": false, "kind": "content"}'
    if way == "tools":
        assert message.content is None
        assert message.tool_calls is not None
        assert message.tool_calls[0].function.arguments == wanted
    else:
        assert message.content == (wanted if way == "json_schema" else "Yes.")


def test_a_tool_answered_in_words_stays_words(server: MockOpenAIServer, client: openai.OpenAI) -> None:
    server.enqueue("chat", MockResponse(text="I would rather talk."))
    message = chat(client, tools=[{"type": "function", "function": {"name": "j", "parameters": SCHEMA}}])
    assert message.choices[0].message.tool_calls is None


def test_odds_come_as_logprobs(server: MockOpenAIServer, client: openai.OpenAI) -> None:
    server.enqueue("chat", MockResponse(text="Yes", odds={"No": 0.25, "Yes": 0.75}))
    logprobs = chat(client, logprobs=True, top_logprobs=2).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [top.token for top in logprobs.content[0].top_logprobs] == ["Yes", "No"]


def test_chat_can_be_streamed(server: MockOpenAIServer, client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Yes."


def test_a_server_can_refuse_parameters(key: str) -> None:
    with MockOpenAIServer(refuses=("temperature", "json_schema")) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)
        with client, pytest.raises(openai.BadRequestError) as refused:
            chat(client, temperature=0)
        assert (refused.value.param, refused.value.code) == ("temperature", "unsupported_parameter")
        asked = {"type": "json_schema", "json_schema": {"name": "j", "schema": SCHEMA}}
        with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0) as again:
            with pytest.raises(openai.BadRequestError):
                chat(again, response_format=asked)
            assert chat(again).choices[0].message.content == "Yes."


def test_only_the_right_key_is_let_in(key: str) -> None:
    with MockOpenAIServer(key=key) as server:
        wrong = openai.OpenAI(base_url=server.base_url, api_key="wrong", max_retries=0)
        with wrong as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0) as client:
            assert [model.id for model in client.models.list()] == ["loopback"]


def test_every_fault_is_seen_by_a_client_or_spoils_the_answer(server: MockOpenAIServer, key: str) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=60) as client:
        for kind in FAULT_KINDS:
            server.enqueue("images.generate", Fault(kind))
            patient = client.with_options(timeout=0.5) if kind == "hang" else client
            try:
                answer = patient.images.generate(model="gpt-image-2", prompt="a cat")
            except (openai.OpenAIError, ValueError):
                answer = None
            spoilt = {"garbled_text", "truncated_base64", "empty_data", "wrong_content_type"}
            assert (answer is not None) == (kind in spoilt), kind
    assert [request.fault for request in server.requests] == list(FAULT_KINDS)
    assert [request.fault for request in server.answered] == ["refusal"]
    lost = [request.fault for request in server.requests if not request.served]
    assert lost == ["hang", "reset_before", "reset_midway"]


def test_faults_at_a_rate_depend_on_the_request_not_on_the_order() -> None:
    def met(prompts: list[str]) -> dict[str, str | None]:
        rates = FaultRates({"rate_limit": 0.3, "error_500": 0.3}, seed=7)
        requests = [
            RecordedRequest("chat", "POST", "/v1/chat/completions", {}, {"prompt": prompt}) for prompt in prompts
        ]
        picked = [rates.pick(request) for request in requests]
        return {prompt: fault and fault.kind for prompt, fault in zip(prompts, picked, strict=True)}

    prompts = [str(number) for number in range(200)]
    assert met(prompts) == met(prompts[::-1])
    faults = sum(kind is not None for kind in met(prompts).values())
    assert 70 <= faults <= 130  # 1 - 0.7² = 0.51


def test_a_repeat_of_what_was_answered_is_told_from_one_of_what_was_lost(
    server: MockOpenAIServer, client: openai.OpenAI
) -> None:
    server.enqueue("chat", Fault("reset_midway"))
    for _ in range(3):
        try:
            chat(client)
        except openai.APIConnectionError:
            continue
    assert [request.served for request in server.requests] == [False, True, True]
    assert server.repeats == [server.requests[2]]
    server.forget()
    for key in ("a", "b", "a"):
        chat(client, extra_headers={"Idempotency-Key": key})
    assert [request.idempotency_key for request in server.repeats] == ["a"]


def test_an_idempotent_server_gives_the_same_answer_again(key: str) -> None:
    said = iter(["first", "second"])
    with (
        MockOpenAIServer(DefaultResponder(text=lambda _: next(said)), idempotent=True) as server,
        openai.OpenAI(base_url=server.base_url, api_key=key) as client,
    ):
        answers = [chat(client, extra_headers={"Idempotency-Key": key}) for key in ("a", "a", "b")]
    assert [answer.choices[0].message.content for answer in answers] == ["first", "first", "second"]


def test_an_answer_that_nobody_was_there_to_read_has_not_arrived() -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    answer, may_answer = DefaultResponder(), threading.Event()

    def answered(request: RecordedRequest) -> MockResponse | Fault:
        assert may_answer.wait(60)
        return answer(request)

    with MockOpenAIServer(answered) as server:
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        connection = socket.create_connection((host, int(port)))
        connection.sendall(head + body)
        while not server.requests:
            threading.Event().wait(0.01)
        connection.close()
        may_answer.set()
        server.settle()
        assert [request.served for request in server.requests] == [False]
        with socket.create_connection((host, int(port))) as unread:
            unread.sendall(head + body)
            while not server.answered:
                threading.Event().wait(0.01)
            # Closing with the answer still unread resets the connection, as the death of a process does.
        server.settle()
        assert [request.served for request in server.requests] == [False, False]


async def test_sixty_four_requests_at_once_are_answered_at_once() -> None:
    with MockOpenAIServer(latency_s=0.2) as server:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
            asked = [
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": str(number)}])
                for number in range(64)
            ]
            answers = await asyncio.gather(*asked)
        assert len(answers) == len(server.answered) == 64


def test_closing_cuts_off_what_hangs(key: str) -> None:
    server = MockOpenAIServer().start()
    server.enqueue("chat", Fault("hang"))
    failed: list[Exception] = []

    def ask() -> None:
        with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=60) as client:
            try:
                chat(client)
            except openai.APIConnectionError as error:
                failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not server.requests:
        threading.Event().wait(0.01)
    server.close()
    thread.join(60)
    assert len(failed) == 1


def test_keep_alive_reuses_a_connection(key: str) -> None:
    with MockOpenAIServer(keep_alive=True) as server, httpx2.Client(timeout=60) as client:
        for _ in range(2):
            assert client.get(f"{server.base_url}/models").status_code == 200
        assert server.count("models") == 2


def test_what_is_no_request_is_answered_with_an_error(server: MockOpenAIServer) -> None:
    with httpx2.Client(timeout=60) as client:
        assert client.post(f"{server.base_url}/chat/completions", content=b"{").status_code == 400
        assert client.post(f"{server.base_url}/nowhere", json={}).status_code == 404
        assert client.get(f"{server.base_url}/files/none").status_code == 404
        assert client.post(f"{server.base_url}/chat/completions", json={"model": "m"}).status_code == 400


def test_a_failing_answerer_is_seen_by_both_sides(key: str) -> None:
    def fails(_: RecordedRequest) -> MockResponse:
        raise KeyError("oops")

    with (
        MockOpenAIServer(fails) as server,
        openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0) as client,
    ):
        with pytest.raises(openai.InternalServerError):
            chat(client)
        assert [type(error) for error in server.errors] == [KeyError]


@given(st.binary(max_size=200), st.text(max_size=50))
def test_any_bytes_survive_a_form(data: bytes, text: str) -> None:
    request = httpx2.Request("POST", "http://x", data={"prompt": text}, files={"image": ("a.png", data, "image/png")})
    fields, images = read_form(request.headers["content-type"], request.read())
    assert fields == {"prompt": text}
    assert [(image.name, image.data) for image in images] == [("image", data)]


def test_the_emptiest_instance_of_a_schema_has_what_is_required() -> None:
    schema = {
        "$defs": {"point": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}},
        "type": "object",
        "properties": {
            "points": {"type": "array", "items": {"$ref": "#/$defs/point"}, "minItems": 1},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    }
    assert sample_of(schema) == {"points": [{"n": 1}], "maybe": ""}
