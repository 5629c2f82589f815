"""Every configuration that README and docs hand out draws within the budget it names, on a server that bills."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import imagerag
from imagerag import ImageRAG, RunLimits
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import GenerateImage
from imagerag.cli.mcp import mcp_command
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse

ROOT = Path(imagerag.__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALIGNED = (
    '{"checks": [{"number": 1, "requirement": "a hat", "kind": "content",'
    ' "evidence": "a hat", "met": true, "caption": "a hat"}]}'
)


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            yield page.name, found[1]


def servers() -> Iterator[tuple[str, list[str]]]:
    """(page, arguments of `imagerag`) of every MCP server that a JSON block or a console line describes."""
    for page, text in blocks("json"):
        try:
            document = json.loads(text)
        except ValueError:
            continue
        for held in ("mcpServers", "servers", "context_servers"):
            for one in (document.get(held) or {} if isinstance(document, dict) else {}).values():
                if Path(str(one.get("command"))).name == "imagerag":
                    yield page, list(one["args"])
    for page, text in blocks("console"):
        for line in text.splitlines():
            if line.startswith("$ imagerag ") and "--max-cost-usd" in line:
                yield page, shlex.split(line.removeprefix("$ imagerag "), comments=True)


CONFIGURATIONS = [(page, args) for page, args in servers() if "--max-cost-usd" in args]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MockOpenAIServer]:
    """OpenAI, as far as the presets can tell: at its prices, since its models are sold wherever they are served."""
    monkeypatch.chdir(tmp_path)
    for name in ("IMAGERAG_PRICES", "IMAGERAG_PRESET", "IMAGERAG_GENERATOR", "IMAGERAG_JUDGE", "IMAGERAG_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    with MockOpenAIServer(key="sk-test") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path / "home"))
        server.enqueue("chat", MockResponse(text=ALIGNED))
        yield server


def option(args: list[str], name: str) -> str | None:
    return args[args.index(name) + 1] if name in args else None


def test_there_are_such_configurations() -> None:
    assert any(page == "README.md" for page, _ in CONFIGURATIONS)
    assert len(CONFIGURATIONS) > 2


@pytest.mark.parametrize(("page", "args"), CONFIGURATIONS)
async def test_a_configuration_draws_within_its_budget(provider: MockOpenAIServer, page: str, args: list[str]) -> None:
    limit = float(option(args, "--max-cost-usd") or 0)
    assumed = option(args, "--assume-cost-usd-per-call")
    rag = ImageRAG(
        preset=option(args, "--preset"), generator=option(args, "--generator"), judge=option(args, "--judge")
    )
    ceilings = RunLimits(max_cost_usd=limit, assume_cost_usd_per_call=float(assumed) if assumed else None)
    answer = await ChatService(rag, ceilings=ceilings).generate_image(GenerateImage(prompt="a hat"))
    report: dict[str, Any] = answer.data
    assert report["outcome"] == "aligned", report
    assert report["calls"] == 2
    assert 0 < report["cost_usd"] <= limit


def test_the_commands_take_these_options() -> None:
    names = {name for parameter in mcp_command.params for name in parameter.opts}
    for _, args in CONFIGURATIONS:
        if args[0] == "mcp":
            assert {word for word in args if word.startswith("--")} <= names


def test_the_command_line_draws_with_a_key_and_a_budget(provider: MockOpenAIServer) -> None:
    from imagerag.cli import main

    done = CliRunner().invoke(main, ["generate", "a hat", "--max-cost-usd", "1", "--json"])
    assert done.exit_code == 0, done.output


async def test_without_a_price_what_to_type_is_said_and_it_works(provider: MockOpenAIServer) -> None:
    rag = ImageRAG(generator="openai:gpt-image-2.6-flare")
    refused = await rag.generate("a hat", max_cost_usd=1)
    assert "`assume_cost_usd_per_call=X`" in refused.reason
    record = await rag.generate("a hat", max_cost_usd=1, assume_cost_usd_per_call=0.25)
    assert record.outcome == "aligned"
    assert record.assumed_usd == 0.25
