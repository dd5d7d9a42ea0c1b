"""A simulated Asterisk: it speaks AMI and FastAGI on sockets, and the daemon cannot tell it from a real one.

:class:`easycall.simulator.asterisk.SimulatedAsterisk` is the whole; who is at the other end of its lines is a
:class:`easycall.simulator.line.FarEnd`.  It runs in real time on sockets, or in virtual time on
:class:`easycall.simulator.virtual.VirtualReactor`.
"""
