"""Pictures of several digits, in a line or on a form: where each is, and how a model reads all of them."""
