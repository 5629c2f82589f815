"""Each service over real HTTP, in the form that it publishes."""

import asyncio
import json
from typing import Any

import pytest

from imagerag.agent.errors import SpecError, UsageError
from imagerag.agent.ports import Filter, WebImages, capabilities_of
from imagerag.agent.ports.web import MAX_RUN_BYTES
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.fake_stores import HashEmbedder, MemoryBlobs
from imagerag.tools.web.factory import web_library
from imagerag.tools.web.library import AT_ONCE, WebSearchLibrary
from tests.tools.web.search_server import Reply, SearchServer, drawn, found


def library(spec: str, **parts: Any) -> WebSearchLibrary:
    made = {"embedder": HashEmbedder(), "blobs": MemoryBlobs(), **parts}
    return web_library(BackendSpec.parse(spec), **made)


async def fetched(spec: str, words: str = "a hexagon", **parts: Any) -> WebImages:
    return await library(spec, **parts).fetch(words, max_bytes=MAX_RUN_BYTES)


async def test_openverse(server: SearchServer) -> None:
    at = server.image("/hexagon.png", drawn())
    server.replies["/v1/images/"] = Reply({
        "result_count": 2,
        "results": [
            {
                "id": "1", "title": "Hexagon", "creator": "Ann", "creator_url": "https://example.org/ann", "url": at,
                "thumbnail": f"{server.at}/thumb", "license": "by-sa", "license_version": "4.0",
                "license_url": "https://creativecommons.org/licenses/by-sa/4.0/", "mature": False,
                "foreign_landing_url": "https://example.org/photo/1", "attribution": "…", "width": 256, "height": 256,
            },
            {"id": "2", "title": "Adult", "url": f"{server.at}/adult.png", "license": "cc0", "mature": True},
        ],
    })  # fmt: skip
    answer = await fetched(f"web:openverse?count=5&licences=by-sa+cc0@{server.at}/v1/images/")
    assert server.queries("/v1/images/") == [
        {"q": "a hexagon", "page_size": "5", "mature": "false", "license": "by-sa,cc0"}
    ]
    assert "imagerag/" in server.headers[0]["user-agent"]
    assert "imagerag/" in server.headers[1]["user-agent"]
    assert server.asked[1:] == ["/hexagon.png"], "what is not for everybody is not fetched"
    (image,) = answer.images
    assert (image.title, image.author, image.licence) == ("Hexagon", "Ann", "CC-BY-SA-4.0")
    assert (image.web.service, image.web.page, image.web.url) == ("openverse", "https://example.org/photo/1", at)
    assert image.web.licence_url == "https://creativecommons.org/licenses/by-sa/4.0/"
    assert answer.cost_usd == 0.0


async def test_wikimedia_commons(server: SearchServer) -> None:
    def page(index: int, name: str, licence: str, address: str) -> dict[str, Any]:
        said = {
            "LicenseShortName": licence,
            "LicenseUrl": address,
            "Artist": '<a href="//x">Bo</a>',
            "ObjectName": name,
        }
        info = {
            "url": f"{server.at}/large.png", "thumburl": server.image(f"/{name}.png", drawn(side=64 + index)),
            "thumbwidth": 640, "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{name}", "mime": "image/png",
            "extmetadata": {key: {"value": value, "source": "x"} for key, value in said.items() if value},
        }  # fmt: skip
        return {"pageid": index, "ns": 6, "title": f"File:{name}.png", "index": index, "imageinfo": [info]}

    pages = [
        page(2, "second", "CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0"),
        page(1, "first", "Public domain", ""),
        page(3, "third", "GFDL", "https://www.gnu.org/copyleft/fdl.html"),
    ]
    server.replies["/w/api.php"] = Reply({"batchcomplete": True, "query": {"pages": pages}})
    answer = await fetched(f"web:commons@{server.at}/w/api.php")
    (query,) = server.queries("/w/api.php")
    assert query["generator"] == "search"
    assert query["gsrnamespace"] == "6"
    assert query["gsrsearch"] == "a hexagon filetype:bitmap"
    assert query["iiprop"] == "url|size|mime|extmetadata"
    assert [(one.title, one.author, one.licence) for one in answer.images] == [
        ("first", "Bo", "public domain"),
        ("second", "Bo", "CC-BY-SA-3.0"),
    ]
    assert [one.reason for one in answer.rejected] == ["its licence is unknown ('GFDL')"]


async def test_brave_has_a_key_and_no_licences(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "secret-1")
    at = server.image("/a.png", drawn())
    result = {"type": "image_result", "title": "T", "url": "https://example.org/p", "properties": {"url": at}}
    server.replies["/images"] = Reply({"type": "images", "results": [result]})
    spec = f"web:brave?key_env=OUR_KEY&licences=any@{server.at}/images"
    answer = await fetched(spec)
    assert server.headers[0]["x-subscription-token"] == "secret-1"
    assert "x-subscription-token" not in server.headers[1], "the key is the service's alone"
    assert server.queries("/images") == [{"q": "a hexagon", "count": "8", "safesearch": "strict"}]
    assert [one.licence for one in answer.images] == ["unknown"]
    refused = await fetched(spec.replace("&licences=any", ""))
    assert [one.reason for one in refused.rejected] == ["its licence is unknown"]


async def test_serper_is_posted_to(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "secret-2")
    at = server.image("/a.png", drawn())
    image = {"title": "T", "imageUrl": at, "imageWidth": 256, "link": "https://example.org/p", "position": 1}
    server.replies["/images"] = Reply({"images": [image]})
    answer = await fetched(f"web:serper?key_env=OUR_KEY&licences=any@{server.at}/images")
    assert server.headers[0]["x-api-key"] == "secret-2"
    assert json.loads(server.bodies[0]) == {"q": "a hexagon", "num": 8}
    assert [one.web.page for one in answer.images] == ["https://example.org/p"]


