"""Another user of the host: what he may write to, lock or lead astray of what root runs."""

from .lab import Host
from .product import PROJECT, run, script_run

HOME = "/home/bob"
BOB = ("runuser", "-u", "bob", "--")
OPEN = "find . ! -name .lock ! -type l -perm -002 -print -quit"
# Links and folders that come and go in a folder of his own, and in one that all may write to.
SWAP = """
while :; do for place in /home/bob/x /srv/shared/x; do
  ln -s /srv/victim $place; rm $place; mkdir $place; ln -s /srv/victim $place/inner; rm $place/inner; rmdir $place
done; done 2>/dev/null
"""


def test_root_is_warned_and_the_timer_refused_where_others_can_write(proven_trixie: Host) -> None:
    """Fails if root runs a project that all may write to without a word, or systemd runs it from then on."""
    host = proven_trixie
    assert script_run(host, "list").stderr == ""
    host.run("chmod", "777", f"{PROJECT}/runbook")
    try:
        warned = script_run(host, "list")
        refused = script_run(host, "prove", "--install-timer", check=False)
    finally:
        host.run("chmod", "755", f"{PROJECT}/runbook")
    assert f"found {PROJECT}/runbook is user id 0's, mode 0777" in warned.stderr
    assert (refused.code, "in folders that no other user can change" in refused.stderr) == (1, True)


def test_umask_of_root_opens_nothing_of_the_project(proven_trixie: Host) -> None:
    """Fails if what a run compiles or makes below the project can be written by everybody, or is made anew for it."""
    host = proven_trixie
    host.run("sh", "-c", "find . -name __pycache__ -not -path './.venv/*' -exec rm -r {} +", directory=PROJECT)
    assert host.run("sh", "-c", "umask 0; ./script/run plan", directory=PROJECT, check=False).stderr == ""
    assert host.run("sh", "-c", OPEN, directory=PROJECT).stdout == ""


def test_lock_of_another_user_keeps_nobody_out(proven_trixie: Host) -> None:
    """Fails if somebody who may not become root keeps a run from the host for as long as he likes."""
    host = proven_trixie
    host.run("useradd", "--create-home", "bob")
    try:
        assert run(host, "10-host").error is None
        locked = host.run(*BOB, "flock", "-n", "/run/registry-runbook.lock", "true", check=False)
        assert (locked.code != 0, "Permission denied" in locked.stderr) == (True, True)
        hold = "for name in registry-runbook registry-runbook-0; do setsid flock /run/lock/$name.lock sleep 300 & done"
        host.run(*BOB, "sh", "-c", f"({hold}) >/dev/null 2>&1")
        assert run(host, "10-host").error is None
    finally:
        host.run("pkill", "-u", "bob", check=False)
        host.run("userdel", "--remove", "--force", "bob")
        host.run("sh", "-c", "rm -f /run/lock/registry-runbook*")


def test_nothing_is_written_where_another_user_leads(proven_trixie: Host) -> None:
    """Fails if a command's output goes through a link, or into a folder, that another user lays there meanwhile.

    `tests/system/host/test_files_races.py` has each moment between two calls of the system.
    """
    host = proven_trixie
    host.run("useradd", "--create-home", "bob")
    host.run(
        "sh", "-ec", "mkdir /srv/victim /srv/shared; chmod 1777 /srv/shared; stat -c '%a %Y' /srv/victim >/root/was"
    )
    try:
        host.run(*BOB, "sh", "-c", f"setsid sh -c '{SWAP}' >/dev/null 2>&1 &")
        for number in range(4):
            place = (f"{HOME}/x", f"{HOME}/x/inner", "/srv/shared/x", "/srv/shared/x/inner")[number]
            options = ("--dry-run", "40-configuration", "--output", place)
            done = script_run(host, "run", *options, check=False)
            assert "Traceback" not in done.stderr
            assert done.code == 1 or not place.startswith(HOME)
        assert host.run("sh", "-c", "ls -A /srv/victim; stat -c '%a %Y' /srv/victim").stdout == host.read("/root/was")
    finally:
        host.run("pkill", "-u", "bob", check=False)
        host.run("userdel", "--remove", "--force", "bob")
        host.run("rm", "-rf", "/srv/victim", "/srv/shared", "/root/was")
