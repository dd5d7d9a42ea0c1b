"""The demo: a whole contact centre on this machine, and the story of one call through it.

=========  ========================================================================================
narrator   prints the story: a line a step with its time, a mark that says seen or missed
daemon     ``twistd easycall`` as a child process that ends with us
story      the one call, from the dial to its record
tour       what is printed when the demo stays: addresses, commands and curl lines to try
show       joins them: the curtain goes up, the story is told, the house stays open, everybody leaves
=========  ========================================================================================
"""
