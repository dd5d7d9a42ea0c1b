"""Automatic call distribution: who waits, who is free, who gets whom."""
