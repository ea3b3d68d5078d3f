"""Adapters to the host, the engine, certificates, a registry and nginx: they know no plan. Imports `model`."""

import sys

# httpx imports its own program where it can, which is a tenth of all that a kernel imports; None makes that fail.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # typed as if it could not be None
