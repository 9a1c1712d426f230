"""The deployed template, on a local AWS stack."""
