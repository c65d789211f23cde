"""`greenroom mcp`: the daemon's sessions as tools of the Model Context Protocol.

It is a client of the running daemon. It needs the extra `greenroom[mcp]`, and only this package imports it.
"""
