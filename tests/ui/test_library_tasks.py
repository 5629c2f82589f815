"""Work on libraries that belongs to the server: progress, stopping, limits, and images that are sent meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.errors import LibraryError, UsageError
from imagerag.files.access_policy import InputPolicy
from imagerag.http_server.access import HttpOptions
from imagerag.store.library.indexing.uploads import UploadedImage, Uploads
from imagerag.ui import uploads
from imagerag.ui.library_tasks import LibraryTask, LibraryTasks
from imagerag.ui.state import UiState
from imagerag.ui.uploads import UploadTask
from tests.conftest import copied
from tests.ui.conftest import client_of


class Libraries:
    """Takes images, a batch at a time, when it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    @property
    def names(self) -> list[str]:
        """Of all images, in their order."""
        return [name for batch in self.batches for name in batch]

    async def add_images(self, images: list[UploadedImage], *, library: str, settle: bool = True) -> Uploads:
        await self.may_go_on.wait()
        self.batches.append([one.name for one in images])
        return Uploads(new=len(images), skipped=[(one.name, "bad") for one in images if one.name == "bad"])


class Rag:
    def __init__(self) -> None:
        self.libraries = Libraries()


def image(name: str, size: int = 10) -> UploadedImage:
    return UploadedImage(data=bytes(size), name=name)


async def begun(rag: Rag, **options: Any) -> tuple[UploadTask, LibraryTasks]:
    tasks, task = LibraryTasks(), UploadTask(kind="upload", library="mine", of=3, **options)
    tasks.start(task, lambda _: task.add_all(rag))  # type: ignore[arg-type]
    return task, tasks


async def ended(task: LibraryTask) -> None:
    async for _ in task.follow(beat_s=10):
        pass


async def test_what_was_sent_is_added_to_the_end_and_settled_once() -> None:
    rag = Rag()
    task, _ = await begun(rag)
    for name in ("a", "bad", "c"):
        await task.put(image(name))
    await task.end()
    await ended(task)
    assert rag.libraries.names == ["a", "bad", "c"]
    assert rag.libraries.batches[-1] == []
    assert (task.done, task.of, task.result, task.skipped, task.error) == (3, 3, 3, [("bad", "bad")], "")
    with pytest.raises(UsageError, match="stopped"):
        await task.put(image("late"))


async def test_a_page_that_is_gone_ends_it_with_what_has_come() -> None:
    rag = Rag()
    task, _ = await begun(rag, idle_s=0.01)
    await task.put(image("a"))
    await ended(task)
    assert (rag.libraries.names, task.stopped) == (["a"], True)


async def test_no_more_waits_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "WAITING_BYTES", 100)
    rag = Rag()
    rag.libraries.may_go_on.clear()
    task, _ = await begun(rag)
    await task.put(image("first", 200))
    await asyncio.sleep(0)  # the first batch is taken
    await task.put(image("second", 200))
    third = asyncio.create_task(task.put(image("third", 200)))
    done, _ = await asyncio.wait([third], timeout=0.05)
    assert not done
    rag.libraries.may_go_on.set()
    await third
    await task.end()
    await ended(task)
    assert rag.libraries.names == ["first", "second", "third"]


async def test_stopping_drops_what_waits_and_refuses_the_rest() -> None:
    rag = Rag()
    rag.libraries.may_go_on.clear()
    task, _ = await begun(rag)
    await task.put(image("a"))
    for _ in range(5):
        await asyncio.sleep(0)
    await task.put(image("b"))
    task.stop()
    rag.libraries.may_go_on.set()
    await ended(task)
    assert rag.libraries.names == ["a"]
    with pytest.raises(UsageError):
        await task.put(image("c"))


async def _wait(_: LibraryTask) -> None:
    await asyncio.Event().wait()


async def _fail(_: LibraryTask) -> None:
    raise LibraryError("it is empty: `library=NAME`")


async def _break(_: LibraryTask) -> None:
    raise RuntimeError("secret")


@pytest.mark.parametrize(("work", "error"), [(_fail, "`library=NAME`"), (_break, "the server failed (RuntimeError)")])
async def test_what_goes_wrong_is_told(work: Callable[[LibraryTask], Awaitable[None]], error: str) -> None:
    task = LibraryTasks().start(LibraryTask(kind="check", library="mine"), work)
    await ended(task)
    assert error in task.error
    assert "secret" not in task.error


