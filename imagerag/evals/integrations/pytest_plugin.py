"""The pytest fixture that runs a prompt and asserts that the image matches it.

```python
pytest_plugins = ["imagerag.evals.integrations.pytest_plugin"]      # in the root conftest.py


@pytest.mark.imagerag(library="brand", generator="openai:gpt-image-2.5-flare")
def test_our_mascot_is_known(assert_aligned):
    assert_aligned("our mascot on a beach")
```

A test fails when the judge finds something missing; the message names it. A model that is down, or a judge without a
response, makes the test an error instead of a failure. Journals are stored in pytest's cache, so an unchanged test pays
for its calls once; `--imagerag-cache replay` makes no call at all.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from imagerag.evals.result_record import Result


class NotJudgedError(RuntimeError):
    """The image could not be judged."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--imagerag-cache`."""
    parser.getgroup("imagerag").addoption(
        "--imagerag-cache", choices=("record", "reuse", "replay"), default="record",
        help="replay: assert on what was recorded, without calling any model",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker with its description."""
    config.addinivalue_line("markers", "imagerag(**options): options of assert_aligned; select with -m imagerag")


@pytest.fixture
def assert_aligned(request: pytest.FixtureRequest) -> "Callable[..., Result]":
    """`assert_aligned(prompt, **options)`: options are those of `run_case`, including config such as `max_rounds`."""
    marked: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("imagerag"))):
        marked |= marker.kwargs
    cache = getattr(request.config, "cache", None)  # missing under `-p no:cacheprovider`
    folder = Path(cache.mkdir("imagerag")) if cache else None
    cache_mode = request.config.getoption("--imagerag-cache", default="record")

    def check(prompt: str, **options: Any) -> "Result":
        from imagerag.evals.integrations.cases import run_case_sync

        result = run_case_sync(prompt, **{"folder": folder, "cache": cache_mode, **marked, **options})
        if result.status == "technical":
            raise NotJudgedError(f"{prompt!r}: {result.reason}")
        if result.outcome != "aligned":
            lacking = "; ".join(result.unresolved) or "the prompt as a whole"
            raise AssertionError(f"{prompt!r} is {result.outcome}: missing {lacking} ({result.reason})")
        return result

    return check
