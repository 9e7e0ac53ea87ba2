"""What happens by the clock: the seal of yesterday, and of every earlier day that was missed."""
