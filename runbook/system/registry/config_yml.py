"""What the registry reads of its configuration.

Source: distribution.github.io, "Configuring a registry".
"""

import difflib
from pathlib import Path

from runbook.model.errors import HostError

INSIDE = Path("/etc/docker/registry")  # where the container sees the configuration's folder
TLS_PORT = 443  # inside the container, where the registry ends TLS itself
PLAIN_PORT = 5000  # inside the container, where nginx does that in front
HEALTH_PORT = 5001  # of the debug server, inside the container and on its loopback alone

# Since 3.0 it sends traces to port 4318, where nobody listens. Docker's clients hand on the proxies of their settings,
# through which a health check would ask; the registry asks nobody.
_NO_PROXIES = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "")
ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none", **_NO_PROXIES}

# All that a configuration of ours may hold. The registry takes an unknown key for nothing: with `auht:` for `auth:` it
# starts open, and answers 200 to everybody.
_KNOWN: dict[str, object] = {
    "version": None,
    "log": {"accesslog": {"disabled": None}, "level": None, "formatter": None, "fields": {"service": None}},
    "storage": {"delete": {"enabled": None}, "cache": {"blobdescriptor": None}, "filesystem": {"rootdirectory": None}},
    "auth": {"htpasswd": {"realm": None, "path": None}},
    "http": {
        "addr": None,
        "host": None,
        "secret": None,
        "headers": {"X-Content-Type-Options": None},
        "http2": {"disabled": None},
        "tls": {"certificate": None, "key": None, "minimumtls": None},
        "debug": {"addr": None},
    },
    "health": {"storagedriver": {"enabled": None, "interval": None, "threshold": None}},
}


def refuse_unknown_keys(data: object, known: object = None, above: str = "") -> None:
    """Raise HostError for a key that the registry would take for nothing, with the one that is probably meant."""
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
