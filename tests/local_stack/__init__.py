"""The local AWS stack on which the template is deployed: for `make run`, `make serve` and the tests."""
