"""Training: fits the two models and publishes them as artifacts that the service loads.

Read a recipe top to bottom (`pass_recipe`, `digit_recipe`); each calls `data` → `nets` → `fit` →
`evaluate` → `publish`. Of the service it imports only the artifact format, the predictor and the images.
"""
