"""The registry behind a real nginx that has other sites on port 443: there, back, and taken away again."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .conftest import start_with_project
from .lab import Host, NewHost
from .patients import Fault, confirmed, patient
from .product import PROJECT, Report, run, snapshot

BEHIND = ("-f", "parameters/nginx.yml")
QUICK = (*BEHIND, "-p", "proxy_layer_megabytes", "2")
SITE = "/etc/nginx/sites-enabled/zz-registry-runbook"
THEIRS = "/etc/nginx/sites-enabled/theirs"
BROKEN = "/etc/nginx/sites-enabled/aa-broken"
PEM = "/etc/docker/registry/ssl/registry.test.pem"
FILES = """
find /etc/nginx ! -type d ! -name zz-registry-runbook -printf '%p %m %T@ %l\\n' | LC_ALL=C sort
find /etc/nginx -type f ! -name zz-registry-runbook -exec sha256sum {} + | LC_ALL=C sort
"""
RUNNING = f"ls -l --time-style=full-iso {SITE}; pgrep -x nginx; ls /tmp"
# A site that answers for all names that have no site, only because it is the first of its port.
FOREIGN_SITE = """
server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name theirs.test;
    ssl_certificate /etc/nginx/theirs/cert.pem;
    ssl_certificate_key /etc/nginx/theirs/key.pem;
    location / { return 200 "theirs"; }
}
"""
CERTIFY = """
mkdir /etc/nginx/theirs
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=theirs.test -addext subjectAltName=DNS:theirs.test \
  -keyout /etc/nginx/theirs/key.pem -out /etc/nginx/theirs/cert.pem
"""
LARGE = """
mkdir /root/large; head -c 200000000 /dev/urandom >/root/large/layer
tar -C /root/large -c layer | docker import - registry.test/theirs/large:1; rm -r /root/large
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """A host whose nginx had a site before the runbook came; `before` is what lay in nginx's folder then."""

    host: Host
    before: str
    made: Report


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """Give a host with a site of somebody else on port 443, and the registry behind the same nginx."""
    with start_with_project("trixie-nginx") as host:
        host.run("sh", "-ec", CERTIFY)
        host.write(THEIRS, FOREIGN_SITE)
        host.run("nginx", "-s", "reload")
        before = files(host)
        yield Front(host=host, before=before, made=run(host, *BEHIND))


def files(host: Host) -> str:
    """Return what lies in nginx's folder beside the registry's site: names, modes, times and content."""
    return host.run("sh", "-ec", FILES).stdout


def ask(host: Host, name: str) -> str:
    """Return what is answered at port 443 of the host's address under a name."""
    place = f"{name}:443:{host.address}"
    return host.run("curl", "-sk", "--max-time", "5", "--resolve", place, f"https://{name}/v2/", check=False).stdout


def found(report: Report, claim: str) -> list[str]:
    """Return what was found for the claims that begin like this."""
    return [result["found"] for result in report.results if result["claim"].startswith(claim)]


def test_nginx_is_proven_beside_another_site(front: Front) -> None:
    """Fails where not all is proven, another site answers less than before, or a second run changes anything."""
    host, made = front.host, front.made
    assert (made.error, made.failed, len(made.results)) == (None, [], 77)
    assert found(made, "a layer of 200 MB goes through nginx") == ["201"]
    assert found(made, "two megabytes, with nginx's own body limit back") == ["413"]
    assert found(made, "the same under another name") == ["certificate verify failed"]  # the other site's
    assert [ask(host, name) for name in ("theirs.test", "nobody.test")] == ["theirs", "theirs"]
    assert "UNAUTHORIZED" in ask(host, "registry.test")
    assert files(host) == front.before

    as_it_was = snapshot(host) + host.run("sh", "-c", RUNNING).stdout
    second = run(host, *QUICK)
    assert (second.error, second.failed, second.changes) == (None, [], [])
    assert snapshot(host) + host.run("sh", "-c", RUNNING).stdout == as_it_was


def test_body_limit_is_diagnosed_and_mended_by_the_notebook(front: Front) -> None:
    """Fails where a whole registry behind nginx has a fault, or a limit is not recognised, confirmed and mended."""
    fault = Fault(
        messages=("413 Request Entity Too Large",),
        cause="proxy-body-limit",
        say=f"sed -i 's/client_max_body_size 0/client_max_body_size 1m/' {SITE}; nginx -s reload\n"
        "head -c 2000000 /dev/zero >/root/blob\n"
        "until_says '413 Request' curl -sS --cacert $CA --upload-file /root/blob https://registry.test/v2/",
        mend=f"./script/run 55-nginx {' '.join(QUICK)}",
        parameters={"proxy": "nginx"},
    )
    with patient(front.host) as found:
        assert confirmed(found.diagnose("", fault)) == []
        found.suffer(fault)
        assert confirmed(found.diagnose("", fault)) == []


def test_login_of_a_diagnosis_goes_to_the_registry_and_to_no_other_site(front: Front) -> None:
    """Fails where another site of the same address gets the kept password, whose answer is then the registry's."""
    behind = Fault(messages=(), cause="", say="", parameters={"proxy": "nginx"})
    with patient(front.host) as found:
        found.shell("another_password")
        answer = found.diagnose("", behind)
        found.shell("mv $PASSWORD.old $PASSWORD")
    assert {"password-is-another", "login-refused"} <= set(confirmed(answer))


