"""A provider on this machine: a real HTTP server that speaks the OpenAI endpoints imagerag uses, to test against.

```python
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse

with MockOpenAIServer() as server:                 # server.base_url == "http://127.0.0.1:PORT/v1"
    server.enqueue("chat", MockResponse(text="Yes."), Fault("rate_limit", retry_after_s=0.1))
    ...                                           # point any client at server.base_url, with any key
    assert server.count("chat") == 2
```

Scripted responses are sent first, oldest first, per endpoint; after them a responder makes one for each request:
`DefaultResponder` (a tiny image, a text of your choice) or `SketchResponder` (the sketch world generates and judges).
Nothing here needs a network, a key, or anything outside the standard library, except `SketchResponder`.
"""

from imagerag.tools.testing.mock_openai.default_responder import DefaultResponder, sample_of, tiny_png
from imagerag.tools.testing.mock_openai.request_log import Endpoint, RecordedRequest, SentImage
from imagerag.tools.testing.mock_openai.responses import (
    Answerer,
    ErrorShape,
    Fault,
    FaultKind,
    FaultRates,
    MockResponse,
    Raw,
)
from imagerag.tools.testing.mock_openai.server import MockOpenAIServer
from imagerag.tools.testing.mock_openai.sketch_responder import SketchResponder

__all__ = [
    "Answerer",
    "DefaultResponder",
    "Endpoint",
    "ErrorShape",
    "Fault",
    "FaultKind",
    "FaultRates",
    "MockOpenAIServer",
    "MockResponse",
    "Raw",
    "RecordedRequest",
    "SentImage",
    "SketchResponder",
    "sample_of",
    "tiny_png",
]
