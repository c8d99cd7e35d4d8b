#!/usr/bin/env bash
# The bare bones of a partner with the envelope `jose` (docs/jose.md), in curl and openssl: a request without a body is signed, its
# answer is checked and opened.
#
#     partner.sh URL PARTNER GATEWAY CA
#
# PARTNER is a folder with our own tls.pem, encryption.pem and signature.pem and the keys beside them (tls.key.pem, ...), GATEWAY
# one with the gateway's signature.pem, CA the file with the anchors of its TLS certificate. RSA certificates.
#
# To seal a body, use a JOSE library: the openssl command has no AES-GCM that gives a tag. It can open one all the same, since
# AES-GCM is counter mode below its tag and the signature, checked before, has already vouched for every octet.
set -euo pipefail

url=$1 partner=$2 gateway=$3 ca=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
unb64() { local text; text=$(tr -- '-_' '+/'); while ((${#text} % 4)); do text+='='; done; openssl base64 -d -A <<<"$text"; }
name() { openssl x509 -in "$1" -outform DER | openssl dgst -sha256 -binary | b64; }
member() { sed -nE "s/.*\"$1\":\"?([^\",}]*).*/\1/p" <<<"$2"; }
refuse() { echo "$1" >&2; exit 1; }

# The signature of the request: header, a dot, and the body, which is empty.
header=$(printf '{"alg":"RS256","x5t#S256":"%s","b64":false,"iat":%s,"jti":"%s","htm":"GET","htu":"%s","crit":["b64","iat","jti","htm","htu"]}' \
    "$(name "$partner/signature.pem")" "$(date +%s)" "$(openssl rand 16 | b64)" "$url" | b64)
signature=$header..$(printf '%s.' "$header" | openssl dgst -sha256 -sign "$partner/signature.key.pem" | b64)

curl --silent --show-error --cacert "$ca" --cert "$partner/tls.pem" --key "$partner/tls.key.pem" \
    --header "signature: $signature" --dump-header "$work/head" --output "$work/body" "$url"
touch "$work/body"

# The signature of the answer: is it the gateway's, over these octets, to this request, and fresh?
status=$(awk 'NR == 1 { print $2 }' "$work/head")
field() { tr -d '\r' <"$work/head" | sed -nE "s/^$1: *//Ip"; }
value=$(field response-signature)
[[ $value == *..* ]] || refuse "not signed: status $status, code $(field x-triseal-code)"
protected=${value%%..*}
said=$(unb64 <<<"$protected")
{ printf '%s.' "$protected"; cat "$work/body"; } >"$work/signed"
unb64 <<<"${value##*..}" >"$work/value"
openssl x509 -in "$gateway/signature.pem" -pubkey -noout >"$work/key"
openssl dgst -sha256 -verify "$work/key" -signature "$work/value" "$work/signed" >/dev/null || refuse "the signature does not fit"
[[ $(member alg "$said") == RS256 && $(member b64 "$said") == false ]] || refuse "another algorithm"
[[ $(member 'x5t#S256' "$said") == "$(name "$gateway/signature.pem")" ]] || refuse "somebody else's signature"
[[ $(member req "$said") == "$(printf '%s' "$signature" | openssl dgst -sha256 -binary | b64)" ]] || refuse "an answer to another request"
[[ $(member status "$said") == "$status" ]] || refuse "another status"
age=$(($(date +%s) - $(member iat "$said")))
((age <= 60 && age >= -30)) || refuse "not fresh"

# The body: unwrap the content key, then counter mode from 2 on.
echo "$status"
[[ -s $work/body ]] || exit 0
IFS=. read -r protected wrapped iv content tag <"$work/body" || true
said=$(unb64 <<<"$protected")
[[ $(member kid "$said") == "$(name "$partner/encryption.pem")" && -n $tag ]] || refuse "sealed to another certificate"
[[ $(member alg "$said") == RSA-OAEP-256 && $(member enc "$said") == A256GCM ]] || refuse "other algorithms"
hex() { od -An -v -tx1 | tr -d ' \n'; }
key=$(unb64 <<<"$wrapped" | openssl pkeyutl -decrypt -inkey "$partner/encryption.key.pem" \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 | hex)
unb64 <<<"$content" | openssl enc -d -aes-256-ctr -K "$key" -iv "$(unb64 <<<"$iv" | hex)00000002"
echo
