"""Files of pictures: which are read, and what of each is given to a decoder."""
