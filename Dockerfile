# The server as an image: built with the toolchain of the workspace, run by nobody in particular on a read-only root.
# It writes below /var/lib/nuage alone. The binary needs the C library; the certificates are for PostgreSQL and S3 over TLS.

FROM node:20.20.2-bookworm-slim AS page
WORKDIR /source/server/web
COPY server/web .
RUN npm ci --no-audit --no-fund && npm run build

FROM rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
COPY --from=page /source/server/web/dist /page
ENV NUAGE_WEB_DIST=/page NUAGE_WEB_REQUIRED=1
RUN cargo build --release --locked --package nuage-server \
    && strip --strip-debug target/release/nuage-server

FROM debian:12.12-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 nuage \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/nuage --shell /usr/sbin/nologin nuage \
    && install --directory --owner=nuage --group=nuage --mode=0700 /var/lib/nuage
COPY --from=build /source/target/release/nuage-server /usr/local/bin/nuage-server
COPY LICENSE /usr/share/doc/nuage/LICENSE

ENV NUAGE_DATA_DIR=/var/lib/nuage \
    NUAGE_LISTEN=0.0.0.0:8080 \
    MIMALLOC_PURGE_DELAY=50
USER 10001:10001
WORKDIR /var/lib/nuage
VOLUME /var/lib/nuage
EXPOSE 8080
STOPSIGNAL SIGTERM
# Whether the program runs; whether it can serve just now is what a load balancer asks at /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r answer <&3 && [[ $answer == *' 200 '* ]]"]
ENTRYPOINT ["/usr/local/bin/nuage-server"]
CMD ["serve"]
