"""What holds when processes die, replies are lost and Redis goes away."""
