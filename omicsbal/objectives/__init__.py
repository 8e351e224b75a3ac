"""Tasks and the named loss terms made from them."""
