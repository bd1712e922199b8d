"""The training loop, and what goes on from where it was interrupted."""
