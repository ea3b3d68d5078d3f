"""Take one Docker host from nothing to a proven private registry."""
