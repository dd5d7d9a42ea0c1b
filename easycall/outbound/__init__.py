"""Calls out: which numbers may be dialled and how, the lines for them, and how such a call begins.

* :mod:`~easycall.outbound.rules` – a number as typed, what is allowed, which trunk, which caller id (pure)
* :mod:`~easycall.outbound.outcome` – what became of a number that was dialled (pure)
* :mod:`~easycall.outbound.lines` – the lines of the trunks, counted
* :mod:`~easycall.outbound.caps` – how often numbers are dialled, counted and capped (pure)
* :mod:`~easycall.outbound.donotcall` – the numbers that are not called
* :mod:`~easycall.outbound.dialling` – all these joined: a number gets its route, or is refused with the reason
* :mod:`~easycall.outbound.call` – a customer is called for an agent, until the two are about to talk
* :mod:`~easycall.outbound.outsider` – somebody outside whom an agent asks, or to whom the customer is given
* :mod:`~easycall.outbound.transfer` – the customer and somebody outside, without an agent
"""
