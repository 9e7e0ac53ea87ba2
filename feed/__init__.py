"""What brings events: files of them, and a made-up shop whose customers never tire."""
