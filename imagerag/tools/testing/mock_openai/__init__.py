"""A provider on this machine: a real HTTP server that speaks the OpenAI endpoints imagerag uses, to test against.

```python
from imagerag.tools.testing.mock_openai import Fault, Loopback, Reply

with Loopback() as server:                        # server.base_url == "http://127.0.0.1:PORT/v1"
    server.enqueue("chat", Reply(text="Yes."), Fault("rate_limit", retry_after_s=0.1))
    ...                                           # point any client at server.base_url, with any key
    assert server.count("chat") == 2
```

Scripted replies are given first, oldest first, per endpoint; after them an answerer makes one for each request:
`SimpleAnswers` (a tiny picture, words you choose) or `SketchAnswers` (the sketch world draws and judges for real).
Nothing here needs a network, a key, or anything outside the standard library, except `SketchAnswers`.
"""

from imagerag.tools.testing.mock_openai.default_responder import SimpleAnswers, sample_of, tiny_png
from imagerag.tools.testing.mock_openai.request_log import Endpoint, Recorded, SentImage
from imagerag.tools.testing.mock_openai.responses import Answerer, ErrorShape, Fault, FaultKind, FaultRates, Raw, Reply
from imagerag.tools.testing.mock_openai.server import Loopback
from imagerag.tools.testing.mock_openai.sketch_responder import SketchAnswers

__all__ = [
    "Answerer",
    "Endpoint",
    "ErrorShape",
    "Fault",
    "FaultKind",
    "FaultRates",
    "Loopback",
    "Raw",
    "Recorded",
    "Reply",
    "SentImage",
    "SimpleAnswers",
    "SketchAnswers",
    "sample_of",
    "tiny_png",
]
