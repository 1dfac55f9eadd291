"""The emulated stack: see `localstack/stack`."""
