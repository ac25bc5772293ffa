"""Plausible wrong answers to the exercises of each lab: every one must be rejected."""
