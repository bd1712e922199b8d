"""Pictures as clients send them: what a request says, before a picture is read."""
