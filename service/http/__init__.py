"""Around every request: its id, keys, errors, routes, logs, traces, the reference."""