async def test_any_service_by_the_contract(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "secret-3")
    server.finds(found(server.image("/a.png", drawn())))
    answer = await fetched(f"web:http?key_env=OUR_KEY@{server.at}/search?lang=en")
    assert server.queries() == [{"lang": "en", "q": "a hexagon", "count": "8"}]
    assert server.headers[0]["authorization"] == "Bearer secret-3"
    assert [(one.title, one.author, one.licence) for one in answer.images] == [("A hexagon", "Ann", "CC-BY-4.0")]
    server.replies["/search"] = Reply({"images": [found(server.image("/b.png", drawn(side=128)))]})
    assert len((await fetched(server.library)).images) == 1


async def test_hits_are_ranked_by_the_encoder_and_hold_their_provenance(server: SearchServer) -> None:
    server.finds(found(server.image("/a.png", drawn())), found(server.image("/b.png", drawn(side=128)), licence="cc0"))
    web = library(server.library, threshold=lambda: 0.25)
    hits = await web.search("a hexagon", k=5, filter=Filter())
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    assert {hit.threshold for hit in hits} == {0.25}
    assert {hit.library for hit in hits} == {server.library}
    one = next(hit for hit in hits if hit.licence == "CC-BY-4.0")
    assert one.metadata["page"] == one.source == "https://example.org/hexagon"
    assert (one.metadata["author"], one.metadata["service"]) == ("Ann", "http")
    assert one.caption == "", "nothing that a stranger wrote is a caption, which models read"
    assert [hit.licence for hit in await web.search("x", k=5, filter=Filter(licences=("CC0-1.0",)))] == ["CC0-1.0"]
    with pytest.raises(UsageError, match="no image is sent to a search service"):
        await web.search_by_image(drawn(), k=1, filter=Filter())


async def test_metadata_beside_the_pixels_is_not_kept(server: SearchServer) -> None:
    import io

    from PIL import Image

    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "where I live", 6
    out = io.BytesIO()
    Image.new("RGB", (200, 100), "navy").save(out, "JPEG", exif=exif)
    server.finds(found(server.image("/a.jpg", out.getvalue(), "image/jpeg")))
    blobs = MemoryBlobs()
    (image,) = (await fetched(server.library, blobs=blobs)).images
    data = blobs.data[image.image.sha256]
    assert b"where I live" not in data
    assert (image.image.width, image.image.height) == (100, 200), "upright, as a viewer shows it"


async def test_a_busy_service_is_asked_again_when_it_says(server: SearchServer) -> None:
    busy = Reply({}, status=429, headers={"Retry-After": "0"})
    server.replies["/search"] = [busy, busy, Reply([found(server.image("/a.png", drawn()))])]
    assert len((await fetched(server.library)).images) == 1
    assert len(server.queries()) == 3
    server.replies["/search"] = Reply({}, status=429, headers={"Retry-After": "3600"})
    assert (await fetched(server.library)).error.endswith("answers HTTP 429"), "nobody waits an hour"
    assert len(server.queries()) == 4


async def test_few_images_are_downloaded_at_once(server: SearchServer) -> None:
    import threading
    import time

    lock, now, most = threading.Lock(), [0], [0]
    data = drawn(side=64)

    def body(write: Any) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.03)
        write(data)
        with lock:
            now[0] -= 1

    for number in range(12):
        server.replies[f"/{number}.png"] = Reply(body, "image/png")
    server.finds(*(found(f"{server.at}/{number}.png") for number in range(12)))
    web = library(f"web:http?count=12@{server.at}/search")
    await asyncio.gather(*(web.fetch("x", max_bytes=MAX_RUN_BYTES) for _ in range(2)))
    assert 1 < most[0] <= AT_ONCE


async def test_a_long_query_is_cut_between_words(server: SearchServer) -> None:
    server.replies["/v1"] = Reply({"results": []})
    await fetched(f"web:openverse@{server.at}/v1", "hexagon " * 60)
    assert len(server.queries("/v1")[0]["q"]) == 199


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("web:altavista", "no such search service"),
        ("web:http", "names no address"),
        ("web:http@127.0.0.1:8000/search", "needs http:// or https://"),
        ("web:http@images.example.org/search", "needs http:// or https://"),
        ("web:openverse?licences=mine", "licences must be one or more of cc0"),
        ("web:openverse?cuont=3", "did you mean 'count'"),
        ("web:brave", "set BRAVE_API_KEY"),
        ("web:brave?key_env=NOT_SET@https://example.org/", "set NOT_SET"),
    ],
)
def test_a_spec_that_cannot_be(spec: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "x")
    with pytest.raises(SpecError, match=why):
        library(spec)


async def test_no_key_goes_out_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "x")
    answer = await fetched("web:http?key_env=OUR_KEY@http://example.invalid/search")
    assert "is not sent over http" in answer.error


def test_what_a_search_costs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAVE_API_KEY", "x")
    free, paid = library("web:openverse"), library("web:brave")
    tariffs = [capabilities_of(one).tariff for one in (free, paid)]
    assert [tariff.known for tariff in tariffs if tariff] == [True, False]
    (tmp_path / "prices.toml").write_text('[models."brave@api.search.brave.com"]\nper_call = 0.005\n')
    priced = capabilities_of(library("web:brave", prices=Prices.load(tmp_path))).tariff
    assert priced is not None
    assert priced.most(0, 0, None) == 0.005