async def test_a_few_at_a_time_and_none_after_the_end() -> None:
    tasks = LibraryTasks()
    running = [tasks.start(LibraryTask(kind="check", library="mine"), _wait) for _ in range(4)]
    with pytest.raises(UsageError, match="under way"):
        tasks.start(LibraryTask(kind="check", library="mine"), _wait)
    running[0].stop()
    await ended(running[0])
    assert running[0].stopped
    tasks.forget(running[1].task_id)  # still under way
    assert len(tasks.of_library("mine")) == 4
    tasks.forget(running[0].task_id)
    assert len(tasks.of_library("mine")) == 3
    await tasks.close()
    assert all(one.ended for one in running)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/library/nothing/tasks/check", {}, 404),
        ("/library/mine/tasks/unknown", {}, 404),
        ("/library/mine/tasks/check", {"shell": "rm"}, 400),
        ("/library/mine/uploads", {"files": 0}, 400),
        ("/library/mine/index", {"path": "/etc"}, 400),
        ("/library/mine/remove", {}, 400),
        ("/library/mine/remove", {"ids": ["' or 1=1"]}, 400),
        ("/library/sketch/uploads", {"files": 1}, 400),
        ("/library/mine/delete", {"name": "other"}, 400),
        ("/library-tasks/none/stop", {}, 400),
        ("/library", {"name": "mine"}, 400),
        ("/library", {"name": "../x"}, 400),
        ("/library", {"name": "other", "embedder": "open_clip:/etc/model"}, 400),
        ("/library", {"name": "other", "embedder": "openai:clip@http://127.0.0.1:9/v1"}, 400),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, path: str, body: dict[str, Any], status: int) -> None:
    state = UiState(rag=ImageRAG(preset="sketch", home=tmp_path), http=HttpOptions())
    await state.rag.libraries.open("mine", create=True)
    async with client_of(state) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert await state.rag.libraries.list() in (["mine"], ["mine", "sketch"])


@pytest.mark.parametrize("name", ["web:openverse", "mine,web:openverse", "package:library", "mine' or 1", "nothing"])
async def test_only_libraries_of_the_home_are_shown_and_searched(tmp_path: Path, name: str) -> None:
    state = UiState(rag=ImageRAG(preset="sketch", home=tmp_path), http=HttpOptions())
    await state.rag.libraries.open("mine", create=True)
    async with client_of(state) as client:
        for path in ("", "/part", "/found?q=red", "/keys", "/upkeep", f"/images/{'0' * 64}"):
            answer = await client.get(f"/library/{quote(name)}{path}")
            assert answer.status_code in (400, 404), (path, answer.text)


async def test_folders_of_the_server_are_those_below_its_roots(tmp_path: Path) -> None:
    (tmp_path / "root" / "b" / ".hidden").mkdir(parents=True)
    (tmp_path / "root" / "A").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    root = (tmp_path / "root").resolve()
    state = UiState(rag=ImageRAG(preset="sketch", home=tmp_path / "home"), inputs=InputPolicy.of([root]))
    async with client_of(state) as client:
        for path, names in {"": [str(root)], str(root): ["A", "b"], f"{root}/b": []}.items():
            folders = (await client.get("/library-folders", params={"path": path})).json()["folders"]
            assert [one["name"] for one in folders] == names
        for path in (str(tmp_path), "..", f"{root}/out", "/etc", f"{root}/nothing"):
            assert (await client.get("/library-folders", params={"path": path})).status_code == 400


async def test_a_folder_is_indexed_without_what_its_links_lead_to_outside_of_the_roots(tmp_path: Path) -> None:
    for folder, colour in (("root/photos", "red"), ("private", "blue")):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (32, 32), colour).save(tmp_path / folder / f"{colour}.png")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "private")
    (tmp_path / "root" / "photos" / "blue.png").symlink_to(tmp_path / "private" / "blue.png")
    state = UiState(rag=ImageRAG(preset="sketch", home=tmp_path / "home"), inputs=InputPolicy.of([tmp_path / "root"]))
    await state.rag.libraries.open("mine", create=True)
    async with client_of(state) as client:
        answer = await client.post("/library/mine/index", json={"path": str(tmp_path / "root"), "copy_files": True})
        task = state.library_tasks.get(answer.json()["task"])
        while not task.ended:
            await task.change(task.changes, within_s=1)
    assert not task.error
    assert [row.title for row in (await state.rag.libraries.browse("mine")).records] == ["red"]
    assert sorted(name for name, why in task.skipped if "leads out" in why) == ["blue.png", "out"]


