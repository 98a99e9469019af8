"""Worker applications, ready to start with Dramatiq's command from a checkout or an image.

The installed package does not hold them, since a top-level package of this name would shadow one
of yours. Installed, type ``hypergraph worker``.
"""
