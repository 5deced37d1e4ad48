# One image for every role of Steward: docker build -t steward . && docker run steward --help
# Behind a mirror: docker build --secret id=pip.conf,src=$HOME/.pip/pip.conf .

FROM python:3.12-slim AS build
RUN python -m venv /opt/steward
WORKDIR /src
# The dependencies first: they change seldom, and are then one cached layer.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = p['optional-dependencies']; \
print(*p['dependencies'], *extras['postgres'], *extras['s3'], sep='\n')" > requirements.txt \
 && /opt/steward/bin/python -m pip install --disable-pip-version-check --only-binary :all: \
      -c constraints.txt -r requirements.txt
COPY README.md ./
COPY steward steward
COPY webhook_receiver webhook_receiver
COPY handlers handlers
COPY workers workers
COPY serving serving
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    /opt/steward/bin/python -m pip install --disable-pip-version-check --no-deps .

FROM python:3.12-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Steward" \
      org.opencontainers.image.description="Event-driven automation for the MLflow Model Registry" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Numbers, so that volumes, Kubernetes and other images can name them. The second folder holds the
# token that Prometheus reads by its group; named volumes take over owner and mode.
RUN groupadd --gid 10001 steward \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/steward \
      --shell /usr/sbin/nologin steward \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/steward /var/lib/steward-metrics
COPY --from=build /opt/steward /opt/steward
ENV PATH=/opt/steward/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GIT_PYTHON_REFRESH=quiet \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true \
    STEWARD_DATA_DIR=/var/lib/steward \
    STEWARD_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/steward
VOLUME /var/lib/steward
EXPOSE 8800 8900 9100
STOPSIGNAL SIGTERM
# Exec form: signals reach Steward itself. Give it an init (docker run --init): roles start children.
ENTRYPOINT ["steward"]
CMD ["--help"]
