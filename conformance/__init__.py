"""Does a server speak the Open Inference Protocol? A black box test: `python -m conformance URL`."""
