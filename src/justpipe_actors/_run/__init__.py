"""One run, first event to last."""
