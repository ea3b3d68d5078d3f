"""Messages about users and logins: each brought about for real, recognised, and its cause confirmed."""

import random

import pytest

from .faults import Fault, FaultyHosts

UNAUTHORIZED = "login attempt to … failed with status: 401 Unauthorized"
AUTHENTICATION = "error authenticating user …: authentication failure"
LOGIN = "login >/dev/null 2>&1;"
FAULTS = {
    "no-login": Fault(
        messages=("no basic auth credentials",),
        cause="not-logged-in",
        say="docker logout registry.test >/dev/null; docker pull registry.test/a:1",
        repair=LOGIN,
    ),
    "wrong-password": Fault(
        messages=(UNAUTHORIZED, AUTHENTICATION),
        cause="password-is-another",
        say="another_password; login; log 'authentication failure'",
        repair="mv $PASSWORD.old $PASSWORD",
    ),
    "not-bcrypt": Fault(
        messages=(UNAUTHORIZED, AUTHENTICATION),
        cause="users-not-bcrypt",
        say="sed -i 's/admin:.*/admin:$apr1$abc$abcdefghijklmnopqrstuv/' $USERS; restart; login\n"
        "log 'authentication failure'",
    ),
    "no-such-user": Fault(
        messages=(UNAUTHORIZED,), cause="user-unknown", say="sed -i s/admin:/nobody:/ $USERS; restart; login"
    ),
    "malformed-line": Fault(
        messages=("login attempt to … failed with status: 400 Bad Request", "htpasswd: invalid entry at line …"),
        cause="users-malformed",
        say="echo a-line >>$USERS; restart; login; log 'invalid entry'",
    ),
    "unauthorized": Fault(
        messages=("unauthorized: authentication required",),
        cause="password-is-another",
        say="another_password; curl -sS --cacert $CA -u admin:no https://registry.test/v2/",
        repair="mv $PASSWORD.old $PASSWORD",
    ),
    "no-users": Fault(
        messages=("htpasswd is missing, provisioning with default user",),
        cause="users-missing",
        say="rm $USERS; restart; log 'unable to configure authorization'",
    ),
    "no-htpasswd-in-the-image": Fault(
        messages=('exec: "htpasswd": executable file not found in $PATH',),
        cause="htpasswd-not-in-image",
        say="docker run --rm --entrypoint htpasswd $IMAGE -Bbn a b",
        repair=":",
        lasts=True,
    ),
    "kept-plain": Fault(
        messages=("WARNING! Your password will be stored unencrypted",),
        cause="password-kept-plain",
        say="docker logout registry.test >/dev/null; login",  # Docker 28 warns only of a login that it has not yet
        repair="docker logout registry.test",
    ),
    "helper-fails": Fault(
        messages=("Cannot autolaunch D-Bus without X11 $DISPLAY",),
        cause="",
        say="""cd /; cp ~/.docker/config.json ~/kept; echo '{"credsStore":"bad"}' >~/.docker/config.json
            cp /bin/false /usr/local/bin/docker-credential-bad; login""",
        repair="mv ~/kept ~/.docker/config.json; rm /usr/local/bin/docker-credential-bad",
    ),
    "no-helper": Fault(
        messages=("error storing (or getting) credentials - err: exec: docker-credential-…",),
        cause="helper-missing",
        say="""cd /; cp ~/.docker/config.json ~/kept; echo '{"credsStore":"nobody"}' >~/.docker/config.json; login""",
        repair="mv ~/kept ~/.docker/config.json",
    ),
    "no-terminal": Fault(
        messages=("Cannot perform an interactive login from a non TTY device",),
        cause="no-terminal",
        say="docker login registry.test -u admin </dev/null",
        repair=":",
        lasts=True,
    ),
    "denied": Fault(
        messages=("denied: requested access to the resource is denied",),
        cause="no-right-elsewhere",
        say="echo 'The push refers to repository [docker.io/library/a]'; with denied; docker pull 127.0.0.1:5060/a:1\n"
        "kill $SERVER",
        repair=":",
        lasts=True,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recognised_and_confirmed(faulty_hosts: FaultyHosts, name: str, seeded: random.Random) -> None:
    """Fails where the client's words are not known, their cause not confirmed, or still confirmed once it is gone."""
    faulty_hosts.reproduce(FAULTS[name], seeded)
