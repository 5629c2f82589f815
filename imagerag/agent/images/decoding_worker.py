"""The other end of `decoding_pool`: a process that decodes the image files it is sent, within limits.

For every file it reads two numbers (how many bytes, and the side in pixels or 0) and the bytes, and writes two numbers,
a JSON document and pixels.
"""

import contextlib
import json
import os
import signal
import struct
import sys
import time
from typing import IO, Any, Final

from imagerag.agent.errors import ImageTooLargeError, UsageError
from imagerag.agent.images.decoded import Decoded
from imagerag.agent.images.decoding import decode_here
from imagerag.agent.images.decoding_pool import processor_seconds
from imagerag.agent.images.formats import readable_format

_MEMORY: Final = 1536 * 1024 * 1024
"""Of address space, for Python and the libraries."""

_BYTES_PER_PIXEL: Final = 24
"""32 bits in four channels, and twice that while they are converted."""


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks gets it as well, and ends this process
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(5)
    requests, responses = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    while len(start := requests.read(16)) == 16:
        size, side = struct.unpack(">QQ", start)
        data = requests.read(size)
        if len(data) < size:
            return
        head, pixels = answer(data, side or None)
        _tell(responses, head, pixels)


def answer(data: bytes, side: int | None) -> tuple[dict[str, Any], bytes]:
    """Facts about a file, and its pixels."""

    started = time.process_time()

    def sized(pixels: int) -> None:
        limit(pixels, len(data), started)

    sized(0)
    try:
        decoded = decode_here(data, readable_format(data), side=side, sized=sized)
        return _properties(decoded), decoded.image.tobytes()
    except UsageError as error:
        return {"problem": str(error), "too_large": isinstance(error, ImageTooLargeError)}, b""
    except MemoryError:
        return {"problem": "decoding it takes far more memory than an image of its size does"}, b""
    except Exception as error:  # whatever happens with one file, the next one is another
        return {"problem": f"cannot be decoded: {type(error).__name__}: {error}"}, b""


def limit(pixels: int, size: int, started: float) -> None:
    """Set what decoding an image of so many pixels, from a file of so many bytes, may take.

    Args:
        pixels: as many as it has; 0 as long as that is not known.
        size: of the file.
        started: the processor time that had been used when it began.
    """
    try:
        import resource
    except ImportError:  # Windows: whoever asks ends this process after a while
        return
    seconds = int(started) + 1 + processor_seconds(pixels)
    memory = _MEMORY + 3 * size + _BYTES_PER_PIXEL * pixels
    for kind, soft in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _properties(decoded: Decoded) -> dict[str, Any]:
    image = decoded.image
    fields = {name: value for name, value in vars(decoded).items() if name != "image"}
    return {**fields, "mode": image.mode, "size": image.size}


def _tell(pipe: IO[bytes], head: dict[str, Any], pixels: bytes) -> None:
    text = json.dumps(head).encode()
    pipe.write(struct.pack(">QQ", len(text), len(pixels)))
    pipe.write(text)
    pipe.write(pixels)
    pipe.flush()
