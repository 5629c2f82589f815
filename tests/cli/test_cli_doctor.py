"""`imagerag doctor` as a user and as a program meet it: the sketch preset for real, others on the loopback provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagerag.agent.types import ImageRef
from imagerag.evals.judges.judge_score import verdict_on
from imagerag.evals.judges.library_questions import FORMS, chosen_rows, concept_of, prompts_of
from imagerag.store.library.schema import ImageRecord
from imagerag.tools.testing.fakes import sample_image
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse
from tests.cli.conftest import Imagerag, document

SECRET = "sk-doctor-secret-0123456789"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENROUTER_API_KEY", "GEMINI_API_KEY", "IMAGERAG_PRICES"):
        monkeypatch.delenv(name, raising=False)
    with MockOpenAIServer(lambda request: MockResponse(text="No."), models=("vlm", "painter")) as loopback:
        yield loopback


def test_the_sketch_preset_is_in_order(imagerag: Imagerag, home: Path) -> None:
    result = imagerag("doctor", "--json")
    assert result.exit_code == 0, result.output
    found = document(result)
    assert found["schema"] == "imagerag.doctor/1"
    assert found["home"] == str(home)
    assert {one["name"]: one["origin"] for one in found["settings"]}["generator"] == "preset sketch"
    assert [(one["role"], one["reachable"], one["price"]) for one in found["backends"]] == [
        ("generator", True, "free"),
        ("judge", True, "free"),
        ("embedder", True, "free"),
    ]
    assert found["libraries"][0]["name"] == "sketch"
    assert found["problems"] == []
    told = imagerag("doctor").stdout
    assert "everything that could be looked at is in order" in told


def test_a_stale_threshold_is_a_note_until_the_next_index(imagerag: Imagerag, home: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("one", "two"):
        (tmp_path / "photos" / f"{name}.png").write_bytes(sample_image(name))
    index = ("index", "photos", "--library", "shop", "--embedder", "sketch")
    assert imagerag(*index).exit_code == 0
    assert imagerag("library", "remove", "shop", "photos/one.png", "--yes", "--no-calibrate").exit_code == 0
    stale = imagerag("doctor", "--preset", "sketch")
    assert stale.exit_code == 0
    assert "note: library shop: its threshold was measured before it was changed" in stale.stdout
    assert "rag.libraries" not in stale.stdout
    assert document(imagerag("doctor", "--preset", "sketch", "--json"))["problems"] == []
    assert imagerag(*index).exit_code == 0
    assert document(imagerag("doctor", "--preset", "sketch", "--json"))["notes"] == []


def test_each_setting_says_where_it_came_from(
    imagerag: Imagerag, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMAGERAG_JUDGE", "clip:sketch")
    (tmp_path / "imagerag.toml").write_text('judge = "sketch"\nlibrary = "sketch"\n')
    found = document(imagerag("doctor", "--json", "--generator", "sketch"))
    origins = {one["name"]: (one["value"], one["origin"]) for one in found["settings"]}
    assert origins["generator"] == ("sketch", "argument")
    assert origins["judge"] == ("clip:sketch", "environment")
    assert origins["library"] == ("sketch", "imagerag.toml")
    assert origins["preset"] == ("sketch", "default")


def test_keys_are_told_to_be_there_and_never_shown(imagerag: Imagerag, server: MockOpenAIServer, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    for arguments in (["doctor"], ["doctor", "--json"], ["doctor", "--probe"]):
        result = imagerag(*arguments, "--judge", f"openai:vlm@{server.base_url}")
        assert SECRET not in result.output
    assert document(imagerag("doctor", "--json"))["keys"]["OPENAI_API_KEY"] is True


def test_servers_are_asked_for_their_models_and_nothing_is_paid(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    spec = f"openai:vlm@{server.base_url},openai:other@{server.base_url},openai:x@http://127.0.0.1:9/v1,openai:gpt-5"
    result = imagerag("doctor", "--json", "--judge", spec, "--generator", f"openai:painter@{server.base_url}")
    found = document(result)
    assert result.exit_code == 1
    judges = [one for one in found["backends"] if one["role"] == "judge"]
    assert [one["reachable"] for one in judges] == [True, True, False, False]
    assert [one["listed"] for one in judges] == [True, False, None, None]
    assert "vlm, painter" in judges[1]["detail"]
    assert judges[3]["price"] == "known"
    assert "set OPENAI_API_KEY" in judges[3]["detail"]
    assert len(found["problems"]) == 2
    assert server.count("images.generate") == server.count("chat") == 0


def test_an_unknown_price_comes_with_what_to_type(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    from imagerag.cli.doctor import _ways_to_price
    from imagerag.diagnostics.doctor import BackendState

    spec = f"openai-chat:gpt-unheard-of@{server.base_url}"
    assert list(_ways_to_price(BackendState(role="generator", spec=spec).spec)) == [
        f"imagerag prices set {spec} --per-call X",
        "or --assume-cost-usd-per-call X with each run",
    ]


def test_a_price_that_was_set_by_the_call_is_known(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    spec = f"openai-chat:painter@{server.base_url}"
    assert imagerag("prices", "set", spec, "--per-call", "0.04").exit_code == 0
    states = document(imagerag("doctor", "--json", "--generator", spec))["backends"]
    assert next(one for one in states if one["role"] == "generator")["price"] == "known"


def test_a_backend_that_there_is_not_is_a_problem_and_no_crash(imagerag: Imagerag) -> None:
    result = imagerag("doctor", "--judge", "nosuch:thing", "--library", "elsewhere")
    assert result.exit_code == 1
    assert "no judge 'nosuch'" in result.stdout
    assert "there is no library elsewhere" in result.stdout


def test_a_probe_says_what_it_can_cost_and_asks_each_once(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    server.enqueue("chat", Fault("error_500"))
    judge, painter = f"openai:vlm@{server.base_url}", f"openai:painter@{server.base_url}"
    server.enqueue("images.generate", MockResponse(images=(_png(),)))
    result = imagerag("doctor", "--probe", "--judge", judge, "--generator", painter)
    assert result.exit_code == 1
    assert f"asking {painter} once (generator): $0.00" in result.stderr
    assert (server.count("images.generate"), server.count("chat")) == (1, 1)
    assert "did not answer" in result.stdout
    assert "✓ openai:painter" in result.stdout


def _png() -> bytes:
    from imagerag.tools.testing.mock_openai import tiny_png

    return tiny_png("probe")


def test_the_sketch_judge_is_usable_on_its_own_library(imagerag: Imagerag) -> None:
    result = imagerag("eval", "judge", "--classes", 4, "--others", 1, "--json")
    report = document(result)
    assert (result.exit_code, report["verdict"], report["cost_usd"]) == (0, "usable", 0.0)
    assert [one["prompts"] for one in report["kinds"]] == [4, 4, 4]
    assert report["named_rate"] > 0.5


def test_a_judge_that_says_no_to_everything_is_found_out(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    judge = f"openai:vlm@{server.base_url}"
    result = imagerag("eval", "judge", "--classes", 3, "--others", 1, "--judge", judge, "--judge-mode", "stepwise")
    assert result.exit_code == 1
    assert "says no to everything" in result.stdout
    assert "0 of 3" in result.stdout
    assert "9 questions" in result.stderr


def test_a_judge_that_is_down_is_not_asked_again_and_again(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    server.enqueue("chat", Fault("error_503"))
    result = imagerag("eval", "judge", "--judge", f"openai:vlm@{server.base_url}", "--json")
    assert result.exit_code == 1
    assert document(result)["verdict"] == "does not answer"
    assert "503" in document(result)["problem"]
    assert server.count("chat") == 1


def results(*right: int, cases: int = 10, unanswered: int = 0) -> list[tuple[bool, bool | None]]:
    """(right answer, given answer) of the three kinds: of each so many right, so many without an answer."""
    found: list[tuple[bool, bool | None]] = []
    for kind, n in zip(FORMS, right, strict=True):
        wanted = kind == "there"
        wrong: list[bool | None] = [None] * unanswered + [not wanted] * (cases - n - unanswered)
        found += [(wanted, given) for given in [wanted] * n + wrong]
    return found


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ((10, 10, 10), "usable"),
        ((7, 7, 7), "usable"),
        ((0, 10, 10), "says no to everything"),
        ((10, 0, 0), "says yes to everything"),
        ((10, 0, 10), "weak"),
        ((5, 5, 5), "weak"),
    ],
)
def test_verdicts(right: tuple[int, int, int], verdict: str) -> None:
    assert verdict_on(results(*right)) == verdict


def test_a_judge_that_mostly_does_not_answer_is_not_judged() -> None:
    assert verdict_on(results(4, 4, 4, unanswered=6)) == "does not answer"


def row(number: int, caption: str, title: str = "") -> ImageRecord:
    image = ImageRef(sha256=f"{number:064x}", media_type="image/png", width=8, height=8)
    return ImageRecord(image=image, caption=caption, title=title, created="2026-01-01T00:00:00Z")


def test_what_is_not_there_is_what_another_picture_shows() -> None:
    rows = [row(1, "Lamp 7, a red heart", "Lamp 7"), row(2, "a red star."), row(3, "a blue moon"), row(4, "")]
    chosen = chosen_rows(rows, 10, 0)
    prompts = {kind: prompts_of(kind, chosen, 1) for kind in FORMS}
    assert {kind: len(asked) for kind, asked in prompts.items()} == dict.fromkeys(FORMS, 3)
    lamp = {kind: next(asked for asked in prompts[kind] if asked[0].title == "Lamp 7") for kind in FORMS}
    assert (lamp["there"][1], concept_of(rows[1])) == ("a red heart", "a red star")
    assert lamp["there"][3] == "A photo of a red heart"
    assert lamp["there_and_not"][3] == "A photo of a red heart and a blue moon"
    assert lamp["not_there"][3] == "A photo of a blue moon"
    assert chosen_rows(rows, 2, 1) == chosen_rows(rows, 2, 1)


def test_without_captions_it_says_what_is_needed() -> None:
    from imagerag.agent.errors import UsageError

    with pytest.raises(UsageError, match="captions"):
        chosen_rows([row(1, "a"), row(2, "")], 3, 0)


def test_a_dry_run_says_what_it_can_come_to_and_does_nothing(
    imagerag: Imagerag, server: MockOpenAIServer, home: Path
) -> None:
    before = sorted(path.name for path in home.iterdir())
    judge = f"openai:vlm?max_images=9@{server.base_url}"
    options = ("--generator", "openai:nobody-sells-this", "--judge", judge, "--max-rounds", 1)
    result = imagerag("generate", "a cat", "--dry-run", *options)
    assert result.exit_code == 0, result.output
    assert "at most 43 calls of models, price not known" in result.stdout
    found = document(imagerag("generate", "a cat", "--dry-run", "--json", *options, "--max-cost-usd", "0.5"))
    assert (found["max_calls"], found["max_cost_usd"], found["has_unknown_cost"]) == (
        43,
        None,
        ["openai:nobody-sells-this"],
    )
    assert server.requests == []
    assert sorted(path.name for path in home.iterdir()) == before


def test_a_budget_in_money_stops_before_a_price_that_is_not_known(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    record = document(
        result := imagerag(
            "generate", "a cat", "--json", "--generator", "openai:nosuch-model", "--max-cost-usd", 1, "--quiet"
        )
    )
    assert (result.exit_code, record["outcome"]) == (5, "budget_exhausted")
    assert "the price of openai:nosuch-model is not known" in record["reason"]
