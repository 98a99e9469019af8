"""Every runner gives what the others give."""
