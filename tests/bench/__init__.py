"""How long the product takes, beside the document's commands and a playbook: `script/bench`."""
