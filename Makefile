# What CI runs, by parts.
.PHONY: check docs lint test
check: lint test

lint:
	ruff format --check .
	ruff check .
	lint-imports
	mypy

test:
	python -m pytest -n auto --cov=covidnet --cov-report=term:skip-covered

docs:
	python docs/reference.py
	python -m pdoc covidnet --docformat google --output-directory site
