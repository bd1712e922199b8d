"""One HTTP connection: its heads, its lifetime, and the direct way for small requests."""
