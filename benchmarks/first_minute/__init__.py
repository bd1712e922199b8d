"""Minutes and lines from nothing to an answer: here, with LitServe and with BentoML.

What a newcomer types is in `contestants.py`, what they write in the folders beside it.
"""
