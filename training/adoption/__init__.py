"""Models that somebody else trained: a TorchScript file, or a module, becomes a version that is served."""
