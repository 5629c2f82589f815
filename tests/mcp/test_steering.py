"""Everything one can say about a run that ended, and questions to the library, through the SDK's own client."""

from typing import Any

PROMPT = "a boat under a blue star"


def titles(result: Any) -> list[str]:
    return [one["title"] for one in result.structured_content["references"]]


async def test_a_run_is_steered_in_every_way(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:

        async def continue_run(run: Any, **how: Any) -> Any:
            asked = {"run_id": run.structured_content["run_id"], **how}
            result = await client.call_tool("continue_run", asked)
            assert not result.is_error, result.content[0].text
            assert result.structured_content["parent_run"] == asked["run_id"]
            return result

        drawn = await client.call_tool("generate_image", {"prompt": PROMPT, "max_rounds": 0})
        assert drawn.structured_content["outcome"] == "best_effort"
        more = await continue_run(drawn, more_rounds=1)
        assert (more.structured_content["outcome"], titles(more)) == ("aligned", ["Star One"])
        other = await continue_run(more, exclude_images=["1"])
        assert (other.structured_content["outcome"], titles(other)) == ("aligned", ["Star Two"])
        found = await client.call_tool("search_references", {"query": "a blue star", "k": 2})
        first, second = [hit["uri"] for hit in found.structured_content["hits"]]
        both = await continue_run(drawn, add_images=[first, second], more_rounds=1)
        assert sorted(titles(both)) == ["Star One", "Star Two"]
        kept = await continue_run(more, keep_images=["1"], add_images=[second])  # what was asked for is what comes
        assert kept.structured_content["outcome"] == "aligned"
        assert sorted(titles(kept)) == ["Star One", "Star Two"]
        changed = await continue_run(more, prompt="a ship under a blue star")
        assert titles(changed) == ["Star One"], "another prompt usually speaks of the same things"
        reddened = await continue_run(more, feedback="make the star red", more_rounds=0)
        assert [one["role"] for one in reddened.structured_content["references"]] == ["edit", "reference"]
        nothing = await client.call_tool("continue_run", {"run_id": more.structured_content["run_id"]})
        assert nothing.is_error
        assert "is aligned already: say what is to be different" in nothing.content[0].text
        for uri in (drawn.structured_content["image"]["uri"], first):
            looked = await client.call_tool("view_image", {"image_id": uri, "max_side": 64})
            assert [block.type for block in looked.content] == ["text", "resource_link", "image"]


async def test_more_than_can_be_sent_are_refused_and_the_run_still_waits(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        asked = {"prompt": PROMPT, "select": True, "max_references": 1}
        waiting = await client.call_tool("generate_image", asked)
        run_id = waiting.structured_content["run_id"]
        many = await client.call_tool("continue_run", {"run_id": run_id, "choose": ["1", "2"]})
        assert many.is_error
        assert "2 are too many: at most 1 can be sent" in many.content[0].text
        done = await client.call_tool("continue_run", {"run_id": run_id, "choose": ["2"]})
        assert (done.structured_content["outcome"], titles(done)) == ("aligned", ["Star Two"])


async def test_the_library_answers_and_says_what_it_does_not_hold(place: Any, connect: Any) -> None:
    async with place.listening() as url, connect(url) as client:
        asked = {"question": "everything under CC-BY-4.0", "compare": True}
        held = await client.call_tool("ask_library", asked)
        report = held.structured_content
        assert (report["outcome"], [one["title"] for one in report["citations"]]) == ("answered", ["Star Two"])
        assert report["baseline_answer"]
        follow = {"question": "who is the author of that one?", "thread": report["thread_id"]}
        again = await client.call_tool("ask_library", follow)
        assert again.structured_content["thread_id"] == report["thread_id"]
        lost = await client.call_tool("ask_library", {**follow, "thread": "mistyped"})
        assert (lost.is_error, "there is no thread 'mistyped'" in lost.content[0].text) == (True, True)
        absent = await client.call_tool("ask_library", {"question": "Which zeppelin is cheapest?"})
        assert absent.structured_content["outcome"] == "not_held"
        assert absent.content[0].text.startswith("not held: ")
        assert "do not guess" in absent.content[0].text
