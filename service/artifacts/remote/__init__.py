"""A store of artifacts that is kept as objects (S3 and the like): read into a folder, published into."""
