"""The commands: parse, call, print. Heavy imports are deferred into the command bodies."""
