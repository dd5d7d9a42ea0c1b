"""What callers key in confidence: kept in memory only, shown masked, sealed, or handed to a service over TLS.

``secret`` and ``recorder`` are pure; ``sealing`` encrypts for who has the private key, ``service`` asks over the network.
"""
