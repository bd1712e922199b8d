"""How versions come to be served: models are found in the store and followed, versions are taken up."""
