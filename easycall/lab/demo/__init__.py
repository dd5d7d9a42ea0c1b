"""The demo: a whole contact centre on this machine.

The story of one call, on real Asterisks:

=========  ========================================================================================
narrator   prints the story: a line a step with its time, a mark that says seen or missed
daemon     ``twistd easycall`` as a child process that ends with us
story      the one call, from the dial to its record
tour       what is printed when the demo stays: addresses, commands and curl lines to try
show       joins them: the curtain goes up, the story is told, the house stays open, everybody leaves
=========  ========================================================================================

A busy day, on a simulated one:

=========  ========================================================================================
board      what there is to see: figures from the events, and who does what now; pure
screen     the board in a terminal, or as a line
busy       joins them with the daemon, the simulated Asterisk and the people of :mod:`easycall.lab.day`
=========  ========================================================================================
"""
