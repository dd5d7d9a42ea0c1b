"""The HTTP API and its live feed.  It asks the conduct; it never carries a call.

Importing :mod:`easycall.api.app` installs the global reactor (Klein does), so only the tap imports it, and late.
"""
