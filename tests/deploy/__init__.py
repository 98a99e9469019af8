"""What lies in deploy/ fits the code, as far as a machine without Docker and cluster can tell."""
