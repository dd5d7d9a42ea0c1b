"""Asterisk at the other end of the wire: AMI (events, call control), FastAGI (one leg at home), and the ports made of them.

``ami`` and ``agi`` turn bytes into messages and back and know no sockets and no clock.  On Twisted: ``link`` is one AMI
connection, ``manager`` keeps one alive; ``fastagi`` is the server, ``agi_commands`` every AGI command as a method.
``channel``, ``conversation`` and ``switch`` are the open interfaces on top, ``causes`` what Asterisk's figures mean.
"""
