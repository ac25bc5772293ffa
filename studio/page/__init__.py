"""The local page: the four jobs of the kit, for who never saw a terminal.

Each piece of work is a command line of `etude` run in a process of its own (`jobs`):
what the page does the terminal can do, and errors are the same sentences. What is made
lies in one folder (`shelf`); `app` puts the tabs together and `guard` stands before them.
"""
