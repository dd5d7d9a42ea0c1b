"""A day of the journal, and the same day once more under another policy.

=============  ====================================================================================
day            what is known of a day: stays in queues, agents' presence, what became of each stay
recount        the day as a fold over its events; ``rota``: what is about agents in it
patience       how long who was answered would have waited: Kaplan and Meier
rerun          lets the day pass again through the waiting room that the daemon uses; ``desk``: an agent in it
figures        what came of it
comparison     a day as it was, as configured, and under another policy
=============  ====================================================================================

All of it is pure; where something is drawn, the dice are an argument.
"""
