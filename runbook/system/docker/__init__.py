"""The engine, its settings, images and Compose. Imports `model` and `system.host`."""
