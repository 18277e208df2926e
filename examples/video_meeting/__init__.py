"""Video meeting and chat: peers find each other, and call each other directly."""
