# The image of every Airflow process of the cluster (docker-compose.yaml).
#
# Why not `FROM apache/airflow`: that image carries its own versions of SQLAlchemy, Starlette, Pydantic and many others,
# which are not the ones that Bascule's tests ran with. Installing ours over them would break the image's set;
# installing only what is missing would run a mixture that nobody has tested. requirements-cluster.txt is one set,
# resolved together: each version of requirements.txt (so the ones that `make test` and `make demo` run with), plus
# Celery and FAB. pip checks every file of it against its hash.
FROM python:3.11.14-slim-bookworm

# No bytecode is written into the read-only mounts; logs come out line by line.
ENV AIRFLOW_HOME=/opt/bascule \
    PYTHONPATH=/opt/bascule/plugins \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# The volumes of logs and reports take their owner from the image's directories.
RUN useradd --uid 50000 --create-home bascule \
 && install -d -o bascule -g bascule /opt/bascule /opt/bascule/logs /opt/bascule/reports

COPY requirements-cluster.txt /tmp/requirements-cluster.txt
# The file is complete, so pip has nothing to resolve (--no-deps); `pip check` sees that nothing is missing.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
      -r /tmp/requirements-cluster.txt \
 && pip check \
 && rm /tmp/requirements-cluster.txt

USER bascule
WORKDIR /opt/bascule
ENTRYPOINT ["airflow"]
CMD ["version"]
