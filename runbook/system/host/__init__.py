"""The host: files, commands, packages, network, units. Imports `model`."""
