"""The host: files, commands, packages, network and units. Imports only `model`."""
