"""One search of a service over HTTP: the request, and its results as far as they may be let in."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import httpx2

from imagerag.agent.types import RejectedImage
from imagerag.agent.url_redaction import credentials_of, origin
from imagerag.tools.credentials import Key, check_encrypted
from imagerag.tools.url_fetcher import Fetcher, FetchError
from imagerag.tools.web.licences import UNKNOWN, Licence, licence_of
from imagerag.tools.web.results import WebResult, text_of
from imagerag.tools.web.services import Service
from imagerag.tools.web_addresses import web_address

MAX_RESPONSE: Final = 4 << 20
"""Bytes of a response of a service."""
TIMEOUT_S: Final = 20.0
"""Of one request, in seconds."""
TRIES: Final = 3
"""Requests for one search at most: a service that is busy is asked again."""
RETRY_S: Final = 1.0
"""Seconds before the second request to a service that does not say when to ask again."""
LONGEST_WAIT_S: Final = 30.0
"""Seconds that a search waits at most for a service that says when to ask again."""


@dataclass(frozen=True, kw_only=True)
class AllowedResult:
    """A result that may be fetched; its texts and addresses are checked."""

    image: str
    page: str
    title: str
    author: str
    licence: str
    licence_url: str


@dataclass(frozen=True, kw_only=True)
class ServiceSearch:
    """Asks one service.

    Attributes:
        name: of the service.
        address: where it is asked, without secrets.
        key: what it is sent, if it needs one.
        count: results asked for.
        codes: licences that are let in; none stands for all that are known.
        any_licence: let in what has no known licence, too.
    """

    name: str
    service: Service
    address: str
    key: Key = field(default_factory=Key, repr=False)
    count: int
    codes: tuple[str, ...] = ()
    any_licence: bool = False

    async def results(self, words: str) -> tuple[list[AllowedResult], list[RejectedImage]]:
        """The results of a search that may be let in, and those that may not.

        Raises:
            FetchError: the service gave no results.
            AuthError: its key would be sent unencrypted.
        """
        answer = await self._answer(shortened(words, self.service.longest))
        results: dict[str, AllowedResult] = {}
        rejected: list[RejectedImage] = []
        for one in self.service.read(answer)[: self.count]:
            fine = self._checked(one)
            if isinstance(fine, RejectedImage):
                rejected.append(fine)
            else:
                results.setdefault(fine.image, fine)
        return list(results.values()), rejected

    async def _answer(self, words: str) -> object:
        address = self.service.url(self.address, words, self.count, self.codes)
        body = self.service.body(words, self.count, self.codes)
        credentials = credentials_of(self.address)
        if credentials is not None and credentials.query:
            address = str(httpx2.URL(address).copy_merge_params(dict(credentials.query)))
        _, host, port = origin(self.address)
        fetcher = Fetcher(max_bytes=MAX_RESPONSE, timeout_s=TIMEOUT_S, own_host=host, own_port=port)
        tries = 1
        while True:
            try:
                return await fetcher.fetch_json(address, headers=self._headers(), body=body)
            except FetchError as error:
                wait = error.retry_after_s if error.retry_after_s is not None else RETRY_S * tries
                if tries >= TRIES or not error.passing or wait > LONGEST_WAIT_S:
                    raise
                tries += 1
                await asyncio.sleep(wait)

    def _headers(self) -> dict[str, str]:
        check_encrypted(self.address, f"web:{self.name}", self.key)
        headers = {"User-Agent": user_agent()}
        if self.key.value:
            scheme = "Bearer " if self.service.key_header == "Authorization" else ""
            headers[self.service.key_header] = f"{scheme}{self.key.value}"
        elif (credentials := credentials_of(self.address)) and (credentials.user or credentials.password):
            headers["Authorization"] = (
                f"Basic {b64encode(f'{credentials.user}:{credentials.password}'.encode()).decode()}"
            )
        return headers

    def _checked(self, result: WebResult) -> AllowedResult | RejectedImage:
        title, image = text_of(result.title), web_address(result.image)
        if not image:
            return RejectedImage(title=title, reason="the address of the image is no web address")
        address = image.partition("?")[0][:200]
        page = web_address(result.page)
        if result.page and not page:
            return RejectedImage(title=title, address=address, reason="its page is no web address")
        licence = licence_of(result.licence, version=result.licence_version, url=result.licence_url)
        if why := self._forbidden(licence, result):
            return RejectedImage(title=title, address=address, reason=why)
        return AllowedResult(
            image=image,
            page=page or image,
            title=title,
            author=text_of(result.author),
            licence=licence.name if licence else UNKNOWN,
            licence_url=licence.url if licence else "",
        )

    def _forbidden(self, licence: Licence | None, result: WebResult) -> str:
        """Why a licence is not let in; empty when it is."""
        if licence is None:
            licence_text = text_of(result.licence)[:60]
            return "" if self.any_licence else f"its licence is unknown{f' ({licence_text!r})' if licence_text else ''}"
        if self.codes and licence.code not in self.codes and not self.any_licence:
            return f"its licence is {licence.name}"
        return ""


def shortened(words: str, longest: int) -> str:
    """A query on one line, of whole words, as long as a service takes."""
    plain = " ".join(words.split())
    return plain if len(plain) <= longest else plain[: longest + 1].rpartition(" ")[0] or plain[:longest]


def user_agent() -> str:
    """The name by which services know this program, as Wikimedia asks for one."""
    return f"imagerag/{version('imagerag')} (image references with licences; Python)"


def rejected_all(results: Sequence[AllowedResult], reason: str) -> list[RejectedImage]:
    """Results that are not let in for one reason."""
    return [RejectedImage(title=one.title, address=one.image.partition("?")[0][:200], reason=reason) for one in results]


def headers_of_images() -> Mapping[str, str]:
    """Headers of requests for images."""
    return {"User-Agent": user_agent()}
