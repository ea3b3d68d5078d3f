"""The reference of all messages, docs/messages.md; `registry-runbook diagnose --page >docs/messages.md` writes it."""

from .catalogue import Cause, Message, causes, causes_of, messages

_HEAD = """# Messages, their causes, and what to do

Error messages around a private registry, as the programs print them. For each message: its possible causes, roots
first, the check that confirms a cause on your host, the remedy, and the notebook that carries it out.

```
registry-runbook diagnose 'x509: certificate signed by unknown authority'
docker push registry.test/a:1 2>&1 | registry-runbook diagnose
registry-runbook diagnose
```

The first two commands look up a message, check each of its causes, and name the confirmed ones first. The last one
needs no message: it checks the host, the engine, the registry, the certificates and the connections between them, and
names the root first. `diagnose` changes nothing, and never shows what looks like a credential in a message.
The tests reproduce {reproduced} of the {count} messages with the programs themselves, and recognise them in their
output. `registry-runbook diagnose --page` generates this page from the catalogue.
"""


def text() -> str:
    """Return the page as Markdown."""
    known = messages()
    reproduced = sum(not message.not_reproduced for message in known)
    with_message = causes_of(known)
    without_message = [cause for cause in causes() if cause not in with_message]
    return "\n".join(
        (
            _HEAD.format(reproduced=reproduced, count=len(known)),
            *(_section(message) for message in known),
            "## Without a message\n",
            "These causes have no message of their own. Without a message, `registry-runbook diagnose` checks them.\n",
            _table(without_message),
        )
    )


def _section(message: Message) -> str:
    reproduced = f"Not reproduced by the tests: {message.not_reproduced}.\n\n" if message.not_reproduced else ""
    return (
        f"## {message.name}\n\n```\n{message.example}\n```\n\n"
        f"Printed by: {message.versions}. Source: {message.source}.\n\n{reproduced}{_table(causes_of([message]))}"
    )


def _table(found: list[Cause]) -> str:
    rows = [
        f"| {_cell(item.text)} | {_cell(item.check_text)} | {_cell(item.remedy)} | {_notebook(item)} |"
        for item in found
    ]
    head = ("| Cause | Check | Remedy | Notebook |", "|---|---|---|---|")
    return "\n".join((*head, *rows)) + "\n"


def _cell(content: str) -> str:
    return content.replace("|", "\\|")


def _notebook(cause: Cause) -> str:
    return f"[{cause.notebook}](../notebooks/{cause.notebook}.ipynb)" if cause.notebook else ""
