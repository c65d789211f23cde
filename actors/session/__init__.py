"""One session: what it is to be, the actor that lives it, and the way to that actor."""
