"""No test may spend money or touch the home of whoever runs it, whatever their environment says."""

import os

for name in [name for name in os.environ if name.startswith("IMAGERAG_") or name.endswith("_API_KEY")]:
    if name != "IMAGERAG_DOCS_WRITE":  # how `make docs` asks for the documents to be rewritten
        del os.environ[name]
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
