"""From arrays to a fitted predictor: the loop, the experts beside it, and what combines them."""
