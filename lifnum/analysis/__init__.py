"""What traces say, in tables, figures and a report: python -m lifnum.analysis.NAME."""
