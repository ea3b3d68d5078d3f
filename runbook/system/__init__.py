"""Adapters to the host, the engine, certificates, a registry and nginx: they know no plan. Imports `model`."""
