"""Auto-callback: whoever called and was not served is called back, once, at a time when that may be done.

* :mod:`~easycall.callback.lifecycle` – the states of a callback, and the ladder of its attempts (pure)
* :mod:`~easycall.callback.calling_hours` – when a customer may be called, by the clock where the customer lives (pure)
* :mod:`~easycall.callback.pacing` – how many may be dialled before agents are free (pure)
* :mod:`~easycall.callback.sources` – which contacts become callbacks (pure)
* :mod:`~easycall.callback.broken_off` – what a process did not come to do any more (pure)
* :mod:`~easycall.callback.past` – what was told of a contact before the daemon started (pure)
* :mod:`~easycall.callback.wish` – what is asked of them
* :mod:`~easycall.callback.shelf` – what is asked of the database
* :mod:`~easycall.callback.book` – those that are open, and how they are stored
* :mod:`~easycall.callback.timetable` – when each is looked at again
* :mod:`~easycall.callback.circumstances` – who is there and what time it is, for the question whether one may be made now
* :mod:`~easycall.callback.promises` – new ones
* :mod:`~easycall.callback.callbacks` – all that are open: put into the line, tried again, steered, brought to an end
* :mod:`~easycall.callback.progress` – how one goes on when something has become of it
* :mod:`~easycall.callback.resuming` – what a process before us left of them
* :mod:`~easycall.callback.around` – what they need around them
* :mod:`~easycall.callback.telling` – what is told of them
* :mod:`~easycall.callback.asking` – a caller asks for one in a flow
* :mod:`~easycall.callback.dial_ahead` – when a customer is dialled before an agent is free
* :mod:`~easycall.callback.call_back` – one attempt: from the line until the customer is there

The nouns are in :mod:`easycall.model.callback`, the facts in :mod:`easycall.events.callback`.
"""
