"""What stands in for pictures of other origin when a model is evaluated. Nothing here is trained on."""
