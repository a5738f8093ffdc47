"""Benchmarks: what is measured here, side by side with a named peer, as ratios."""
