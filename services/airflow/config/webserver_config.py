"""Airflow 2's web server: whoever reaches it, on 127.0.0.1 only, is the admin, as in Airflow 3 (airflow.env)."""

AUTH_ROLE_PUBLIC = "Admin"
