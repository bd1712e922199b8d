"""Training: fits models and publishes them as artifacts that the service loads.

Read a recipe top to bottom (`pass_recipe`, `digits/digit_recipe`, `pictures/picture_recipe`,
`tabular/table_recipe`); each goes from its data and its net through `fitting/` and `evaluation/` to
`publish`. Of the service it imports the artifacts, the engine, the pictures, and how a command says what is
wrong; nothing of what answers requests.
"""
