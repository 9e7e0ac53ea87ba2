"""Measurements. A figure is a ratio against something run side by side in the same run, or a count."""
