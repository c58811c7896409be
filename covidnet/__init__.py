"""covidnet: chest X-ray classifiers whose numbers can be believed."""

__version__ = "0.1.0"
