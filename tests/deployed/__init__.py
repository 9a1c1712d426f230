"""The template, deployed on a local AWS stack and used over HTTP."""
