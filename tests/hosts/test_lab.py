"""The lab itself: that its hosts are what their recipes say."""

import secrets
from dataclasses import replace

import pytest

from tests import draws

from .images import BOOKWORM, PLAIN, RECIPES
from .lab import ON_HOST, PROJECT, Host, NewHost, start_host
from .machine import LabError, execute

VOLUME = '--format={{range .Mounts}}{{if eq .Destination "/var/lib/docker"}}{{.Name}}{{end}}{{end}}'


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """Give the session's host that the test's table names."""
    found: Host = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("bookworm", "systemd"),
        ("trixie", "systemd"),
        ("bare", "systemd"),
        ("plain", "docker-init"),
        ("sid", "docker-init"),
    ],
    indirect=["host"],
)
def test_start_host_boots_what_the_recipe_says(host: Host, expected: str) -> None:
    """Fails if systemd runs where it must not, or is not PID 1 where it must be."""
    assert expected == host.read("/proc/1/comm").strip()


@pytest.mark.parametrize(
    ("host", "engine", "compose"),
    [("bookworm", "20.10.", "1.29."), ("trixie", "26.1.", "2.26."), ("sid", "28.", "2.")],
    indirect=["host"],
)
def test_recipe_has_the_versions_it_names(host: Host, engine: str, compose: str) -> None:
    """Fails if a suite's Docker is no longer the one that the tests are about."""
    found = host.run("dockerd", "--version").stdout.removeprefix("Docker version ")
    assert engine == found[: len(engine)]
    found = host.run("docker-compose", "version", "--short").stdout
    assert compose == found[: len(compose)]


@pytest.mark.parametrize("host", ["bare", "plain"], indirect=True)
@pytest.mark.parametrize("command", ["docker", "dockerd", "docker-compose"])
def test_recipe_without_engine_has_none(host: Host, command: str) -> None:
    """Fails if something that the product must install is there from the beginning."""
    assert host.run("which", "python3", command, check=False).stdout == "/usr/bin/python3\n"


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_leaves_work_to_the_product(name: str, new_host: NewHost) -> None:
    """Fails if python3-venv or busybox-static is preinstalled: then nothing proves that the product installs it."""
    found = new_host(name, set_up="")
    assert found.run("python3", "-c", "import ensurepip", check=False).code != 0
    assert found.run("which", "busybox", check=False).code != 0


def install(host: Host, package: str) -> None:
    """Install a package in the host as its operator would."""
    host.run("apt-get", "-qq", "update", "--error-on=any")
    frontend = {"DEBIAN_FRONTEND": "noninteractive"}
    host.run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", package, environment=frontend)


@pytest.mark.parametrize(("name", "policy", "engine"), draws.one_of([("bare", 127, 0), ("plain", 101, 1)], "services"))
def test_installed_engine_runs_only_where_services_may(new_host: NewHost, name: str, policy: int, engine: int) -> None:
    """Fails if apt does not work in the host, or if policy-rc.d is missing from just the one without systemd."""
    host = new_host(name, set_up="")
    assert policy == host.run("/usr/sbin/policy-rc.d", check=False).code
    install(host, "docker.io")
    assert engine == host.run("docker", "info", check=False).code
    host.run("test", "-x", "/etc/init.d/docker")


def test_nested_container_publishes_its_port(new_host: NewHost) -> None:
    """Fails if the engine in a host cannot import, start or publish."""
    host = new_host("bookworm")
    install(host, "busybox-static")
    host.run("sh", "-ec", "tar -c -C / bin/busybox | docker import - tiny")
    host.run("docker", "run", "-d", "-p", "8080:80", "tiny", "/bin/busybox", "httpd", "-f", "-h", "/bin")
    probe = ("-sS", "-o/dev/null", "-w%{http_code}", "--retry", "5", "--retry-connrefused")
    assert host.run("curl", *probe, f"http://{host.address}:8080/busybox").stdout == "200"
    assert host.run("curl", *probe, f"http://{host.address}:8080/absent").stdout == "404"


def test_start_host_gives_files_and_kernel_settings_of_its_own(new_host: NewHost) -> None:
    """Fails if /etc/hosts cannot be renamed over, or if a sysctl is refused or reaches the machine."""
    host = new_host("bare")
    host.run("sh", "-ec", "cp /etc/hosts /etc/hosts.new; mv /etc/hosts.new /etc/hosts")
    read = ("sysctl", "-n", "net.ipv4.ip_default_ttl")
    before = execute(*read).stdout
    host.run("sysctl", "-w", "net.ipv4.ip_default_ttl=77")
    assert host.run(*read).stdout == "77\n"
    assert before == execute(*read).stdout


