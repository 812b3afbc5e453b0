"""The environment of the package: backend, optional dependencies, files, cores, shutdown and Keras's private API.

Nothing here depends on models or images.
"""
