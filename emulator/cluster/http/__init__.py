"""The HTTPS face of the API: paths, credentials, representations, streams. It decides nothing; `Api` does."""

from __future__ import annotations