def test_restart_boots_anew_and_keeps_what_a_host_keeps(bookworm: Host) -> None:
    """Fails if the host goes on running, or if its files, its address or how they are written are not its own."""
    host = bookworm
    host.write("/etc/hosts", host.read("/etc/hosts") + "192.0.2.1 elsewhere.test\n")
    host.write("/run/before", "gone with the memory")
    addresses = host.run("hostname", "-I").stdout.split()
    host.restart()
    assert host.run("test", "-e", "/run/before", check=False).code == 1
    assert host.read("/etc/hosts").endswith("192.0.2.1 elsewhere.test\n")
    assert host.run("hostname", "-I").stdout.split() == addresses
    host.run("sh", "-ec", "cp /etc/hosts /etc/hosts.new; mv /etc/hosts.new /etc/hosts; docker info")


def test_start_host_takes_the_address(new_host: NewHost) -> None:
    """Fails if the document's own address cannot be had beside the session's hosts."""
    host = new_host("plain", address="192.168.1.2")
    assert host.address == "192.168.1.2"
    assert host.address in host.run("hostname", "-I").stdout.split()


def test_start_host_removes_everything_after_a_failure() -> None:
    """Fails if a broken test leaves its container or its volume behind."""
    names: list[str] = []

    def break_down() -> None:
        with start_host(PLAIN) as host:
            names.extend((host.name, execute("docker", "inspect", VOLUME, host.name).stdout.strip()))
            host.run("false")

    with pytest.raises(LabError, match="'false'"):
        break_down()
    container, volume = names
    assert "No such container" in execute("docker", "container", "inspect", container, check=False).stderr
    assert "no such volume" in execute("docker", "volume", "inspect", volume, check=False).stderr.lower()


def test_run_raises_with_command_and_streams(plain: Host) -> None:
    """Fails if a failed command passes, or if the message hides which one and why."""
    with pytest.raises(LabError, match=r"(?s)'ls', '/absent'.*exited with 2.*stderr: ls: cannot access '/absent'"):
        plain.run("ls", "/absent")
    assert plain.run("ls", "/absent", check=False).code == 2


def test_run_ends_the_command_at_the_deadline(plain: Host) -> None:
    """Fails if a command that hangs is waited for, or goes on in the host."""
    with pytest.raises(LabError, match="within 1 s"):
        plain.run("sleep", "6543", timeout_seconds=1)
    assert "sleep 6543" not in plain.run("ps", "-eo", "args").stdout


def test_run_passes_text_and_environment(plain: Host) -> None:
    """Fails if either does not arrive, or if a variable stays for the next command."""
    assert plain.run("cat", input_text="päckchen\n").stdout == "päckchen\n"
    assert plain.run("printenv", "COLOUR", environment={"COLOUR": "blue = 1"}).stdout == "blue = 1\n"
    assert plain.run("printenv", "COLOUR", check=False).code == 1


def test_write_keeps_text_and_mode(plain: Host) -> None:
    """Fails if the content or the mode is not the one asked for."""
    path = f"/root/{secrets.token_hex(4)}/secret"
    plain.write(path, "one\ntwo", mode=0o600)
    assert plain.read(path) == "one\ntwo"
    assert plain.run("stat", "-c%a", path).stdout == "600\n"


def test_copy_project_is_like_a_clone(new_host: NewHost) -> None:
    """Fails if a script is no longer executable, or if ignored files come along."""
    host = new_host("plain", set_up="")
    host.run("test", "-x", f"{ON_HOST}/script/test")
    assert ".venv" not in host.run("ls", "-A", ON_HOST).stdout.split()


def test_set_up_host_is_ready_and_has_nothing_else(plain: Host) -> None:
    """Fails if a test waits for what script/setup makes, or gets another project than the one that is here."""
    set_up = plain.run("script/setup", directory=ON_HOST)
    assert (set_up.stdout, set_up.stderr) == ("", "")
    expected = {name.partition("/")[0] for name in execute("git", "-C", str(PROJECT), "ls-files").stdout.splitlines()}
    assert expected | {".venv"} == {*plain.run("ls", "-A", ON_HOST).stdout.split()}


def test_reference_changes_with_the_recipe() -> None:
    """Fails if an edited recipe, or one whose base is edited, would still get the old image."""
    changed = replace(PLAIN, packages=("curl",))
    references = {recipe.reference for recipe in (PLAIN, changed, BOOKWORM, replace(BOOKWORM, base=changed))}
    assert len(references) == 4
