"""What our safety rests on, pinned against a real Asterisk and the simulated one.

Each check notes what it saw, and that must be what ``observed/NAME.txt`` says, whichever Asterisk it was: so the simulator
is held to the real one letter by letter.  ``--record`` writes those files anew from a real Asterisk.
"""
