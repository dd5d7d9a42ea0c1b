"""Days of a call centre in virtual time: a simulated Asterisk, the daemon, and people with habits.

=============  ====================================================================================
plan           how much, how long, and what people are like; pure
arrivals       when callers call, over the day; pure
callers        who calls
clerks         who answers
customers      who calls more than once, and has a telephone at which they are called back
site           the configuration of the daemon
machine        what outlives the daemon: disk and database
figures        what came of it: a fold over the events; pure
result         what is told of it; pure
watch          hears everything, and checks the invariants
centre         joins all and lets the days pass
=============  ====================================================================================
"""
