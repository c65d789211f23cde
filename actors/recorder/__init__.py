"""The flight recorder: the last minute of a session, from which a bundle is made when it fails."""
