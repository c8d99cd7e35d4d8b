# The gateway alone: no sandbox, no shell, not root. OpenSSL is there as the library under josekit. Keys, certificates and configuration are mounted.
#
#   docker build --tag triseal .
#   docker run --read-only --cap-drop=all --security-opt=no-new-privileges \
#     --mount type=bind,src=/srv/triseal,dst=/etc/triseal,ro --mount type=volume,src=triseal-state,dst=/var/lib/triseal \
#     --publish 8443:8443 triseal
#
# In the configuration: state = "/var/lib/triseal", and admin.listen on 0.0.0.0:9900 if metrics are read from outside.

FROM rust:1.95-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake libssl-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# Line tables stay with the developers; the names of functions stay in, for the backtrace of a fault.
ENV CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN cargo build --locked --release --no-default-features --bin triseal
# The binary with the libraries it names, and nothing else. libssl and libcrypto are among them: josekit stands on OpenSSL.
RUN install -D target/release/triseal /image/usr/bin/triseal \
 && ldd target/release/triseal | grep --only-matching '/[^ ]*' \
    | while read -r library; do install -D "$library" "/image$library"; done \
 && find /image -name 'libssl.so*' | grep --quiet . \
 && find /image -name 'libcrypto.so*' | grep --quiet . \
 && mkdir -p /image/etc/triseal /state/triseal \
 && chmod 700 /state/triseal \
 && echo 'triseal:x:10001:10001::/:/nonexistent' > /image/etc/passwd \
 && echo 'triseal:x:10001:' > /image/etc/group \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf

FROM scratch
LABEL org.opencontainers.image.title="Triseal" \
      org.opencontainers.image.description="The partner gateway at the MOSIP boundary" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /state /var/lib
ENV TRISEAL_CONFIG=/etc/triseal/gateway.toml
USER 10001:10001
# Partner face, service face, metrics and health: as the configuration says.
EXPOSE 8443 8080 9900
# SIGTERM finishes what is under way.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/bin/triseal", "health", "--config", "/etc/triseal/gateway.toml"]
ENTRYPOINT ["/usr/bin/triseal"]
CMD ["run", "--log-json"]
