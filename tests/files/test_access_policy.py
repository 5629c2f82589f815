"""What an assistant may hand in: files below allowed folders, and, when turned on, addresses that are really public."""

import asyncio
import ipaddress
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag import UsageError
from imagerag.files.access_policy import InputPolicy
from imagerag.tools.public_addresses import is_public
from imagerag.tools.testing.mock_openai import tiny_png
from imagerag.tools.url_fetcher import Fetcher

PNG = tiny_png("a")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    (folder / "below").mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    (folder / "below" / "b.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    return folder


@pytest.mark.parametrize("name", ["a.png", "below/b.png", "below/../a.png", "./a.png"])
async def test_files_below_a_root_are_read(root: Path, name: str) -> None:
    policy = InputPolicy.of([root])
    assert await policy.read(name) == PNG
    assert await policy.read(str(root / name)) == PNG


@pytest.mark.parametrize(
    "source",
    ["../secret.png", "below/../../secret.png", "/etc/passwd", "/proc/self/environ", "~/.ssh/id_rsa", "missing.png"],
)
async def test_a_path_out_of_the_root_is_refused_as_if_it_were_not_there(root: Path, source: str) -> None:
    with pytest.raises(UsageError, match="is not a file below"):
        await InputPolicy.of([root]).read(source)
    with pytest.raises(UsageError, match="is not a file below"):
        await InputPolicy.of([root]).read(str(root / source))


async def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(root: Path) -> None:
    (root / "out.png").symlink_to(root.parent / "secret.png")
    (root / "elsewhere").symlink_to(root.parent)
    (root / "inside.png").symlink_to(root / "below" / "b.png")
    policy = InputPolicy.of([root])
    assert await policy.read("inside.png") == PNG
    for source in ("out.png", "elsewhere/secret.png"):
        with pytest.raises(UsageError, match="is not a file below"):
            await policy.read(source)


def test_folders_are_those_below_a_root(root: Path) -> None:
    (root / "elsewhere").symlink_to(root.parent)
    policy = InputPolicy.of([root])
    assert policy.folder("below") == policy.folder(str(root / "below")) == (root / "below").resolve()
    assert policy.folder(str(root)) == root.resolve()
    for source in ("..", "elsewhere", "a.png", "missing", "/etc"):
        with pytest.raises(UsageError):
            policy.folder(source)
    with pytest.raises(UsageError, match="--root"):
        InputPolicy().folder("below")


async def test_a_link_put_there_after_the_check_is_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = InputPolicy._resolve

    def swapped(self: InputPolicy, source: str) -> tuple[Path, Path]:
        found = checked(self, source)
        (root / "below" / "b.png").unlink()
        (root / "below").rmdir()
        (root / "below").symlink_to(root.parent)
        (root.parent / "b.png").write_bytes(PNG)
        return found

    monkeypatch.setattr(InputPolicy, "_resolve", swapped)
    with pytest.raises(UsageError, match="cannot be read"):
        await InputPolicy.of([root]).read("below/b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
async def test_a_pipe_a_folder_and_a_device_are_no_files(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    policy = InputPolicy.of([root])
    for source in ("pipe.png", "below", "."):
        with pytest.raises(UsageError, match=r"is not a file|cannot be read"):
            await asyncio.wait_for(policy.read(source), 10)
    with pytest.raises(UsageError, match="is not a file"):
        await InputPolicy.of(["/dev"]).read("null")


@pytest.mark.parametrize(
    "source", ["file:///etc/passwd", "FILE:/etc/passwd", "data:image/png;base64,AA", "gopher://x/"]
)
async def test_other_schemes_are_refused(root: Path, source: str) -> None:
    with pytest.raises(UsageError, match="is not read"):
        await InputPolicy.of([root], urls=True).read(source)


@pytest.mark.parametrize("source", ["a.png\0.jpg", "\ud800.png", "", "   ", "a" * 5000])
async def test_what_is_no_path_at_all_is_refused(root: Path, source: str) -> None:
    with pytest.raises(UsageError) as refused:
        await InputPolicy.of([root]).read(source)
    str(refused.value).encode()


async def test_only_pictures_of_a_bounded_size_are_read(root: Path) -> None:
    (root / "notes.txt").write_text("my password")
    (root / "large.png").write_bytes(PNG + bytes(5000))
    policy = InputPolicy.of([root], max_bytes=4000)
    with pytest.raises(UsageError, match="is not an image"):
        await policy.read("notes.txt")
    with pytest.raises(UsageError, match="more than"):
        await policy.read("large.png")


async def test_without_a_root_no_file_is_read(root: Path) -> None:
    with pytest.raises(UsageError, match="--root"):
        await InputPolicy().read(str(root / "a.png"))


def test_a_root_must_be_a_folder(root: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        InputPolicy.of([root / "a.png"])


async def test_addresses_are_off_unless_turned_on(root: Path) -> None:
    with pytest.raises(UsageError, match="--allow-urls"):
        await InputPolicy.of([root]).read("https://example.com/a.png")


NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1"),
    *("fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("2002:7f00:1::", "2002:a00:1::", "2001:0:1::"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_what_is_not_public_is_never_connected_to(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(UsageError, match="not a public address"):
        await InputPolicy(urls=True).read(f"http://{literal}/a.png")


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_what_is_public_may_be_connected_to(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_the_same_inside_an_ipv6_address(address: ipaddress.IPv4Address) -> None:
    assert is_public(ipaddress.IPv6Address(f"::ffff:{address}")) == is_public(address)
    assert is_public(ipaddress.IPv6Address((0x0064FF9B << 96) | int(address))) == is_public(address)


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1", "0"])
async def test_other_spellings_of_this_machine_are_resolved_before_they_are_judged(host: str) -> None:
    with pytest.raises(UsageError, match=r"not a public address|cannot be fetched"):
        await InputPolicy(urls=True).read(f"http://{host}/a.png")


async def test_a_name_that_leads_inside_is_refused() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["1.1.1.1", "10.0.0.7"]

    with pytest.raises(UsageError, match=r"inside\.example is not fetched"):
        await Fetcher(max_bytes=100, resolve=resolve).fetch("https://inside.example/a.png")


async def test_user_names_in_addresses_are_refused() -> None:
    with pytest.raises(UsageError, match="user name"):
        await Fetcher(max_bytes=100).fetch("http://me:secret@example.com/a.png")


class Pages(BaseHTTPRequestHandler):
    """A small web: pictures, a page, redirects, a body without an end."""

    def do_GET(self) -> None:
        seen: list[tuple[str, str]] = self.server.seen  # type: ignore[attr-defined]
        seen.append((self.path, self.headers.get("Host", "")))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[len("/to/") :])
            self.end_headers()
        elif self.path == "/round":
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
        elif self.path == "/endless":
            self._endless()
        else:
            kind, body = {"/page": ("text/html", b"<p>"), "/lie": ("image/png", b"<p>")}.get(
                self.path, ("image/png", PNG)
            )
            self.send_response(404 if self.path.startswith("/missing") else 200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

    def _endless(self) -> None:
        """10 GB, as far as anybody reads."""
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        try:
            self.wfile.write(PNG)
            for _ in range(10_000):
                self.wfile.write(bytes(1 << 20))
                self.server.sent += 1 << 20  # type: ignore[attr-defined]
        except OSError:
            self.server.cut.set()  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.seen, server.sent, server.cut = [], 0, threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetcher(web: Any) -> Fetcher:
    """Names lead to the small web, as if its address were public; other addresses are judged as ever."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"] if host.endswith(".example") else [host]

    def allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return str(address) == "127.0.0.1" or is_public(address)

    return Fetcher(max_bytes=1 << 20, timeout_s=10, allowed=allowed, resolve=resolve)


def at(web: Any, path: str, name: str = "pictures.example") -> str:
    return f"http://{name}:{web.server_port}{path}"


async def test_a_public_picture_is_fetched_from_the_address_that_was_checked(web: Any, fetcher: Fetcher) -> None:
    policy = InputPolicy(urls=True, fetcher=fetcher)
    assert await policy.read(at(web, "/a.png")) == PNG
    # The connection went to the address, the request to the name.
    assert web.seen == [("/a.png", f"pictures.example:{web.server_port}")]


async def test_redirects_are_followed_and_each_one_is_checked(web: Any, fetcher: Fetcher) -> None:
    assert await fetcher.fetch(at(web, "/to//a.png")) == PNG
    assert await fetcher.fetch(at(web, f"/to/{at(web, '/a.png', 'other.example')}")) == PNG
    for inside in ("http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1]/"):
        with pytest.raises(UsageError, match="not a public address"):
            await fetcher.fetch(at(web, f"/to/{inside}"))
    for other in ("file:///etc/passwd", "ftp://other.example/"):
        with pytest.raises(UsageError, match="only http and https"):
            await fetcher.fetch(at(web, f"/to/{other}"))


async def test_redirects_come_to_an_end(web: Any, fetcher: Fetcher) -> None:
    with pytest.raises(UsageError, match="more than 3 times"):
        await fetcher.fetch(at(web, "/round"))
    assert len(web.seen) == 4


async def test_a_name_is_asked_once_so_that_it_cannot_answer_otherwise_later(web: Any) -> None:
    asked: list[str] = []

    async def turncoat(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    good = Fetcher(max_bytes=1 << 20, allowed=lambda address: str(address) == "127.0.0.1", resolve=turncoat)
    assert await good.fetch(at(web, "/a.png")) == PNG
    assert asked == ["pictures.example"]


async def test_ten_gigabytes_are_cut_off(web: Any, fetcher: Fetcher) -> None:
    with pytest.raises(UsageError, match="more than the 1 MB"):
        await fetcher.fetch(at(web, "/endless"))
    assert await asyncio.to_thread(web.cut.wait, 10)
    assert web.sent < 50 << 20


@pytest.mark.parametrize(
    ("path", "why"), [("/page", "no image but text/html"), ("/lie", "is not an image"), ("/missing", "HTTP 404")]
)
async def test_what_is_not_a_picture_is_refused(web: Any, fetcher: Fetcher, path: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        await InputPolicy(urls=True, fetcher=fetcher).read(at(web, path))


async def test_a_server_that_says_nothing_is_given_up() -> None:
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    fetcher = Fetcher(max_bytes=100, timeout_s=0.2, allowed=lambda _: True)
    with pytest.raises(UsageError, match=r"did not answer in 0\.2 s|cannot be fetched"):
        await fetcher.fetch(f"http://127.0.0.1:{port}/a.png?token=secret")
    silent.close()
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_a_message_holds_no_query(web: Any, fetcher: Fetcher) -> None:
    with pytest.raises(UsageError) as refused:
        await fetcher.fetch(at(web, "/missing?key=secret"))
    assert "secret" not in str(refused.value)
