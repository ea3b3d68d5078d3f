"""What changes the host: each change is data that knows how it is made. Imports `model` and `system`."""
