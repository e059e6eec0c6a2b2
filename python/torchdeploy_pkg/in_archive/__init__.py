"""Modules that are copied into each archive, there named ``torchdeploy_entry.*``.

They run in interpreters that may not have torchdeploy_pkg, so each imports the standard
library and torch only.
"""
