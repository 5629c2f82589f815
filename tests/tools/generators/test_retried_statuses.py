"""Which HTTP statuses are worth another try, whether they come as a status or inside an answer."""

import httpx2
import openai
import pytest

from imagerag.agent.errors import AuthError, BackendError, BackendTimeoutError, QuotaError, RateLimitedError
from imagerag.graphs.generation import is_retryable
from imagerag.tools.openai.errors import check_error_field, to_imagerag_error

MEANING: dict[int, tuple[type[BackendError], bool]] = {
    400: (BackendError, False),
    401: (AuthError, False),
    402: (QuotaError, False),
    403: (AuthError, False),
    404: (BackendError, False),
    405: (BackendError, False),
    408: (BackendTimeoutError, True),
    409: (BackendError, True),
    410: (BackendError, False),
    413: (BackendError, False),
    422: (BackendError, False),
    425: (BackendError, True),
    429: (RateLimitedError, True),
    499: (BackendError, False),
    500: (BackendError, True),
    502: (BackendError, True),
    503: (BackendError, True),
    504: (BackendError, True),
    529: (BackendError, True),
}


@pytest.mark.parametrize(("status", "kind", "retried"), [(status, *meaning) for status, meaning in MEANING.items()])
def test_a_status(status: int, kind: type[BackendError], retried: bool) -> None:
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://127.0.0.1/v1"), json={"note": "no"})
    error = to_imagerag_error(openai.APIStatusError("no", response=response, body={"note": "no"}), "the service")
    assert type(error) is kind
    assert is_retryable(error) is retried


@pytest.mark.parametrize(("status", "kind", "retried"), [(status, *meaning) for status, meaning in MEANING.items()])
def test_a_code_inside_an_answer(status: int, kind: type[BackendError], retried: bool) -> None:
    with pytest.raises(BackendError) as error:
        check_error_field({"code": status, "message": "no"}, "the service")
    assert type(error.value) is kind
    assert is_retryable(error.value) is retried
