"""A process that begins goes on with what the one before it left: agents, and contacts at every stage.

=============  ================================================================================================
restart.py     the whole of it, when the daemon starts
agents.py      what the agents were doing
left_off/      what a contact was doing, by its events                                                   (pure)
entry.py       where its story goes on, when Asterisk has shown which legs are there
=============  ================================================================================================
"""
