"""What the CPython engine runs inside its interpreter; the build embeds these files."""
