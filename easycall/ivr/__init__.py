"""Interactive voice response: what callers hear and choose before a person answers.

* :mod:`~easycall.ivr.nodes` – what a flow is (pure), with :mod:`~easycall.ivr.capture`, the nodes that ask for values
* :mod:`~easycall.ivr.flow` – how a caller walks through it: what :mod:`~easycall.ivr.instructions` it gives (pure)
* :mod:`~easycall.ivr.source` – a flow file's text -> a flow (pure)
* :mod:`~easycall.ivr.lint` – what is wrong with a flow before anybody calls it (pure)
* :mod:`~easycall.ivr.library` – the folder of flow files
* :mod:`~easycall.ivr.runner` – walks a flow on a real call
* :mod:`~easycall.ivr.prompts` – text -> sound files
"""
