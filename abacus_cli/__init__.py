"""The command `abacus`: one name for what serves, asks, manages and makes models."""
