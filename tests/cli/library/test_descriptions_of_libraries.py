"""`imagerag index --describe`: what it says before and after, how descriptions are found, shown, marked and cleared."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse, RecordedRequest
from tests.cli.conftest import Imagerag, document

SAID = {"description": "a red \x1b[31mbanner", "key_elements": ["banner"], "visible_text": "SALE", "category": "sign",
        "tags": ["Sign"]}  # fmt: skip


def said(_: RecordedRequest) -> MockResponse:
    return MockResponse(text=json.dumps(SAID))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MockOpenAIServer(said) as running:
        yield running


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in (("poster", (220, 30, 30)), ("label", (40, 60, 210)), ("card", (10, 10, 10))):
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
    (folder / "card.txt").write_text("my black card")
    return folder


def test_images_are_described_found_shown_and_cleared(
    imagerag: Imagerag, pictures: Path, server: MockOpenAIServer, tmp_path: Path
) -> None:
    spec = f"openai:loopback@{server.base_url}"
    index = ("index", pictures, "--library", "mine")
    plain = imagerag(*index, "--embedder", "sketch")
    assert "describe" not in plain.stdout
    refused = imagerag("search", "red", "--library", "mine", "--filter", "description~banner")
    assert refused.exit_code == 2
    assert "imagerag index PATH --describe SPEC" in " ".join(refused.stderr.split())

    planned = imagerag(*index, "--describe", spec, "--dry-run")
    assert "3 images to describe with openai:loopback" in planned.stdout
    assert "about $0.00, at most $0.00 (6 calls at most)" in " ".join(planned.stdout.split())
    assert document(imagerag(*index, "--describe", spec, "--dry-run", "--json"))["descriptions"]["expected"] == {
        "images": 3, "expected_calls": 3, "max_calls": 6, "expected_cost_usd": 0.0, "max_cost_usd": 0.0,
    }  # fmt: skip
    assert server.count("chat") == 0

    first = imagerag(*index, "--describe", spec, "--max-calls", "2")
    assert first.exit_code == 0
    assert "3 images to describe" in first.stderr
    assert "2 images by openai:loopback" in first.stdout
    assert "1 image left: the run may make 2 model calls" in " ".join(first.stdout.split())
    rest = document(imagerag(*index, "--json"))  # the library has been told
    assert (rest["descriptions"]["described"], rest["descriptions"]["left"], rest["descriptions"]["calls"]) == (1, 0, 1)
    assert rest["seconds"]["describe"] >= 0

    info = imagerag("library", "info", "mine").stdout
    assert "3 images, 3 described by a model" in info
    assert "--describe none ends that" in " ".join(info.split())
    assert document(imagerag("library", "info", "mine", "--json"))["described"] == 3
    assert "3 images by a model" in imagerag("library", "stats", "mine").stdout
    query = ("search", "sale", "--library", "mine", "--hybrid")
    found = {one["title"]: one for one in document(imagerag(*query, "--json"))["results"]}
    assert found["poster"]["description"] == "a red [31mbanner"
    assert (found["card"]["caption"], found["poster"]["caption"]) == ("my black card", "")
    assert found["poster"]["described_by"].startswith("openai:loopback")
    shown = imagerag(*query, "--html", "found.html").stdout
    assert "(described by openai:loopback) a red [31mbanner" in shown
    assert "my black card" in shown
    assert "(described by openai:loopback) a red [31mbanner" in (tmp_path / "found.html").read_text("utf-8")

    cleared = imagerag("library", "update", "mine", pictures / "poster.png", "--unset", "description", "--yes")
    assert cleared.exit_code == 0, cleared.stderr
    ended = document(imagerag(*index, "--describe", "none", "--json"))
    assert ended["descriptions"] is None
    assert document(imagerag("library", "info", "mine", "--json"))["described"] == 2
    again = document(imagerag(*index, "--describe", spec, "--json"))
    assert (again["descriptions"]["described"], again["descriptions"]["calls"]) == (1, 1)


def test_what_stops_descriptions_is_said_with_the_command(
    imagerag: Imagerag, pictures: Path, server: MockOpenAIServer
) -> None:
    server.enqueue("chat", *[Fault("unauthorized")] * 3)
    arguments = ("index", pictures, "--library", "mine", "--embedder", "sketch", "--describe",
                 f"openai:loopback@{server.base_url}", "--strict")  # fmt: skip
    result = imagerag(*arguments)
    assert result.exit_code == 1
    assert "3 added" in result.stdout
    assert "3 images left" in result.stdout
    assert "the same command goes on" in result.stdout
    assert imagerag(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("--describe", "clip"), ("--describe", "nosuch:m"), ("--max-calls", "0"), ("--max-cost-usd", "-1"),
     ("--max-calls", "3"), ("--max-cost-usd", "1"), ("--assume-cost-usd-per-call", "0.1")],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_indexed(
    imagerag: Imagerag, pictures: Path, option: str, value: str
) -> None:
    for more in ((), ("--dry-run",)):
        result = imagerag("index", pictures, "--library", "mine", "--embedder", "sketch", option, value, *more)
        assert result.exit_code == 2
        assert option in result.stderr or value in result.stderr
    assert "mine" not in imagerag("library", "list").stdout


def test_a_budget_of_descriptions_that_end_is_refused(imagerag: Imagerag, pictures: Path) -> None:
    refused = imagerag("index", pictures, "--library", "mine", "--describe", "none", "--max-calls", "3")
    assert refused.exit_code == 2
    assert "--max-calls is a limit of descriptions by a model: --describe none ends them" in " ".join(
        refused.stderr.split()
    )
