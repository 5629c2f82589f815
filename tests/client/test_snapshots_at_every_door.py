"""`NAME@TAG` is a library wherever one is named: found by every door, recorded by runs, and changed by none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.types import Command

from imagerag import ImageRAG
from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.types import RunConfig, RunContext
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import ListLibraries, SearchReferences
from imagerag.client.synchronous import run_sync
from imagerag.evals.harness.arms import Arm
from imagerag.evals.harness.evaluation import EvalOptions, replay_evaluation, run_evaluation, setup_for
from imagerag.evals.harness.plan import Plan
from imagerag.evals.integrations.cases import run_case
from imagerag.evals.suites.case import Case, Suite
from imagerag.graphs import server
from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.fakes import sample_image
from tests.cli.conftest import KNOWN, Imagerag, document, one_line
from tests.conftest import copied


@pytest.fixture(scope="module")
def filled(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a library `mine` of two pictures, one of which came after its snapshot `v1`."""
    root = tmp_path_factory.mktemp("filled")
    copied(sketch_home, root / "home")
    (root / "pictures").mkdir()
    rag = ImageRAG(preset="sketch", home=root / "home", library="mine")
    for number, name in enumerate(("one", "two")):
        (root / "pictures" / f"{name}.png").write_bytes(sample_image(name))
        rag.libraries.index_sync(root / "pictures", embedder="sketch")
        if not number:
            rag.libraries.snapshots.create_sync("v1")
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    shutil.rmtree(tmp_path / "home", ignore_errors=True)  # the fixture `home` is one with links to the same images
    copied(filled / "home", tmp_path / "home")
    return filled


@pytest.fixture
def rag(home: Path, root: Path) -> ImageRAG:
    return ImageRAG(preset="sketch", home=home, library="mine@v1")


async def test_it_is_read_at_every_door(rag: ImageRAG, tmp_path: Path) -> None:
    (hit,) = await rag.libraries.search("a thing")
    assert hit.title == "one"
    both = await rag.libraries.search("a thing", library="mine@v1,mine")
    assert {one.title for one in both} == {"one", "two"}
    assert (await rag.libraries.stats()).images == 1
    assert (await rag.libraries.export(tmp_path / "one.parquet")).images == 1
    assert (await rag.libraries.verify()).problems == ()
    assert [row.title for row in await rag.libraries.select(hit.image.sha256)] == ["one"]
    assert (await rag.ask("how many pictures are there?")).answer.startswith("The library holds 1 image")
    service = ChatService(rag)
    told = (await service.list_libraries(ListLibraries(library="mine@v1"))).text
    assert "mine@v1" in told
    assert "1 image, " in told
    assert 'snapshots: "mine@v1"' in (await service.list_libraries(ListLibraries(library="mine"))).text
    assert "one" in (await service.search_references(SearchReferences(query="a thing", library="mine@v1"))).text
    assert await rag.libraries.list() == ["mine", "sketch"]
    (snapshot,) = await rag.libraries.snapshots.list("mine")
    assert (snapshot.name, snapshot.images) == ("mine@v1", 1)


