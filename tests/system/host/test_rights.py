"""The rights of a container: each that is more than wanted is told, and none that is fewer."""

from collections.abc import Mapping
from typing import Any

import pytest

from runbook.system.host import rights
from runbook.system.host.rights import Wanted

WANTED = Wanted(
    command=("serve", "/c.yml"),
    entry_point=("/entrypoint.sh",),
    network="registry_default",
    ports=((443, 443),),
    mounts=(("/etc/docker/registry", "/c", False), ("registry_data", "/d", True)),
)
DATA = {"Type": "volume", "Name": "registry_data", "Source": "/v", "Destination": "/d", "RW": True}
MOUNT = {"Type": "bind", "Source": "/etc/docker/registry", "Destination": "/c", "RW": False}
BINDING = [{"HostIp": "", "HostPort": "443"}]


def inspected(
    *,
    host: Mapping[str, Any] | None = None,
    mounts: tuple[Mapping[str, Any], ...] = (MOUNT, DATA),
    **config: list[str] | None,
) -> Mapping[str, Any]:
    """Return what `docker inspect` says of the container that is wanted, but for what is given."""
    return {
        "Config": {"Entrypoint": ["/entrypoint.sh"], "Cmd": ["serve", "/c.yml"], **config},
        "HostConfig": {
            "Privileged": False,
            "CapAdd": None,
            "IpcMode": "private",
            "NetworkMode": "registry_default",
            "MaskedPaths": ["/proc/asound"],
            "ReadonlyPaths": ["/proc/bus"],
            "PortBindings": {"443/tcp": BINDING},
            "Devices": [],
            "Ulimits": None,
            **(host or {}),
        },
        "Mounts": list(mounts),
        "NetworkSettings": {"Networks": {"registry_default": {}}},
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(inspected(), [], id="as-wanted"),
        pytest.param(
            inspected(
                host={
                    "CapDrop": ["ALL"],
                    "ReadonlyRootfs": True,
                    "SecurityOpt": ["no-new-privileges:true"],
                    "Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 1024}],
                    "IpcMode": "none",
                },
                mounts=(MOUNT, DATA, {"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": True}),  # noqa: S108
            ),
            [],
            id="fewer-rights",
        ),
        pytest.param(inspected(host={"Privileged": True}), ["privileged"], id="privileged"),
        pytest.param(inspected(host={"CapAdd": ["SYS_ADMIN"]}), ['more capabilities: ["SYS_ADMIN"]'], id="capability"),
        pytest.param(inspected(host={"NetworkMode": "host"}), ["the network host"], id="network"),
        pytest.param(inspected(host={"PidMode": "host"}), ["processes of others: host"], id="processes"),
        pytest.param(inspected(host={"IpcMode": "container:x"}), ["the memory of others: container:x"], id="memory"),
        pytest.param(
            inspected(host={"SecurityOpt": ["seccomp=unconfined"]}),
            ['security options: ["seccomp=unconfined"]'],
            id="seccomp",
        ),
        pytest.param(inspected(host={"MaskedPaths": []}), ["all of /proc (systempaths=unconfined)"], id="proc"),
        pytest.param(
            inspected(host={"Devices": [{"PathOnHost": "/dev/kmsg"}]}),
            ['devices: [{"PathOnHost": "/dev/kmsg"}]'],
            id="device",
        ),
        pytest.param(
            inspected(mounts=({**MOUNT, "RW": True}, DATA)),
            ["the mount /etc/docker/registry at /c"],
            id="mount-writable",
        ),
        pytest.param(
            inspected(mounts=(MOUNT, DATA, {**MOUNT, "Source": "/", "Destination": "/host"})),
            ["the mount / at /host, read-only"],
            id="one-mount-more",
        ),
        pytest.param(
            inspected(host={"PortBindings": {"443/tcp": BINDING, "5001/tcp": [{"HostIp": "", "HostPort": ""}]}}),
            ["the published port of any number to 5001/tcp"],
            id="debug-port",
        ),
        pytest.param(inspected(Entrypoint=["sh", "-c"]), ["another Entrypoint: sh -c"], id="entry-point"),
        pytest.param(inspected(Cmd=None), ["another Cmd: none"], id="command"),
        pytest.param(
            inspected(host={"Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 64}]}),
            ["at most 64 open files"],
            id="files",
        ),
    ],
)
def test_more_rights_tells_each_that_is_more(found: Mapping[str, Any], expected: list[str]) -> None:
    """Fails if a right passes that nobody gave, or a container that has fewer is made anew."""
    assert expected == rights.more_rights(found, WANTED)
