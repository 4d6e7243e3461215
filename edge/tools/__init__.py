"""What serves people on the ground or at the bench: commands over what flies. Nothing that flies imports from here."""
