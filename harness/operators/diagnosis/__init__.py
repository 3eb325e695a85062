"""What a wrong output tells of its cause, whatever the operator."""
