"""A trained network becomes a published version: its forms, the proof of it, whether it goes live."""