CHANGES: dict[str, Callable[[ImageRAG, Path], Any]] = {
    "index": lambda rag, root: rag.libraries.index(root),
    "index --dry-run": lambda rag, root: rag.libraries.index(root, dry_run=True),
    "add": lambda rag, root: rag.libraries.add(root / "two.png"),
    "remove": lambda rag, root: rag.libraries.remove(root / "one.png"),
    "remove --dry-run": lambda rag, root: rag.libraries.remove(root / "one.png", dry_run=True),
    "update": lambda rag, root: rag.libraries.update(root / "one.png", title="1"),
    "dedupe --remove": lambda rag, root: rag.libraries.dedupe(threshold=0.5, remove=True),
    "verify --repair": lambda rag, root: rag.libraries.verify(repair=True),
    "optimize": lambda rag, root: rag.libraries.optimize(),
    "calibrate": lambda rag, root: rag.libraries.calibrate(),
    "rename": lambda rag, root: rag.libraries.rename("mine@v1", "yours"),
    "delete": lambda rag, root: rag.libraries.delete("mine@v1"),
    "snapshot create": lambda rag, root: rag.libraries.snapshots.create("v2"),
    "snapshot restore": lambda rag, root: rag.libraries.snapshots.restore("v1"),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_it_is_changed_at_none(rag: ImageRAG, root: Path, what: str) -> None:
    with pytest.raises(UsageError, match="'mine@v1' is a snapshot, which is only read"):
        await CHANGES[what](rag, root / "pictures")
    assert (await rag.libraries.stats()).images == 1


async def test_a_run_is_pinned_to_it_and_done_again_with_it(rag: ImageRAG, home: Path) -> None:
    (snapshot,) = await rag.libraries.snapshots.list("mine")
    record = await rag.generate(KNOWN, max_rounds=1)
    assert record.setup is not None
    assert (record.setup.library, record.setup.snapshots) == ("mine@v1", {"mine@v1": snapshot.content})
    assert json.loads(record.model_dump_json())["setup"]["snapshots"] == {"mine@v1": snapshot.content}
    plain = await rag.generate(KNOWN, max_rounds=1, library="mine")
    assert plain.setup is not None
    assert plain.setup.snapshots == {}
    again = await rag.runs.replay(record.run_id, 1)
    assert again.setup is not None
    assert again.setup.snapshots == record.setup.snapshots
    other = await rag.runs.replay(record.run_id, 1, library="mine")
    assert other.setup is not None
    assert (other.setup.library, other.setup.snapshots) == ("mine", {})
    await rag.libraries.snapshots.remove("v1", "mine")
    with pytest.raises(UnknownLibraryError, match="no snapshot 'v1'"):
        await rag.runs.replay(record.run_id, 1)
    now = await rag.libraries.snapshots.create("v1", "mine")
    fresh = ImageRAG(preset="sketch", home=home)
    for go_on in (fresh.runs.replay(record.run_id, 1), fresh.runs.continue_(record.run_id, prompt="a red circle")):
        with pytest.raises(UsageError, match="'mine@v1' is not the snapshot that the run was made with") as refused:
            await go_on
        assert f"`rag.runs.replay('{record.run_id}', STEP, library='mine@v1')`" in str(refused.value)
    meant = await fresh.runs.replay(record.run_id, 1, library="mine@v1")
    assert meant.setup is not None
    assert meant.setup.snapshots == {"mine@v1": now.content}
    continued = await fresh.runs.continue_(record.run_id, feedback="smaller", library="mine@v1")
    assert continued.setup is not None
    assert continued.setup.snapshots == {"mine@v1": now.content}


@pytest.mark.parametrize("library", ["mine@v1", "mine"])
async def test_a_run_whose_library_is_gone_says_how_it_is_done_with_another(rag: ImageRAG, library: str) -> None:
    waits = await rag.generate(KNOWN, library=library, start="retrieve", select=True, threshold="off")
    ended = await rag.generate(KNOWN, library=library, max_rounds=0)
    await rag.libraries.delete("mine")
    for record, go_on in (
        (waits, rag.runs.resume(waits.run_id, choose=[1])),
        (ended, rag.runs.replay(ended.run_id, 1)),
        (ended, rag.runs.continue_(ended.run_id, feedback="smaller")),
    ):
        with pytest.raises(UnknownLibraryError, match="no library 'mine'") as refused:
            await go_on
        assert f"`rag.runs.replay('{record.run_id}', STEP, library=NAME)`" in str(refused.value)
    for record in (waits, ended):
        assert (await rag.runs.replay(record.run_id, 1, library="sketch")).setup.library == "sketch"  # type: ignore[union-attr]


async def test_who_has_it_open_follows_a_rename_of_its_library(rag: ImageRAG, home: Path) -> None:
    opened = await rag.libraries.open()
    record = await rag.generate(KNOWN, max_rounds=1)
    await ImageRAG(home=home).libraries.rename("mine", "yours")
    assert [hit.title for hit in await opened.search("a thing", k=1)] == ["one"]
    assert [hit.title for hit in await rag.libraries.search("a thing")] == ["one"]
    for again in (rag.generate(KNOWN, max_rounds=1), rag.runs.replay(record.run_id, 1)):
        made = await again
        assert record.setup is not None
        assert made.setup is not None
        assert made.setup.snapshots == record.setup.snapshots
    assert (await rag.ask("how many pictures are there?")).answer.startswith("The library holds 1 image")
    await rag.libraries.delete("yours")
    with pytest.raises(UnknownLibraryError, match="library 'yours@v1' was deleted meanwhile"):
        await opened.search("a thing", k=1)
    with pytest.raises(UnknownLibraryError, match="no library 'mine'"):
        await rag.generate(KNOWN, max_rounds=1)


async def taken_anew(rag: ImageRAG) -> str:
    """What `v1` holds after another snapshot took its tag."""
    await rag.libraries.snapshots.remove("v1", "mine")
    return (await rag.libraries.snapshots.create("v1", "mine")).content


async def test_a_question_is_pinned_to_it_and_its_thread_goes_on_with_it(rag: ImageRAG, home: Path) -> None:
    (snapshot,) = await rag.libraries.snapshots.list("mine")
    record = await rag.ask("how many pictures are there?")
    assert record.snapshots == {"mine@v1": snapshot.content}
    assert (await rag.questions.get(record.thread_id)).as_json()["snapshots"] == record.snapshots
    again = await rag.ask("and how many of them have a caption?", thread=record.thread_id)
    assert (again.turn, again.snapshots) == (2, record.snapshots)
    assert (await rag.ask("how many pictures are there?", library="mine")).snapshots == {}
    now = await taken_anew(rag)
    fresh = ImageRAG(preset="sketch", home=home, library="mine@v1")
    with pytest.raises(UsageError, match=r"'mine@v1' is not the snapshot that thread .* Without `thread` a new one"):
        await fresh.ask("how many pictures are there?", thread=record.thread_id)
    assert (await fresh.ask("how many pictures are there?")).snapshots == {"mine@v1": now}


async def test_a_thread_that_asked_another_library_meanwhile_still_knows_its_snapshots(rag: ImageRAG) -> None:
    thread = (await rag.ask("how many pictures are there?")).thread_id
    between = await rag.ask("how many pictures are there?", library="mine", thread=thread)
    assert (between.turn, between.snapshots) == (2, {})
    assert (await rag.questions.get(thread)).snapshots == {}
    await taken_anew(rag)
    with pytest.raises(UsageError, match="'mine@v1' is not the snapshot that thread"):
        await rag.ask("and now?", library="mine@v1", thread=thread)
    assert (await rag.ask("and now?", thread=thread)).turn == 3, "it goes on with the library it asked last"


@pytest.fixture
def served(rag: ImageRAG, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the graphs of `langgraph.json` do with an input on a thread; `run` takes a graph's factory."""
    monkeypatch.setattr(server, "configured", lambda: (rag.settings, rag.dependencies))

    async def run(factory: Callable[..., Any], thread: str, given: Any, **context: Any) -> dict[str, Any]:
        config: Any = {"configurable": {"thread_id": thread}}
        runtime: Any = SimpleNamespace(execution_runtime=SimpleNamespace(context=context))
        async with factory(config, runtime) as workflow, server.checkpointer() as saver:
            found: dict[str, Any] = await workflow.compile(checkpointer=saver).ainvoke(
                given, config, context=RunContext(**context)
            )
        return found

    return run


async def test_a_server_pins_what_it_serves(rag: ImageRAG, served: Any) -> None:
    (snapshot,) = await rag.libraries.snapshots.list("mine")
    pins = {"mine@v1": snapshot.content}
    waiting = await served(server.graph, "a", {"prompt": KNOWN}, start="retrieve", select=True, threshold="off")
    assert "__interrupt__" in waiting
    ended = await served(server.graph, "b", {"prompt": KNOWN}, max_rounds=1)
    assert ended["result"]
    answered = await served(server.asking, "c", {"question": "how many pictures are there?"})
    assert answered["snapshots"].hashes == pins
    for name in ("a", "b"):
        record = await rag.runs.get(name)
        assert (record.setup, record.snapshots) == (None, pins)
    now = await taken_anew(rag)
    again = Command(resume={"use": []})
    with pytest.raises(UsageError, match="'mine@v1' is not the snapshot that the thread was begun with"):
        await served(server.graph, "a", again, start="retrieve", select=True, threshold="off")
    with pytest.raises(UsageError, match="Begin a new thread"):
        await served(server.asking, "c", {"question": "and now?"})
    await served(server.graph, "b", {"prompt": KNOWN}, max_rounds=1)
    assert (await rag.runs.get("b")).snapshots == {"mine@v1": now}


async def test_a_thread_of_a_server_whose_library_was_another_meanwhile_still_knows_its_snapshots(
    rag: ImageRAG, served: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = {"question": "how many pictures are there?"}
    first = await served(server.asking, "c", question)
    plain = ImageRAG(preset="sketch", home=home, library="mine")
    with monkeypatch.context() as patch:
        patch.setattr(server, "configured", lambda: (plain.settings, plain.dependencies))
        between = await served(server.asking, "c", question)
    assert (between["snapshots"], between["question_snapshots"].hashes) == (first["snapshots"], {})
    await taken_anew(rag)
    with pytest.raises(UsageError, match="Begin a new thread"):
        await served(server.asking, "c", question)


async def test_an_evaluation_from_python_is_pinned_to_it(rag: ImageRAG, home: Path, tmp_path: Path) -> None:
    (snapshot,) = await rag.libraries.snapshots.list("mine")
    case = Case(id="known", prompt=KNOWN)
    base = setup_for("sketch", "sketch", "mine", RunConfig(max_rounds=1))
    arms = (Arm(name="now"), Arm(name="then", setup={"library": "mine@v1"}))
    plan = Plan(suite=Suite(name="one", cases=(case,)), arms=arms, setup=base)
    options = EvalOptions(users=DataDir(home))
    assert (await run_evaluation(tmp_path / "eval", plan, options)).whole
    kept = Plan.read(tmp_path / "eval")
    assert kept.setup.snapshots == {"mine@v1": snapshot.content}
    assert [arm.of(kept.setup, seed=0, cache="record").snapshots for arm in arms] == [{}, kept.setup.snapshots]
    one = {"arm": arms[1], "preset": "sketch", "home": home, "folder": tmp_path / "case"}
    first = await run_case(case, **one)
    await taken_anew(rag)
    with pytest.raises(UsageError, match="'mine@v1' is not the snapshot that the evaluation was made with"):
        await replay_evaluation(tmp_path / "eval", options)
    with pytest.raises(UsageError, match=r"holds another evaluation: its arms differ \('mine@v1' was removed, and"):
        await run_evaluation(tmp_path / "eval", plan, options)
    assert (await run_case(case, **one)).arm_hash != first.arm_hash


def test_commands(imagerag: Imagerag, root: Path) -> None:
    snapshot = ("library", "snapshot")
    made = imagerag(*snapshot, "create", "mine", "v2")
    assert made.stdout.splitlines() == [
        "snapshot mine@v2: 2 images",
        "2 linked: their bytes stay in their files, not in the snapshot",
    ]
    listed = imagerag(*snapshot, "list", "mine").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["mine@v1", "mine@v2"]
    assert "2 snapshots" in imagerag("library", "list").stdout
    libraries = document(imagerag("library", "list", "--json"))["libraries"]
    assert [(one["name"], one["snapshots"]) for one in libraries] == [("mine", ["v1", "v2"]), ("sketch", [])]
    assert "snapshots: v1, v2" in imagerag("library", "info", "mine").stdout
    assert imagerag("library", "info", "mine@v1").stdout.startswith("library mine@v1: 1 image\n")
    assert "--yes" in one_line(imagerag(*snapshot, "restore", "mine", "v1"))
    restored = imagerag(*snapshot, "restore", "mine", "v1", "--yes")
    assert restored.stdout == "library mine: 1 image, as in mine@v1\n"
    assert "--yes" in one_line(imagerag(*snapshot, "remove", "mine", "v1"))
    assert imagerag(*snapshot, "remove", "mine", "v1", "--yes").stdout == "snapshot mine@v1 is removed\n"
    assert "no snapshot 'v1'" in one_line(imagerag(*snapshot, "remove", "mine", "v1", "--yes"))
    assert "no snapshot 'v1'" in one_line(imagerag(*snapshot, "restore", "mine", "v1", "--yes"))
    assert "is a snapshot" in one_line(imagerag("library", "calibrate", "mine@v2"))
    assert imagerag("library", "remove", "mine", "--whole-library", "--yes").exit_code == 0
    assert "no library 'mine'" in one_line(imagerag("search", "a thing", "--library", "mine@v2"))


REFUSED = (
    ("dedupe", "mine@v1", "--remove"), ("dedupe", "mine@v1", "--remove", "--yes"), ("add", "mine@v1", "one.png"),
    ("migrate", "mine@v1", "--embedder", "sketch"), ("migrate", "mine@v1", "--drop-other"),
    ("remove", "mine@v1", "one"), ("remove", "mine@v1", "--whole-library"),
    ("update", "mine@v1", "one", "--title", "1"), ("verify", "mine@v1", "--repair"), ("optimize", "mine@v1"),
    ("rename", "mine@v1", "yours"), ("snapshot", "create", "mine@v1", "v2"), ("snapshot", "remove", "mine@v1", "v1"),
    ("snapshot", "restore", "mine@v1", "v1"),
)  # fmt: skip


@pytest.mark.parametrize("line", REFUSED, ids=" ".join)
def test_a_command_refuses_it_before_it_says_or_asks_anything(
    imagerag: Imagerag, root: Path, line: tuple[str, ...]
) -> None:
    result = imagerag("library", *line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'mine@v1' is a snapshot, which is only read" in one_line(result)


@pytest.mark.parametrize("line", [("dedupe", "sketch", "--remove"), ("migrate", "sketch", "--drop-other")])
def test_the_built_in_library_is_refused_first_as_well(imagerag: Imagerag, root: Path, line: tuple[str, ...]) -> None:
    result = imagerag("library", *line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'sketch' is the built-in catalogue" in one_line(result)


def test_the_doctor_knows_them(rag: ImageRAG, imagerag: Imagerag) -> None:
    def problems(library: str) -> list[str]:
        found: list[str] = document(imagerag("doctor", "--library", library, "--json"))["problems"]
        return found

    assert problems("mine@v1") == []
    assert problems("mine@v7") == ["there is no snapshot v7 of library mine: imagerag library snapshot create mine v7"]
    assert problems("nine@v7") == ["there is no library nine: imagerag index PATH --library nine"]


def test_the_built_in_library_has_none(rag: ImageRAG) -> None:
    with pytest.raises(UsageError, match="built-in catalogue"):
        run_sync(rag.libraries.snapshots.create("v1", "sketch"))
