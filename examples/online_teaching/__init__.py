"""Online teaching: one teacher's notes and outline, for many students."""
