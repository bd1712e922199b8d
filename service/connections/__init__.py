"""One HTTP connection: its heads, its lifetime."""
