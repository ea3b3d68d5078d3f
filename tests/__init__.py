"""What the runbook claims of itself, tried: without a host here, with real ones below `hosts`."""
