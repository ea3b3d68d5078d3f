"""Makes each kind of change that writes a file, one by one, in a folder that is prepared for it; says how each ended.

`python -m tests.hosts.targets FOLDER` prints one JSON object: the path that each change writes, and its error.
"""

import json
import sys
from pathlib import Path

from runbook.changes import ledger
from runbook.changes.apply import apply
from runbook.changes.base import Change
from runbook.changes.certificates import IssueAuthority, IssueCertificate
from runbook.changes.credentials import GenerateSecret, SetPassword
from runbook.changes.files import CopyFile, WriteFile
from runbook.model.errors import RunbookError
from runbook.system.host import file_state

AUTHORITY = (("CN", "Ours"),)
EARLIER = "earlier\n"


def prepare(folder: Path) -> None:
    """Make what is there before: a file in the place of each that is written, and what the changes read."""
    apply([authority(folder)])
    (folder / "password").write_text("right\n", encoding="ascii")
    (folder / "password").chmod(0o600)
    (folder / "source").write_text("new\n", encoding="ascii")
    for name in ("written", "kept", "copied", "htpasswd", "server.pem"):
        (folder / name).write_text(EARLIER, encoding="ascii")


def authority(folder: Path, key: str = "ca.key", certificate: str = "ca.crt") -> IssueAuthority:
    """Return the change that makes an authority, with a new key where none is there."""
    return IssueAuthority(
        key_path=folder / key,
        certificate_path=folder / certificate,
        subject=AUTHORITY,
        key_type="ec-p256",
        validity_days=2,
        passphrase_file=None,
    )


def plan(folder: Path) -> dict[str, Change]:
    """Return a change of each kind that writes a file, by the name of that file."""
    return {
        "written": WriteFile(path=folder / "written", before=EARLIER, after="new\n", mode=0o644),
        "kept.before-registry-runbook": WriteFile(
            path=folder / "kept", before=EARLIER, after="new\n", mode=0o644, keep=True
        ),
        "copied": CopyFile(
            source=folder / "source",
            path=folder / "copied",
            mode=0o644,
            before=file_state.fingerprint(folder / "copied"),
        ),
        "secret": GenerateSecret(path=folder / "secret", purpose="http.secret"),
        "new.key": authority(folder, "new.key", "new.crt"),
        "again.crt": authority(folder, "ca.key", "again.crt"),
        "server.pem": IssueCertificate(
            path=folder / "server.pem",
            subject=(),
            dns_names=("r.test",),
            addresses=(),
            key_type="ec-p256",
            validity_days=1,
            authority_key_path=folder / "ca.key",
            authority_certificate_path=folder / "ca.crt",
            passphrase_file=None,
            reason="none yet",
            before=file_state.fingerprint(folder / "server.pem"),
        ),
        "htpasswd": SetPassword(
            path=folder / "htpasswd",
            username="u",
            cost=5,
            password_file=folder / "password",
            reason="none yet",
            before=file_state.fingerprint(folder / "htpasswd"),
        ),
    }


def main() -> None:
    """Make the changes."""
    folder = Path(sys.argv[1])
    ledger.FOLDER = folder.with_name(f"{folder.name}.ledger")  # this machine has none
    ended = {}
    for name, change in plan(folder).items():
        try:
            apply([change])
            ended[name] = ""
        except RunbookError as error:
            ended[name] = str(error)
    sys.stdout.write(json.dumps(ended))


if __name__ == "__main__":
    main()
