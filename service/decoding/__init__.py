"""The processes that read pictures, and in whose turn."""
