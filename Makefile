# What CI runs, by parts.
.PHONY: check docs docs-serve lint reference test
check: lint test

lint:
	ruff format --check .
	ruff check .
	lint-imports
	mypy

test:
	python -m pytest -n auto --cov=covidnet --cov-report=term:skip-covered

# The pages that are made from the code.
reference:
	python docs/reference.py
	python docs/public.py

# The site, in build/site/. SAMPLES=no leaves out the sample reports, which take minutes.
docs: reference
ifeq ($(SAMPLES),no)
	@echo "The sample reports are left out: SAMPLES=no."
else
	python docs/samples.py
endif
	python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs -d build/doctrees . build/site

docs-serve:
	python -m http.server --bind 127.0.0.1 --directory build/site
