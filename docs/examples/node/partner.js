#!/usr/bin/env node
// A partner that seals its own requests in the envelope `jose` (docs/jose.md) and believes no answer that is not proven.
//
//     node partner.js METHOD URL PARTNER GATEWAY CA < plain body
//
// PARTNER is a folder with our own tls.pem, encryption.pem and signature.pem and the keys beside them (tls.key.pem, ...), GATEWAY
// one with the gateway's encryption.pem and signature.pem, CA the file with the anchors of its TLS certificate. Needs `npm install`
// here; RSA, P-256, P-384 and Ed25519 certificates work by themselves.

import { X509Certificate, createHash, createPrivateKey, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { CompactEncrypt, FlattenedSign, compactDecrypt, flattenedVerify } from "jose";

const b64 = (octets) => Buffer.from(octets).toString("base64url");
const sha256 = (octets) => createHash("sha256").update(octets).digest();
const refuse = (why) => {
  throw new Error(why);
};

/** A certificate, its name in messages, and the algorithms that go with its key. */
function certificate(path) {
  const leaf = new X509Certificate(readFileSync(path));
  const kind = leaf.publicKey.asymmetricKeyType;
  return {
    name: b64(sha256(leaf.raw)),
    key: leaf.publicKey,
    wrapping: kind === "rsa" ? "RSA-OAEP-256" : "ECDH-ES+A256KW",
    // An RSA certificate may also be agreed for PS256.
    signing: { rsa: "RS256", ec: "ES256", ed25519: "EdDSA" }[kind],
  };
}

/** A certificate of ours with its private key. */
const own = (folder, role) => ({
  ...certificate(`${folder}/${role}.pem`),
  key: createPrivateKey(readFileSync(`${folder}/${role}.key.pem`)),
});

/** The body as it is sent: nothing for nothing, else a JWE to the certificate. */
async function seal(plain, mediaType, to) {
  if (plain.length === 0) return Buffer.alloc(0);
  const header = { alg: to.wrapping, enc: "A256GCM", kid: to.name, cty: mediaType };
  return Buffer.from(await new CompactEncrypt(plain).setProtectedHeader(header).encrypt(to.key));
}

/** The plain body. */
async function open(body, mine) {
  if (body.length === 0) return body;
  const options = {
    keyManagementAlgorithms: [mine.wrapping],
    contentEncryptionAlgorithms: ["A256GCM"],
  };
  const { plaintext, protectedHeader } = await compactDecrypt(body, mine.key, options);
  const members = ["alg", "cty", "enc", ...(mine.wrapping === "RSA-OAEP-256" ? [] : ["epk"]), "kid"];
  if (`${Object.keys(protectedHeader).sort()}` !== `${members}`) refuse("not the agreed form");
  if (protectedHeader.kid !== mine.name) refuse("sealed to another certificate");
  return Buffer.from(plaintext);
}

/** The value of the signature header over the octets of the body. */
async function sign(body, mine, bound) {
  const names = Object.keys(bound);
  const header = {
    alg: mine.signing,
    "x5t#S256": mine.name,
    b64: false,
    iat: Math.floor(Date.now() / 1000),
    jti: b64(randomBytes(16)),
    ...bound,
    crit: ["b64", "iat", "jti", ...names],
  };
  const crit = Object.fromEntries(["iat", "jti", ...names].map((name) => [name, true]));
  const made = await new FlattenedSign(body).setProtectedHeader(header).sign(mine.key, { crit });
  return `${made.protected}..${made.signature}`;
}

/** The header of a signature, after everything about it was checked. */
async function check(value, body, signer, names) {
  const [protectedHeader, nothing, signature, ...more] = value.split(".");
  if (nothing !== "" || more.length > 0) refuse("not a detached signature");
  const crit = Object.fromEntries(["iat", "jti", ...names].map((name) => [name, true]));
  const jws = { protected: protectedHeader, payload: body, signature };
  const verified = await flattenedVerify(jws, signer.key, { algorithms: [signer.signing], crit });
  const header = verified.protectedHeader;
  const critical = ["b64", "iat", "jti", ...names];
  const members = ["alg", "x5t#S256", "crit", ...critical];
  const found = Object.keys(header).filter((name) => name !== "leaf" || !names.includes("req")); // a receipt (docs/evidence.md)
  if (`${found.sort()}` !== `${members.sort()}`) refuse("not the agreed form");
  if (`${[...header.crit].sort()}` !== `${critical.sort()}`) refuse("not the agreed form");
  if (header.b64 !== false || header["x5t#S256"] !== signer.name) refuse("somebody else's");
  const age = Date.now() / 1000 - header.iat;
  if (!(age <= 60 && age >= -30)) refuse("the signature is not fresh");
  return header;
}

/** Asks and gives status and plain answer; fails where the answer is not proven. */
async function ask(method, url, plain, partner, gateway, ca) {
  const body = await seal(plain, "application/json", certificate(`${gateway}/encryption.pem`));
  const signature = await sign(body, own(partner, "signature"), { htm: method, htu: url });
  const headers = { signature, "content-length": body.length };
  if (body.length > 0) headers["content-type"] = "application/jose";
  const tls = {
    ca: readFileSync(ca),
    cert: readFileSync(`${partner}/tls.pem`),
    key: readFileSync(`${partner}/tls.key.pem`),
  };
  const answer = await new Promise((resolve, reject) => {
    request(url, { method, headers, ...tls }, resolve).on("error", reject).end(body);
  });
  const chunks = [];
  for await (const chunk of answer) chunks.push(chunk);
  const sealed = Buffer.concat(chunks);
  const value = answer.headers["response-signature"];
  if (!value) refuse(`no signature: ${answer.statusCode} ${answer.headers["x-triseal-code"]} ${sealed}`);
  const header = await check(value, sealed, certificate(`${gateway}/signature.pem`), ["status", "req"]);
  const req = b64(sha256(Buffer.from(signature)));
  if (header.status !== answer.statusCode || header.req !== req) refuse("an answer to another request");
  if (sealed.length > 0 && answer.headers["content-type"] !== "application/jose") refuse("not sealed");
  return { status: answer.statusCode, plain: await open(sealed, own(partner, "encryption")) };
}

const [method, url, partner, gateway, ca] = process.argv.slice(2);
const { status, plain } = await ask(method, url, Buffer.from(await text(process.stdin)), partner, gateway, ca);
console.log(`${status}\n${plain}`);
