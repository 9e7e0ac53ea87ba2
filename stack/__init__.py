"""The parts on one machine: start, health, stop."""
