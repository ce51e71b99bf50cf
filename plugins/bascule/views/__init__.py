"""What people are shown of the day: the same pages, pictures and words for the control room and for the final report.

Reads the ledger and the site file; knows neither Airflow nor a web server.
"""
