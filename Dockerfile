FROM rust:1.95-slim-bookworm AS build
# Such as kafka-tls. Without any, what is C is aws-lc and SQLite.
ARG FEATURES=""
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && case "$FEATURES" in *kafka*) apt-get install -y --no-install-recommends g++ make pkg-config libssl-dev ;; esac \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The toolchain is the image's: rust-toolchain.toml stays out, or rustup would fetch another.
COPY Cargo.toml Cargo.lock ./
COPY src ./src
# Without the demo: the image holds the gateway and nothing that serves as an example.
RUN cargo build --locked --profile dist --no-default-features --features "$FEATURES" --bin portcullis

FROM debian:bookworm-slim
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="portcullis" \
      org.opencontainers.image.description="A security-hardened gateway between agents and MCP servers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# The roots that upstreams and issuers are verified with. They bring libssl3, which kafka-tls links.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 65532 portcullis \
 && useradd --system --uid 65532 --gid 65532 --no-create-home --home-dir /var/lib/portcullis --shell /usr/sbin/nologin portcullis \
 && install -d -o 65532 -g 65532 -m 0700 /var/lib/portcullis \
 && install -d -m 0755 /etc/portcullis
COPY --from=build /src/target/dist/portcullis /usr/local/bin/portcullis
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
WORKDIR /var/lib/portcullis
ENV PORTCULLIS_CONFIG=/etc/portcullis/portcullis.yaml
# Everything that is written goes here; the root file system can be read-only.
VOLUME ["/var/lib/portcullis"]
EXPOSE 8443
STOPSIGNAL SIGTERM
# The admin listener is on loopback inside the container (admin.listen, default 127.0.0.1:9443).
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["portcullis", "health"]
ENTRYPOINT ["portcullis"]
CMD ["serve"]
