"""The registry behind a real nginx that has other sites on port 443: there, back, and taken away again."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests import draws
from tests.draws import tries_all
from tests.waiting import UNTIL_SO

from .conftest import start_with_project
from .faults import Fault, confirmed, faulty_host
from .lab import Host, NewHost
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
MAIN = """
user www-data;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include /etc/nginx/modules-enabled/*.conf;
events {{ }}
{stream}
http {{ {http} }}
"""
SERVER = """
server {{ {listen} server_name {name}; ssl_certificate /etc/nginx/theirs/cert.pem;
          ssl_certificate_key /etc/nginx/theirs/key.pem; location / {{ return 200 "theirs"; }} }}
"""
BOTH_FOLDERS = "include /etc/nginx/conf.d/*.conf; include /etc/nginx/sites-enabled/*;"
STREAM = "stream { server { listen 443; proxy_pass 127.0.0.1:9443; } }"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetUp:
    """How somebody's nginx is set up: the sockets of a site, or files of another kind; `{address}` is the registry's.

    The registry's site then has these sockets, or is refused with `says`. `at` is where the other site is asked.
    """

    title: str
    listen: str = "listen 443 ssl;"
    name: str = "theirs.test"
    more: str = ""
    stream: str = ""
    http: str = BOTH_FOLDERS
    place: str = THEIRS
    at: str = "{address}"
    options: str = ""
    first: str = ""
    sockets: Sequence[str] = ()
    says: str = ""
    site: str = SITE


EVERYWHERE, EVERYWHERE_6, OURS = "443 ssl", "[::]:443 ssl", "{address}:443 ssl"
SET_UPS = (
    SetUp(title="all of IPv4", sockets=(EVERYWHERE, EVERYWHERE_6)),
    SetUp(title="all of both", listen="listen 443 ssl; listen [::]:443 ssl;", sockets=(EVERYWHERE, EVERYWHERE_6)),
    SetUp(title="one socket for both", listen="listen [::]:443 ssl ipv6only=off;", sockets=(EVERYWHERE_6,)),
    SetUp(title="the registry's address", listen="listen {address}:443 ssl;", sockets=(EVERYWHERE_6, OURS)),
    SetUp(title="another address", listen="listen 127.0.0.2:443 ssl;", at="127.0.0.2", sockets=(EVERYWHERE_6, OURS)),
    SetUp(
        title="all, and the registry's address",
        listen="listen {address}:443 ssl;",
        more=SERVER.format(listen="listen 443 ssl;", name="third.test"),
        sockets=(EVERYWHERE, EVERYWHERE_6, OURS),
    ),
    SetUp(
        title="options",
        listen="listen 443 ssl reuseport default_server backlog=100;",
        sockets=(EVERYWHERE, EVERYWHERE_6),
    ),
    SetUp(
        title="conf.d alone",
        http="include /etc/nginx/conf.d/*.conf;",
        place="/etc/nginx/conf.d/theirs.conf",
        sockets=(EVERYWHERE, EVERYWHERE_6),
        site="/etc/nginx/conf.d/zz-registry-runbook.conf",
    ),
    SetUp(
        title="in a folder of its own",
        listen="listen {address}:443\n ssl;",
        http=f"include /srv/theirs/*.conf; {BOTH_FOLDERS}",
        place="/srv/theirs/site.conf",
        sockets=(EVERYWHERE_6, OURS),
    ),
    SetUp(
        title="the registry's name on port 80",
        more="server { listen 80; server_name registry.test; return 301 https://$host$request_uri; }",
        sockets=(EVERYWHERE, EVERYWHERE_6),
    ),
    SetUp(
        title="stream",
        listen="listen 9443 ssl;",
        stream=STREAM,
        first="apt-get -qq install -y libnginx-mod-stream >/dev/null",
        says="`listen *:443` at /etc/nginx/nginx.conf:7, in a block `stream`",
    ),
    SetUp(
        title="behind a proxy",
        listen="listen 443 ssl proxy_protocol;",
        options="--haproxy-protocol",
        says=f"`listen *:443 ssl proxy_protocol` at {THEIRS}:2, which lets nobody in but a proxy",
    ),
    SetUp(
        title="the registry's name",
        name="theirs.test\n registry.test",
        says=f"no site of nginx for registry.test but the runbook's own; found {THEIRS}:2",
    ),
    SetUp(
        title="no folder of sites",
        http="include /srv/theirs/*.conf;",
        place="/srv/theirs/site.conf",
        says="a block `http` in /etc/nginx/nginx.conf that includes /etc/nginx/sites-enabled/*",
    ),
)
SAMPLE = 1  # of them, each some ten seconds
# The other site is asked again and again while the product is at work; each failure is a line.
ASK = """
theirs() { curl -sk $OPTIONS --max-time 5 --resolve theirs.test:443:$AT https://theirs.test/ | grep -qx theirs; }
"""
BEGIN = f"""
{UNTIL_SO}{ASK}
cp -a /etc/nginx /root/nginx-before; mkdir -p /srv/theirs; rm -f {SITE} {THEIRS}
"""
ASKED = f"""
{UNTIL_SO}{ASK}
systemctl reset-failed nginx; systemctl restart nginx; until_so 'the other site' theirs
touch /root/asking; : >/root/missed
(while [ -e /root/asking ]; do theirs || date >>/root/missed; sleep 0.02; done) >/dev/null 2>&1 </dev/null &
"""
ASKED_NO_MORE = f"""
{ASK}
rm /root/asking; cat /root/missed; theirs || echo gone afterwards
"""
RESTORE = """
rm -rf /etc/nginx /srv/theirs; mv /root/nginx-before /etc/nginx
systemctl reset-failed nginx; systemctl restart nginx
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
        repair=f"./script/run 55-nginx {' '.join(QUICK)}",
        parameters={"proxy": "nginx"},
    )
    with faulty_host(front.host) as found:
        assert confirmed(found.diagnose("", fault)) == []
        found.reproduce(fault)
        assert confirmed(found.diagnose("", fault)) == []


def test_login_of_a_diagnosis_goes_to_the_registry_and_to_no_other_site(front: Front) -> None:
    """Fails where another site of the same address gets the kept password, whose answer is then the registry's."""
    behind = Fault(messages=(), cause="", say="", parameters={"proxy": "nginx"})
    with faulty_host(front.host) as found:
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


def put_beside(host: Host, found: SetUp) -> None:
    """Set nginx up in this way, let the product put the registry beside the other site, which answers all the while."""
    texts = {name: getattr(found, name).replace("{address}", host.address) for name in ("listen", "at")}
    asked = {"AT": texts["at"], "OPTIONS": found.options}
    host.run("bash", "-ec", BEGIN + found.first, timeout_seconds=300)
    host.write("/etc/nginx/nginx.conf", MAIN.format(stream=found.stream, http=found.http))
    host.write(found.place, SERVER.format(listen=texts["listen"], name=found.name) + found.more)
    host.run("bash", "-ec", ASKED, environment=asked)
    as_it_was = files(host)
    made = run(host, "55-nginx", *QUICK, check=False)
    assert host.run("bash", "-ec", ASKED_NO_MORE, environment=asked).stdout == ""
    if found.says:
        assert found.says in str(made.error)
        assert (files(host), host.run("test", "-e", SITE, check=False).code) == (as_it_was, 1)
        return
    assert (made.error, made.failed) == (None, [])
    sockets = [item.replace("{address}", host.address) for item in found.sockets]
    assert re.findall(r"listen (.*);", host.read(found.site)) == sockets
    assert "UNAUTHORIZED" in ask(host, "registry.test")
    assert run(host, "55-nginx", *QUICK).changes == []


def test_nginx_is_put_beside_however_it_is_set_up(front: Front, subtests: pytest.Subtests) -> None:
    """Fails where another site answers less than before, the registry does not, or no file and line is named."""
    for found in SET_UPS if tries_all() else draws.source("nginx").sample(SET_UPS, SAMPLE):
        with subtests.test(set_up=found.title):
            try:
                put_beside(front.host, found)
            finally:
                front.host.run("bash", "-ec", RESTORE)


@pytest.mark.one_of("ends of nginx")
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


@pytest.mark.one_of("ends of nginx")
def test_nginx_is_installed_where_it_is_missing(new_host: NewHost) -> None:
    """Fails where the package does not come with the plan, or a host without systemd has no nginx that runs."""
    host = new_host("plain")
    needed = ("10-host", "30-certificates", "40-configuration", "50-compose", "55-nginx")
    made = run(host, *needed, *QUICK)
    assert (made.error, made.failed) == (None, [])
    assert "install the packages nginx" in made.changes
    assert found(made, "nginx starts at boot") == ["no systemd here: start it at boot yourself"]
    assert run(host, "55-nginx", *QUICK).changes == []