async def test_the_first_visit_of_the_built_in_library_follows_how_it_is_drawn(
    sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, drawn = UiState(rag=ImageRAG(preset="sketch", home=tmp_path / "home")), asyncio.Event()

    async def draw(*_: object) -> None:
        if drawn.is_set():
            return
        await drawn.wait()
        copied(sketch_home / "libraries", tmp_path / "home" / "libraries")

    monkeypatch.setattr(state.rag.libraries, "open", draw)
    async with client_of(state) as client:
        for path in ("", "/upkeep", ""):
            assert "library_drawing.js" in (await client.get(f"/library/sketch{path}")).text
        [task] = state.library_tasks.of_library("sketch")
        drawn.set()
        await ended(task)
        shown = (await client.get("/library/sketch")).text
        assert "library_drawing.js" not in shown
        assert 'id="search"' in shown


async def test_duplicates_without_a_threshold_name_the_field_for_one(tmp_path: Path) -> None:
    state = UiState(rag=ImageRAG(preset="sketch", home=tmp_path / "home"))
    await state.rag.libraries.open("mine", create=True)
    async with client_of(state) as client:
        task = state.library_tasks.get((await client.post("/library/mine/tasks/duplicates", json={})).json()["task"])
        await ended(task)
        shown = (await client.get(f"/library-tasks/{task.task_id}")).text
    assert "no threshold between images" in shown
    assert "Or give one: “from cosine” 0.97" in shown


@pytest.mark.parametrize(("kind", "command"), [("batches", "imagerag batch "), ("evaluations", "imagerag eval run ")])
async def test_a_home_without_results_says_which_command_makes_some(tmp_path: Path, kind: str, command: str) -> None:
    async with client_of(UiState(rag=ImageRAG(preset="sketch", home=tmp_path / "home"))) as client:
        assert f"<code>{command}" in (await client.get(f"/{kind}")).text


@pytest.mark.parametrize(("path", "name"), [("delete", "mine"), ("rename", "other")])
async def test_a_library_that_is_worked_on_is_neither_deleted_nor_renamed(tmp_path: Path, path: str, name: str) -> None:
    state = UiState(rag=ImageRAG(preset="sketch", home=tmp_path / "home"))
    await state.rag.libraries.open("mine", create=True)
    async with client_of(state) as client:
        await client.post("/library/mine/uploads", json={"files": 2})
        refused = await client.post(f"/library/mine/{path}", json={"name": name})
        assert (refused.status_code, "under way" in refused.text) == (400, True)
        [task] = state.library_tasks.of_library("mine")
        await client.post(f"/library-tasks/{task.task_id}/end")
        while not task.ended:
            await task.change(task.changes, within_s=1)
        assert (await client.post(f"/library/mine/{path}", json={"name": name})).status_code == 200


async def test_upkeep_shows_the_last_check_and_whether_it_is_of_before_the_last_change(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    for name, colour in (("one", "red"), ("two", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    await rag.libraries.index(tmp_path / "one.png", library="mine", check=False)
    async with client_of(UiState(rag=rag)) as client:

        async def last_check() -> str:
            page = (await client.get("/library/mine/upkeep")).text
            return page.partition('<details class="last-check">')[2].partition("</details>")[0]

        assert await last_check() == ""
        await rag.libraries.check("mine", queries=16)
        shown = await last_check()
        assert "Last checked" in shown
        assert "too few captions" in shown
        assert "before the last change" not in shown
        german = (await client.get("/library/mine/upkeep", headers={"Accept-Language": "de"})).text
        assert "zu wenige Bildtexte von verschiedenen Dingen" in german
        assert "Bildtexte hinzufügen: " in german
        await rag.libraries.index(tmp_path / "two.png", library="mine", check=False)
        assert "before the last change" in await last_check()


async def test_texts_of_an_image_that_are_too_long_are_refused_by_the_name_of_their_field(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "one.png")
    await rag.libraries.index(tmp_path / "one.png", library="mine", check=False)
    (row,) = (await rag.libraries.browse("mine")).records
    async with client_of(UiState(rag=rag, language="de")) as client:
        for name, label in (("title", "Titel"), ("caption", "Bildtext"), ("author", "Urheber")):
            answer = await client.post(f"/library/mine/images/{row.id}", json={name: "x" * 20_001})
            assert answer.status_code == 400
            assert answer.json()["message"].startswith(f"{label}: it has 20,001 characters"), answer.json()
    uploads = await rag.libraries.add_images(
        [UploadedImage(data=(tmp_path / "one.png").read_bytes(), name="one.png", caption="x" * 20_001)], library="mine"
    )
    assert uploads.skipped == [("one.png", "its caption has 20,001 characters, and at most 20,000 are kept")]


async def test_an_encoder_that_no_page_turns_on_is_refused_with_the_command_that_allows_it(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    async with client_of(UiState(rag=rag)) as client:
        spec = "open_clip:local-dir:/models/my clip"
        answer = await client.post("/library", json={"name": "mine", "embedder": spec})
        assert (answer.status_code, answer.json()["error"]) == (400, "UntrustedError")
        assert answer.json()["message"].endswith(f"imagerag trust --spec '{spec}'")
    assert await rag.libraries.list() == []
