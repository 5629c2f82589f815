"""The SDK's own client drives the tools over real HTTP, on both protocol generations."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from imagerag.files.access_policy import InputPolicy
from imagerag.formatting.labels import node_done
from imagerag.tools.testing.mock_openai import tiny_png

PROMPT = "a boat under a blue star"


def said(result: Any) -> str:
    text: str = result.content[0].text
    assert len(text) <= 2_000
    return text


def kinds(result: Any) -> list[str]:
    return [block.type for block in result.content]


async def test_every_tool_has_schemas_for_what_it_takes_and_gives(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        templates = (await client.list_resource_templates()).resource_templates
    assert set(tools) == {
        *("generate_image", "continue_run", "list_libraries", "search_references", "add_image", "ask_library"),
        *("view_image", "start_image", "run_status", "run_result", "cancel_run"),
    }
    for tool in tools.values():
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema["type"] == "object"
    assert tools["search_references"].annotations.read_only_hint is True
    assert [template.uri_template for template in templates] == ["image://{sha256}"]


async def test_a_picture_is_drawn_in_one_call(place: Any, connect: Any, kit: Any) -> None:
    heard: list[tuple[float, str]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message or ""))

    async with place.listening() as url, connect(url) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT}, progress_callback=hear)
        digest = hashlib.sha256(kit.redrawn).hexdigest()
        assert not result.is_error
        assert said(result).startswith("aligned: ")
        assert kinds(result) == ["text", "resource_link", "image"]
        assert result.content[1].uri == f"image://{digest}"
        # Clients show a link to an image as one, too: the person sees the picture once.
        assert result.content[1].mime_type is None
        report = result.structured_content
        assert (report["outcome"], report["status"], report["image"]["uri"]) == (
            "aligned",
            "ended",
            f"image://{digest}",
        )
        assert [used["title"] for used in report["references"]] == ["Star One"]
        picture = (await client.read_resource(f"image://{digest}")).contents[0]
        assert isinstance(picture, mcp_types.BlobResourceContents)
        assert picture.mime_type == "image/png"
        of_library = (await client.read_resource(report["references"][0]["uri"])).contents[0]
        assert isinstance(of_library, mcp_types.BlobResourceContents)
    told = [message for _, message in heard]
    for step in map(node_done, ("generate", "critique", "retrieve", "regenerate")):
        assert step in told
    counts = [progress for progress, _ in heard]
    assert counts == sorted(set(counts))


async def test_a_small_copy_comes_only_when_it_is_asked_for(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT, "thumbnail": True})
        assert kinds(result) == ["text", "resource_link", "image"]
        assert len(result.content[2].data) < 50_000
        uri = result.structured_content["image"]["uri"]
        seen = await client.call_tool("view_image", {"image_id": uri, "max_side": 64})
        assert kinds(seen) == ["text", "resource_link", "image"]


async def test_a_search_finds_pictures(place: Any, connect: Any, kit: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        result = await client.call_tool("search_references", {"query": kit.wanted, "k": 2})
    assert [hit["title"] for hit in result.structured_content["hits"]] == ["Star One", "Star Two"]
    assert kinds(result) == ["text", "resource_link", "resource_link"]
    assert [block.mime_type for block in result.content[1:]] == ["image/png", "image/png"]


async def test_a_missing_picture_is_told_as_not_found(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        for uri in (f"image://{'0' * 64}", "image://x", "image://..%2F..%2Fetc%2Fpasswd"):
            with pytest.raises(MCPError) as refused:
                await client.read_resource(uri)
            assert refused.value.code == mcp_types.INVALID_PARAMS


async def test_a_human_chooses_in_a_form(place: Any, connect: Any, kit: Any) -> None:
    human = kit.human(["7", "2"])
    async with place.listening() as url, connect(url, human) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT, "select": True})
    assert '1. "Star One"' in human.asked[0]
    assert '2. "Star Two" for "a blue star", similarity 0.800, licence "CC-BY-4.0"' in human.asked[0]
    assert "are not numbers from 1 to 2" in human.asked[1]
    assert said(result).startswith("aligned: ")
    assert [used["title"] for used in result.structured_content["references"]] == ["Star Two"]


async def test_who_declines_to_choose_can_choose_later(place: Any, connect: Any, kit: Any) -> None:
    async with place.listening() as url, connect(url, kit.human([None])) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT, "select": True})
        assert said(result).startswith("waits for a choice: 2 references passed")
        run_id = result.structured_content["run_id"]
        assert [each["number"] for each in result.structured_content["offered"]] == [1, 2]
        done = await client.call_tool("continue_run", {"run_id": run_id, "choose": [1]})
    assert done.structured_content["outcome"] == "aligned"
    assert done.structured_content["run_id"] == run_id


async def test_a_client_without_forms_gets_the_question_as_the_answer(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT, "select": True})
        assert "choose=[numbers" in said(result)
        run_id = result.structured_content["run_id"]
        none = await client.call_tool("continue_run", {"run_id": run_id, "choose": "[]"})
    assert none.structured_content["outcome"] in ("no_usable_reference", "best_effort")


async def test_a_run_is_steered_in_a_new_run(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        first = await client.call_tool("generate_image", {"prompt": PROMPT, "max_rounds": 0})
        assert first.structured_content["outcome"] == "best_effort"
        run_id = first.structured_content["run_id"]
        second = await client.call_tool("continue_run", {"run_id": run_id, "more_rounds": 1})
        assert second.structured_content["outcome"] == "aligned"
        assert second.structured_content["parent_run"] == run_id
        third = await client.call_tool("continue_run", {"run_id": run_id, "more_rounds": 1, "wait": False})
        assert third.structured_content["status"] == "running"
        done = await client.call_tool("run_result", {"run_id": third.structured_content["run_id"]})
        assert done.structured_content["parent_run"] == run_id


async def test_a_run_is_started_asked_about_and_fetched(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url, connect(url) as client:
        started = await client.call_tool("start_image", {"prompt": PROMPT})
        run_id = started.structured_content["run_id"]
        assert started.structured_content["status"] in ("queued", "running")
        status = await client.call_tool("run_status", {"run_id": run_id})
        assert status.structured_content["status"] in ("queued", "running")
        early = await client.call_tool("run_result", {"run_id": run_id, "wait_s": 0})
        assert (early.structured_content["status"], early.structured_content["outcome"]) == ("running", None)
        place.provider.may_draw.set()
        done = await client.call_tool("run_result", {"run_id": run_id})
        assert done.structured_content["outcome"] == "aligned"
        late = await client.call_tool("run_result", {"run_id": run_id, "wait_s": 0})
        assert late.structured_content == done.structured_content
        status = await client.call_tool("run_status", {"run_id": run_id})
        assert (status.structured_content["status"], status.structured_content["outcome"]) == ("ended", "aligned")
    async with place.listening() as url, connect(url) as client:  # another process, as far as it knows
        again = await client.call_tool("run_result", {"run_id": run_id})
    assert again.structured_content == done.structured_content


async def test_what_waits_for_a_choice_is_answered_after_a_restart(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        started = await client.call_tool("start_image", {"prompt": PROMPT, "select": True})
        run_id = started.structured_content["run_id"]
        result = await client.call_tool("run_result", {"run_id": run_id})
        assert result.structured_content["status"] == "interrupted"
    async with place.listening() as url, connect(url) as client:
        status = await client.call_tool("run_status", {"run_id": run_id})
        assert status.structured_content["status"] == "interrupted"
        done = await client.call_tool("continue_run", {"run_id": run_id, "choose": [2, 1]})
    assert [used["title"] for used in done.structured_content["references"]] == ["Star Two", "Star One"]


async def test_signs_of_life_come_while_one_step_takes_long(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")
        if heard.count("drawing …") == 3:
            place.provider.may_draw.set()

    async with place.listening(beat_s=0.05) as url, connect(url) as client:
        await client.call_tool("generate_image", {"prompt": PROMPT, "max_rounds": 0}, progress_callback=hear)
    assert heard.count("drawing …") >= 3


async def test_signs_of_life_come_while_a_human_thinks(place: Any, kit: Any) -> None:
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    class Slow(kit.human):  # type: ignore[misc, name-defined]
        async def __call__(self, context: Any, params: Any) -> Any:
            await place.until(lambda: heard.count("waiting for a choice …") >= 3, "it is told that somebody thinks")
            return await super().__call__(context, params)

    asked = {"prompt": PROMPT, "select": True}
    async with place.listening(beat_s=0.05) as url, Client(url, mode="legacy", elicitation_callback=Slow(["1"])) as one:
        result = await one.call_tool("generate_image", asked, progress_callback=hear)
    assert result.structured_content["outcome"] == "aligned"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("generate_image", {}, "prompt: it is needed"),
    ("generate_image", {"prompt": " "}, "prompt: it is empty"),
    ("generate_image", {"prompt": "x" * 100_000}, "100,000 characters are too many; at most 32,000"),
    ("generate_image", {"prompt": "a\0b"}, "NUL byte"),
    ("generate_image", {"prompt": "a", "colour": "red"}, "there is no such argument"),
    ("generate_image", {"prompt": "a", "max_rounds": 1000}, "max_rounds"),
    ("generate_image", {"prompt": "a", "size": "100000x1"}, "WIDTHxHEIGHT"),
    ("generate_image", {"prompt": "a", "library": "none such"}, "none such"),
    ("continue_run", {"run_id": "../../etc"}, "run_id"),
    ("continue_run", {"run_id": "no-such-run"}, "no run"),
    ("run_status", {"run_id": "no-such-run"}, "no run"),
    ("run_result", {"run_id": "no-such-run"}, "no run"),
    ("cancel_run", {"run_id": "no-such-run"}, "no run"),
    ("view_image", {"image_id": "image://" + "0" * 64}, "no image"),
    ("search_references", {}, "give query"),
]


async def test_what_cannot_be_asked_is_answered_in_words(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        for tool, arguments, why in REFUSED:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, why)
            assert why in said(result)
    assert place.loopback.count() == 0


async def test_cancelling_the_call_stops_the_spending(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url, connect(url) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "generate_image", {"prompt": PROMPT})
            await place.until(place.loopback.count, "the provider is asked")
            group.cancel_scope.cancel()
        jobs = place.serving.handlers.jobs
        await place.until(lambda: not jobs.active, "the run has ended")
        place.provider.may_draw.set()
        count = await place.quiet()
        run = (await place.rag().runs.list())[0]
        result = await client.call_tool("run_result", {"run_id": run.run_id})
    assert count == 1
    assert run.outcome == "cancelled"
    assert result.structured_content["outcome"] == "cancelled"


async def test_cancel_run_stops_the_spending(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url, connect(url) as client:
        started = await client.call_tool("start_image", {"prompt": PROMPT, "keep": True})
        run_id = started.structured_content["run_id"]
        await place.until(place.loopback.count, "the provider is asked")
        stopped = await client.call_tool("cancel_run", {"run_id": run_id[:-1]})  # the start of an id is enough
        assert (stopped.structured_content["status"], stopped.structured_content["outcome"]) == ("ended", "cancelled")
        again = await client.call_tool("cancel_run", {"run_id": run_id})
        assert again.structured_content["outcome"] == "cancelled"
        place.provider.may_draw.set()
        assert await place.quiet() == 1


async def test_what_has_to_wait_for_its_turn_can_be_cancelled_before_it_begins(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening(max_concurrency=1, most=2) as url, connect(url) as client:
        ids = [
            (await client.call_tool("start_image", {"prompt": f"{PROMPT} {n}"})).structured_content["run_id"]
            for n in range(2)
        ]
        full = await client.call_tool("start_image", {"prompt": PROMPT})
        assert full.is_error
        assert "as many as there may be" in said(full)
        status = await client.call_tool("run_status", {"run_id": ids[1]})
        assert status.structured_content["status"] == "queued"
        stopped = await client.call_tool("cancel_run", {"run_id": ids[1]})
        assert stopped.structured_content["outcome"] == "cancelled"
        place.provider.may_draw.set()
        done = await client.call_tool("run_result", {"run_id": ids[0]})
        assert done.structured_content["outcome"] == "aligned"
        told = await client.call_tool("run_result", {"run_id": ids[1]})
        assert told.structured_content["outcome"] == "cancelled"
    assert not any(f"{PROMPT} 1" in request.text for request in place.loopback.requests)


async def test_a_picture_is_taken_from_an_allowed_folder_only(place: Any, connect: Any, tmp_path: Path) -> None:
    root = tmp_path / "allowed"
    root.mkdir()
    (root / "mine.png").write_bytes(tiny_png("mine"))
    (tmp_path / "theirs.png").write_bytes(tiny_png("theirs"))
    (root / "link.png").symlink_to(tmp_path / "theirs.png")
    async with place.listening(inputs=InputPolicy.of([root])) as url, connect(url) as client:
        done = await client.call_tool("generate_image", {"prompt": PROMPT, "initial_image": "mine.png"})
        assert done.structured_content["outcome"] == "aligned"
        for source in ("../theirs.png", str(tmp_path / "theirs.png"), "link.png", "file:///etc/passwd", "/etc/passwd"):
            refused = await client.call_tool("generate_image", {"prompt": PROMPT, "initial_image": source})
            assert refused.is_error, source
            assert "is not" in said(refused)
        for source in ("http://127.0.0.1:1/a.png", "http://169.254.169.254/latest"):
            refused = await client.call_tool("search_references", {"image": source})
            assert "--allow-urls" in said(refused)


async def test_ceilings_hold_whatever_is_asked_for(place: Any, connect: Any) -> None:
    from imagerag.assistants.tool_result import RunLimits

    make = place.make
    place.make = lambda **given: make(**{**given, "ceilings": RunLimits(max_calls=1)})
    async with place.listening() as url, connect(url) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT, "max_calls": 50})
    assert result.structured_content["outcome"] == "budget_exhausted"
    assert place.loopback.count() == 1


async def test_many_calls_at_once_each_get_their_own_answer(place: Any, connect: Any) -> None:
    async with place.listening(max_concurrency=3) as url, connect(url) as client:
        results = await asyncio.gather(
            *(client.call_tool("generate_image", {"prompt": f"{PROMPT} {n}"}) for n in range(6))
        )
    assert {result.structured_content["outcome"] for result in results} == {"aligned"}
    assert len({result.structured_content["run_id"] for result in results}) == 6


async def test_a_server_begins_no_run_once_its_own_limit_is_spent(place: Any, connect: Any) -> None:
    from imagerag.assistants.service import ChatService
    from imagerag.assistants.usage_limits import ServerBudget, ServerLimits

    make, allowance = place.make, ServerBudget(ServerLimits(max_calls=2))

    def limited(**given: Any) -> Any:
        serving = make(**given)
        serving.service = ChatService(serving.service.rag, allowance=allowance)
        return serving

    place.make = limited
    async with place.listening() as url, connect(url) as client:
        first = await client.call_tool("generate_image", {"prompt": PROMPT, "max_calls": 50})
        assert first.structured_content["outcome"] == "budget_exhausted"
        assert place.loopback.count() == 2
        for tool, arguments in (("generate_image", {"prompt": PROMPT}), ("ask_library", {"question": "a star?"})):
            refused = await client.call_tool(tool, arguments)
            assert refused.is_error
            assert "2 of 2 model calls" in said(refused)
    assert place.loopback.count() == 2
