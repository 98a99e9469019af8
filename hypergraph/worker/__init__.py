"""The processes on a host: a supervisor, and the children that run user code.

supervisor   starts children, replaces the dead, takes signals          process, lifeline
upkeep       what the supervisor does in Redis: heartbeats, reaping     registry
child        takes tickets and executes what they lead to               drain, execute
mark         memory they share: what a child was in when it died
output       what nodes print, prefixed
local        a supervisor of one's own, which ends with its client
application  the same under Dramatiq's command, beside a companion      companion, meeting
"""
