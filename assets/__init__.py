"""What the kit ships: trained bundles, scores, the benchmark record."""