def test_nginx_lets_docker_push_and_pull_a_large_layer(front: Front) -> None:
    """Fails where a layer of 200 MB does not reach the registry, or another comes back."""
    host, image = front.host, "registry.test/theirs/large:1"
    host.run("sh", "-ec", LARGE)
    password = host.read("/etc/registry-runbook/secrets/password-admin")
    host.run("docker", "login", "registry.test", "-u", "admin", "--password-stdin", input_text=password)
    pushed = host.run("docker", "push", image, timeout_seconds=300).stdout.partition("digest: ")[2].split()[0]
    host.run("docker", "image", "rm", image)
    assert f"Digest: {pushed}" in host.run("docker", "pull", image, timeout_seconds=300).stdout
    host.run("docker", "image", "rm", image)
    host.run("docker", "logout", "registry.test")


def test_nginx_notebook_runs_by_papermill(front: Front) -> None:
    """Fails where the notebook alone does not take the parameter file."""
    argv = (".venv/bin/papermill", "notebooks/55-nginx.ipynb", "/root/out.ipynb", *BEHIND)
    done = front.host.run(*argv, directory=PROJECT, check=False, timeout_seconds=300)
    assert done.code == 0, done.stderr


def test_nginx_serves_a_renewed_certificate_after_a_reload(front: Front) -> None:
    """Fails where a renewed certificate is not served, or the registry's container stops for it."""
    host = front.host
    host.run("rm", PEM)
    renewed = run(host, "30-certificates", "50-compose", "55-nginx", *QUICK)
    assert (renewed.error, renewed.failed) == (None, [])
    issued, read = renewed.changes
    assert "issue a server certificate" in issued
    assert "it does not serve the certificate that is on disk" in read


def test_nginx_puts_its_site_back_where_nginx_refuses(front: Front) -> None:
    """Fails where a mistake in another file leaves ours changed, or nginx's words are not quoted."""
    host = front.host
    host.run("sh", "-ec", f"echo '# edited' >>{SITE}; echo 'nonsense;' >{BROKEN}")
    edited = host.read(SITE)
    refused = run(host, "55-nginx", *QUICK, check=False)
    assert 'found unknown directive "nonsense" in /etc/nginx/sites-enabled/aa-broken:1' in str(refused.error)
    assert f"{SITE} is as it was before" in str(refused.error)
    assert (host.read(SITE), ask(host, "theirs.test")) == (edited, "theirs")
    host.run("rm", BROKEN)
    assert run(host, "55-nginx", *QUICK).failed == []
    assert "# edited" not in host.read(SITE)


def test_nginx_puts_its_site_back_where_a_reload_is_not_taken(front: Front) -> None:
    """Fails where what `nginx -t` lets pass and the reload does not, a port that is taken, is taken for done."""
    host = front.host
    host.run("systemd-run", "--unit=taken", "python3", "-m", "http.server", "8443")
    before = host.read(SITE)
    refused = run(host, "55-nginx", *QUICK, "-p", "port", "8443", check=False)
    host.run("systemctl", "stop", "taken")
    assert "nginx says: bind() to 0.0.0.0:8443 failed" in str(refused.error)
    assert host.read(SITE) == before
    assert "UNAUTHORIZED" in ask(host, "registry.test")


def test_nginx_leads_back_to_none_and_is_taken_away(front: Front) -> None:
    """Fails where the registry goes although its port stays taken, a way ends unproven, or a trace is left."""
    host = front.host
    taken = run(host, "10-host", "50-compose", "-p", "timeout_seconds", "5", check=False)
    assert "port 443 to be free once the runbook's site of nginx is gone; found nginx" in str(taken.error)
    assert "UNAUTHORIZED" in ask(host, "registry.test")

    host.run("sh", "-ec", f"mv {THEIRS} /root/theirs; nginx -s reload")
    back = run(host, "10-host", "40-configuration", "50-compose", "60-push-pull")
    assert (back.error, back.failed) == (None, [])
    assert any(change.startswith(f"remove {SITE} and reload nginx") for change in back.changes)
    again = run(host, "10-host", "40-configuration", "50-compose", "55-nginx", "60-push-pull", *QUICK)
    assert (again.error, again.failed) == (None, [])
    assert found(again, "the same under another name") == ["Hostname mismatch"]  # nobody else is on the port

    host.run("sh", "-ec", f"mv /root/theirs {THEIRS}; nginx -s reload")
    torn = run(host, "90-tear-down")
    assert (torn.error, torn.failed) == (None, [])
    assert files(host) == front.before
    assert host.run("test", "-e", SITE, check=False).code == 1
    assert [ask(host, name) for name in ("theirs.test", "registry.test")] == ["theirs", "theirs"]


def test_nginx_is_installed_where_it_is_missing(new_host: NewHost) -> None:
    """Fails where the package does not come with the plan, or a host without systemd has no nginx that runs."""
    host = new_host("plain")
    needed = ("10-host", "30-certificates", "40-configuration", "50-compose", "55-nginx")
    made = run(host, *needed, *QUICK)
    assert (made.error, made.failed) == (None, [])
    assert "install the packages nginx" in made.changes
    assert found(made, "nginx starts at boot") == ["no systemd here: start it at boot yourself"]
    assert run(host, "55-nginx", *QUICK).changes == []
