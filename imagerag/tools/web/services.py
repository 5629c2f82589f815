"""Search services: the request that each takes, and where its response has what is needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from imagerag.tools.web.results import WebResult, number_of, raw_text

Read = Callable[[Any], list[WebResult]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A search service.

    Attributes:
        address: its own; empty where the spec names it.
        read: the results of a response, in their order.
        parameters: (words, count, licence codes, none for all) → parameters of the query, or the posted body.
        longest: characters of a query that it takes.
        key_env: the variable that holds its key; empty for a service without keys.
        key_header: the header that its key is sent in.
        posts: the parameters are posted as JSON.
        paid: a search may cost something.
    """

    address: str
    read: Read
    parameters: Callable[[str, int, Sequence[str]], Mapping[str, Any]]
    longest: int = 400
    key_env: str = ""
    key_header: str = "Authorization"
    posts: bool = False
    paid: bool = False

    def url(self, address: str, words: str, count: int, licences: Sequence[str]) -> str:
        """The address of a request."""
        if self.posts:
            return address
        query = urlencode(self.parameters(words, count, licences))
        return f"{address}{'&' if urlsplit(address).query else '?'}{query}"

    def body(self, words: str, count: int, licences: Sequence[str]) -> object:
        """What is posted; None for a GET."""
        return dict(self.parameters(words, count, licences)) if self.posts else None


def _records(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _part(value: Any, *names: str) -> Any:
    """A value within objects within objects; None where one is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _openverse(answer: Any) -> list[WebResult]:
    return [
        WebResult(
            image=raw_text(one.get("url")),
            page=raw_text(one.get("foreign_landing_url")),
            title=raw_text(one.get("title")),
            author=raw_text(one.get("creator")),
            licence=raw_text(one.get("license")),
            licence_version=raw_text(one.get("license_version")),
            licence_url=raw_text(one.get("license_url")),
            width=number_of(one.get("width")),
            height=number_of(one.get("height")),
        )
        for one in _records(_part(answer, "results"))
        if one.get("mature") is not True
    ]


def _commons(answer: Any) -> list[WebResult]:
    pages = sorted(_records(_part(answer, "query", "pages")), key=lambda one: number_of(one.get("index")))
    results = []
    for page in pages:
        for info in _records(page.get("imageinfo"))[:1]:
            metadata = info.get("extmetadata")
            title = raw_text(_part(metadata, "ObjectName", "value")) or raw_text(page.get("title")).removeprefix(
                "File:"
            )
            results.append(
                WebResult(
                    image=raw_text(info.get("thumburl")) or raw_text(info.get("url")),
                    page=raw_text(info.get("descriptionurl")),
                    title=title,
                    author=raw_text(_part(metadata, "Artist", "value")),
                    licence=raw_text(_part(metadata, "LicenseShortName", "value"))
                    or raw_text(_part(metadata, "License", "value")),
                    licence_url=raw_text(_part(metadata, "LicenseUrl", "value")),
                    width=number_of(info.get("thumbwidth")),
                    height=number_of(info.get("thumbheight")),
                )
            )
    return results


def _brave(answer: Any) -> list[WebResult]:
    return [
        WebResult(
            image=raw_text(_part(one, "properties", "url")) or raw_text(_part(one, "thumbnail", "src")),
            page=raw_text(one.get("url")),
            title=raw_text(one.get("title")),
            width=number_of(_part(one, "properties", "width")),
            height=number_of(_part(one, "properties", "height")),
        )
        for one in _records(_part(answer, "results"))
    ]


def _serper(answer: Any) -> list[WebResult]:
    return [
        WebResult(
            image=raw_text(one.get("imageUrl")),
            page=raw_text(one.get("link")),
            title=raw_text(one.get("title")),
            width=number_of(one.get("imageWidth")),
            height=number_of(one.get("imageHeight")),
        )
        for one in _records(_part(answer, "images"))
    ]


def _http(answer: Any) -> list[WebResult]:
    """The contract of `docs/how-to/web-references.md`."""
    return [
        WebResult(
            image=raw_text(one.get("image")),
            page=raw_text(one.get("page")),
            title=raw_text(one.get("title")),
            author=raw_text(one.get("author")),
            licence=raw_text(one.get("licence")),
            licence_url=raw_text(one.get("licence_url")),
            width=number_of(one.get("width")),
            height=number_of(one.get("height")),
        )
        for one in _records(answer if isinstance(answer, list) else _part(answer, "images"))
    ]


def _openverse_query(words: str, count: int, licences: Sequence[str]) -> dict[str, Any]:
    query = {"q": words, "page_size": min(count, 20), "mature": "false"}
    return {**query, "license": ",".join(licences)} if licences else query


_COMMONS_QUERY: Final[Mapping[str, Any]] = {
    "action": "query",
    "format": "json",
    "formatversion": 2,
    "generator": "search",
    "gsrnamespace": 6,
    "prop": "imageinfo",
    "iiprop": "url|size|mime|extmetadata",
    "iiurlwidth": 1024,
    "iiextmetadatafilter": "License|LicenseShortName|LicenseUrl|Artist|ObjectName",
}

SERVICES: Final[Mapping[str, Service]] = {
    "brave": Service(
        address="https://api.search.brave.com/res/v1/images/search",
        read=_brave,
        parameters=lambda words, count, licences: {"q": words, "count": count, "safesearch": "strict"},
        key_env="BRAVE_API_KEY",
        key_header="X-Subscription-Token",
        paid=True,
    ),
    "commons": Service(
        address="https://commons.wikimedia.org/w/api.php",
        read=_commons,
        parameters=lambda words, count, licences: {
            **_COMMONS_QUERY,
            "gsrsearch": f"{words} filetype:bitmap",
            "gsrlimit": count,
        },
        longest=250,
    ),
    "http": Service(
        address="",
        read=_http,
        parameters=lambda words, count, licences: {"q": words, "count": count},
        longest=2000,
        paid=True,
    ),
    "openverse": Service(
        address="https://api.openverse.org/v1/images/", read=_openverse, parameters=_openverse_query, longest=200
    ),
    "serper": Service(
        address="https://google.serper.dev/images",
        read=_serper,
        parameters=lambda words, count, licences: {"q": words, "num": count},
        key_env="SERPER_API_KEY",
        key_header="X-API-KEY",
        posts=True,
        paid=True,
    ),
}
"""Service → how it is asked. `licences` are codes of `licences.CODES`; only Openverse filters by them itself."""
