# The application's image: `turnpath` and what it needs, without the embedded parts of the one-machine stack.

# The chart library, by the same pom.xml and with checked sums.
FROM maven:3.9-eclipse-temurin-17 AS chart
COPY stack/pom.xml /pom.xml
RUN mvn -q -B -C -f /pom.xml dependency:copy-dependencies -DincludeArtifactIds=echarts -DoutputDirectory=/chart

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements-setup.lock requirements-app.lock ./
RUN pip install --require-hashes -r requirements-setup.lock \
 && python -m venv /app \
 && uv pip install --python /app/bin/python --require-hashes --only-binary :all: -r requirements-app.lock
COPY . .
RUN uv pip install --python /app/bin/python --no-deps --no-build-isolation .
COPY --from=chart /chart /chart
RUN /app/bin/python -m stack.jars --chart /chart /app/cache

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home turnpath \
 && install -d -o turnpath /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 TURNPATH_CACHE=/app/cache TURNPATH_DATA=/data TURNPATH_HTTP=0.0.0.0:8080
USER turnpath
WORKDIR /data
EXPOSE 8080
ENTRYPOINT ["turnpath"]
CMD ["--help"]
