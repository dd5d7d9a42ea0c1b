"""Faults and attacks on the wire, against a real Asterisk behind the fault proxy (docs and ids: the marker ``fault``)."""
