"""`add_image` for LangChain: with somebody who can be asked, and without."""

from typing import Any

from imagerag import ImageRAG
from imagerag.assistants.langchain_tools import as_tools
from imagerag.files.access_policy import InputPolicy
from imagerag.tools.testing.mock_openai import tiny_png


async def test_a_langchain_agent_adds_an_image_with_consent_alone(sketch: ImageRAG, tmp_path: Any) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "first.png").write_bytes(tiny_png("first"))
    await sketch.libraries.index(folder, library="mine", check=False)
    (folder / "second.png").write_bytes(tiny_png("second"))
    asked: list[str] = []

    async def consent(question: str) -> bool:
        asked.append(question)
        return len(asked) > 1

    def tool(**options: Any) -> Any:
        tools = as_tools(sketch, inputs=InputPolicy.of([folder]), **options)
        return next(one for one in tools if one.name == "add_image")

    arguments = {"image": "second.png", "library": "mine", "caption": "a small mug"}
    call = {"type": "tool_call", "id": "1", "name": "add_image", "args": arguments}
    alone = await tool().ainvoke(call)
    named = f"imagerag --home {sketch.dependencies.home.root} library add mine {folder / 'second.png'}"
    assert (alone.status, f"\n{named} --caption 'a small mug'" in alone.content) == ("error", True)
    asking = tool(consent=consent)
    declined = await asking.ainvoke(call)
    assert declined.artifact["data"]["added"] is False
    added = await asking.ainvoke(call)
    assert added.artifact["data"]["added"] is True
    assert 'Caption: "a small mug"' in asked[0]
    assert (await sketch.libraries.stats("mine")).images == 2
