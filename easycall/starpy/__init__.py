"""starpy's interface on easycall's own AMI and FastAGI: programs written for starpy 1.1 move over by changing the import.

``from starpy.manager import AMIFactory`` becomes ``from easycall.starpy.manager import AMIFactory``; docs/starpy.rst tells
what is different, and why.  Nothing else of easycall uses this package: it is for programs of others.
"""
