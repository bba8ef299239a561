"""What users of Python and notebooks call; `import biotune` names all of it."""
