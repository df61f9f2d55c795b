"""What will happen, decided before anything does.  Pure."""
