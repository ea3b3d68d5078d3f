"""The registry's configuration: paths and ports in its container, environment, and known keys.

Source: distribution.github.io, "Configuring a registry".
"""

import difflib
from pathlib import Path

from runbook.model.errors import HostError

INSIDE = Path("/etc/docker/registry")  # the configuration folder, as mounted in the container
TLS_PORT = 443  # in the container, if the registry terminates TLS
PLAIN_PORT = 5000  # in the container, if nginx terminates TLS
HEALTH_PORT = 5001  # of the debug server, on the container's loopback only
DRAIN_SECONDS = 60  # for uploads in flight, when the registry is told to stop; it takes no new ones then
STOP_SECONDS = DRAIN_SECONDS + 10  # after which the engine kills it

# Since 3.0 the registry sends traces to port 4318, where nothing listens. Docker's clients pass on proxy settings:
# a health check would use them, but the registry itself needs none.
_NO_PROXIES = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "")
ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none", **_NO_PROXIES}

# All keys that the runbook's configuration may have. The registry ignores an unknown key: with `auht:` for `auth:` it
# starts without a login and answers 200 to every request.
_KNOWN: dict[str, object] = {
    "version": None,
    "log": {"accesslog": {"disabled": None}, "level": None, "formatter": None, "fields": {"service": None}},
    "storage": {"delete": {"enabled": None}, "cache": {"blobdescriptor": None}, "filesystem": {"rootdirectory": None}},
    "auth": {"htpasswd": {"realm": None, "path": None}},
    "http": {
        "addr": None,
        "host": None,
        "secret": None,
        "draintimeout": None,
        "headers": {"X-Content-Type-Options": None},
        "http2": {"disabled": None},
        "tls": {"certificate": None, "key": None, "minimumtls": None},
        "debug": {"addr": None},
    },
    "health": {"storagedriver": {"enabled": None, "interval": None, "threshold": None}},
}


def refuse_unknown_keys(data: object, known: object = None, above: str = "") -> None:
    """Raise HostError for a key that the registry would ignore, with the most similar known key."""
    known = _KNOWN if known is None else known
    if not isinstance(known, dict):
        return
    if not isinstance(data, dict):
        raise HostError(
            f"a mapping at {above or 'the top'} of config.yml", repr(data), "run the notebook 40-configuration"
        )
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            meant = f"; probably {near[0]} is meant" if near else ""
            raise HostError(
                "only keys that the registry reads",
                f"{above}{key} in config.yml{meant}",
                "run the notebook 40-configuration",
            )
        if known[key] is not None:
            refuse_unknown_keys(value, known[key], f"{above}{key}.")
