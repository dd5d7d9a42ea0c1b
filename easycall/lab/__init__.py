"""The lab: two real Asterisks on loopback for anyone without a PBX at hand, or a simulated one.

``a`` is the PBX that easycall serves, ``world`` the telephone network around it: its callers and its agents' phones.

=============  ====================================================================================
root           obtains an Asterisk: the host's own, or a folder of Debian built on the spot
layout         a lab's folder, its block of ports, its state
certificates   a CA of the lab's own, for AMI over TLS
instance       the configuration of one Asterisk and the command that runs it
keeper         the process that holds both, so that neither outlives it
lab            up, down, status: what the command line and the tests use
world, legs    callers and phones, driven by a program, whichever Asterisk it is
asterisk       a world played on a second real Asterisk
ear, tones     what is on the line
rtp            hearing it, from the RTP itself
simulated      a simulated PBX in this process, and its world: needs neither Asterisk nor root
far_ends       who is at the far ends of that PBX's lines
voice          prompts without espeak-ng
site           the configuration of a daemon that serves the lab's PBX
dial           one caller dials in and tells what he meets
demo           a whole contact centre tells its story: what ``make demo`` shows
day            days of a call centre in virtual time
invariants     what must hold, judged by plain data (evidence) and by the events (fairness)
=============  ====================================================================================
"""
