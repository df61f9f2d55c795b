"""What the user wrote: steps, their signatures, their names.  Pure."""
