"""Where runs live: Redis, and the scripts that change them."""
