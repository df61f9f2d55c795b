"""The measured programs as users of the peers write them, from their public documents."""
