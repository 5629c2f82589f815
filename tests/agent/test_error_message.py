"""The message of an error is bounded, can be stored, and holds no secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.error_message import LONGEST_MESSAGE, message_of, repr_of
from imagerag.agent.errors import BackendError
from imagerag.agent.outcomes import restore_exception

KEY = "0123456789abcdefABCDEF"


@pytest.mark.parametrize(
    "text",
    [
        f"wrong key sk-{KEY}",
        f"wrong key AIza{KEY}",
        f"headers {{'Authorization': 'Bearer {KEY}'}}",
        f"headers {{'Authorization': 'Basic {KEY}=='}}",
        f"GET https://bob:{KEY}@host/v1 failed",
        f"GET https://host/v1?size=1&api_key={KEY} failed",
        f"sent data:image/png;base64,{KEY}==",
        f"sent {KEY} and no more",
    ],
)
def test_no_secret_is_kept(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if text.startswith("sent "):
        monkeypatch.setenv("MY_OWN_SERVICE_TOKEN", KEY)
    for kept in (message_of(ValueError(text)), repr_of(ValueError(text))):
        assert KEY not in kept
        assert kept.split()[0].endswith(text.split()[0])


@pytest.mark.parametrize(
    "text",
    [
        "/a/path/" + "folder/" * 30,
        "a key-value pair",
        "openai:m@http://localhost/v1 is down",
        "bearer of news",
        "100 %",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert message_of(ValueError(text)) == text


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_without_a_message_is_its_type() -> None:
    assert [message_of(error) for error in (OddError("x"), ValueError())] == ["OddError", "ValueError"]
    assert repr_of(ValueError()) == "ValueError()"


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60), st.integers(0, 3_000))
def test_any_error_can_be_stored_and_restored(text: str, times: int) -> None:
    error = BackendError(text * times)
    kept = repr_of(error)
    kept.encode()
    assert len(message_of(error)) <= LONGEST_MESSAGE + 2
    again = restore_exception(kept)
    assert type(again) is BackendError
    assert message_of(again) == message_of(error)
