// The Node peer of the bench's question `/verify`.
//
// This is not OpenCRVS' code; it does the same work with the same libraries. It was written from a description of what OpenCRVS'
// middleware does for one `/verify`, so that both halves can be measured on one core. Nobody should run it for anything else: as
// the original, it does not look at the signature of IDA's answer.
//
// Settings are environment variables with the original's names. With `--keys-once` PKCS#12, certificates and the signing key are
// read once at the start, which is kinder than the original: it reads them for every question.

import { createHash, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import cors from '@fastify/cors'
import formbody from '@fastify/formbody'
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { importPKCS8, FlattenedSign } from 'jose'
import forge from 'node-forge'
import { z } from 'zod'

const once = process.argv.includes('--keys-once')
const setting = (name) => process.env[name] ?? stop(`${name} is not set`)
const stop = (why) => {
  throw new Error(why)
}
const ida = {
  url: setting('IDA_AUTH_URL'),
  domain: setting('IDA_AUTH_DOMAIN_URI'),
  licence: setting('PARTNER_MISP_LK'),
  partner: setting('PARTNER_ID'),
  apiKey: setting('PARTNER_APIKEY'),
  certificate: setting('ENCRYPT_CERT_PATH'),
  keys: setting('SIGN_P12_FILE_PATH'),
  password: setting('SIGN_P12_FILE_PASSWORD'),
}

// ---- keys ----

/** Everything that is made of files: IDA's public key with its thumbprint, the partner's signing key and its certificate. */
async function readKeys() {
  const theirs = forge.pki.certificateFromPem(readFileSync(ida.certificate, 'utf8'))
  const der = forge.asn1.toDer(forge.pki.certificateToAsn1(theirs)).getBytes()
  const file = readFileSync(ida.keys, 'binary')
  const store = forge.pkcs12.pkcs12FromAsn1(forge.asn1.fromDer(file), ida.password)
  const bag = (type) => store.getBags({ bagType: type })[type]?.[0] ?? stop('the PKCS#12 file lacks something')
  const key = bag(forge.pki.oids.pkcs8ShroudedKeyBag).key
  const wrapped = forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(key))
  const keyPem = forge.pki.privateKeyInfoToPem(wrapped)
  const certificatePem = forge.pki.certificateToPem(bag(forge.pki.oids.certBag).cert)
  return {
    publicKey: theirs.publicKey,
    thumbprint: base64url(forge.md.sha256.create().update(der).digest().getBytes()),
    // jose 5 makes a CryptoKey or a KeyObject of the text.
    signing: await importPKCS8(keyPem, 'RS256'),
    // The original names its certificate by its PEM text, not by its DER.
    x5c: Buffer.from(certificatePem).toString('base64url'),
  }
}

/** Forge's strings hold one byte a letter. */
const base64url = (bytes) => Buffer.from(bytes, 'binary').toString('base64url')

// ---- the question to IDA ----

/** `ciphertext ‖ tag ‖ nonce`, in pure JavaScript. */
function seal(sessionKey, text) {
  const nonce = forge.random.getBytesSync(16)
  const cipher = forge.cipher.createCipher('AES-GCM', sessionKey)
  cipher.start({ iv: nonce, tagLength: 128 })
  cipher.update(forge.util.createBuffer(text, 'utf8'))
  cipher.finish()
  return base64url(cipher.output.getBytes() + cipher.mode.tag.getBytes() + nonce)
}

/** The signed message about one person. */
async function message({ nid, dob, name, gender }, keys) {
  const now = new Date().toISOString()
  const spoken = (value) => [{ language: 'eng', value }]
  const whole = [name.firstname, name.middlename, name.surname].filter(Boolean).join(' ')
  const content = JSON.stringify({
    biometrics: [],
    demographics: {
      dob: dob.replaceAll('-', '/'),
      name: spoken(whole),
      ...(gender ? { gender: spoken(gender) } : {}),
    },
    otp: '',
    timestamp: now,
  })
  const hash = createHash('sha256').update(content).digest('hex').toUpperCase()
  const sessionKey = forge.random.getBytesSync(32)
  const wrapped = keys.publicKey.encrypt(sessionKey, 'RSA-OAEP', {
    md: forge.md.sha256.create(),
    mgf1: { md: forge.md.sha256.create() },
  })
  const body = JSON.stringify({
    id: 'mosip.identity.auth',
    version: '1.0',
    individualId: nid,
    individualIdType: 'UIN',
    transactionID: String(randomInt(1_000_000_000, 10_000_000_000)),
    requestTime: now,
    specVersion: '1.0',
    thumbprint: keys.thumbprint,
    domainUri: ida.domain,
    env: 'Staging',
    requestedAuth: { demo: false, pin: false, otp: false, bio: false },
    consentObtained: true,
    metadata: {},
    request: seal(sessionKey, content),
    requestSessionKey: base64url(wrapped),
    requestHMAC: seal(sessionKey, hash),
  })
  const signed = await new FlattenedSign(new TextEncoder().encode(body))
    .setProtectedHeader({ alg: 'RS256', x5c: [keys.x5c] })
    .sign(keys.signing)
  return { body, signature: `${signed.protected}..${signed.signature}` }
}

/** Whether IDA says yes. The signature of its answer is not looked at. */
async function verified(person, keys) {
  const { body, signature } = await message(person, keys)
  const answer = await fetch(`${ida.url}/${ida.licence}/${ida.partner}/${ida.apiKey}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Authorization', signature },
    body,
  })
  const said = await answer.json()
  if (!said.response) stop(`IDA refuses: ${JSON.stringify(said.errors)}`)
  return said.response.authStatus === true
}

// ---- the service ----

const publicKey = await (await fetch(setting('OPENCRVS_PUBLIC_KEY_URL'))).text()
const kept = once ? await readKeys() : undefined

const app = Fastify({ logger: true })
app.setValidatorCompiler(validatorCompiler)
app.setSerializerCompiler(serializerCompiler)
await app.register(cors, {
  origin: process.env.CLIENT_APP_URL ?? 'http://localhost:3000',
  methods: ['GET', 'POST', 'OPTIONS'],
  allowedHeaders: ['Content-Type', 'Authorization'],
})
await app.register(formbody)
await app.register(jwt, { secret: { public: publicKey }, verify: { algorithms: ['RS256'] } })
app.addHook('onRequest', async (request, reply) => {
  try {
    await request.jwtVerify()
  } catch {
    return reply.code(401).send({ error: 'Unauthorized' })
  }
})
app.setErrorHandler((error, request, reply) => {
  request.log.error(error)
  return reply.code(500).send({ error: 'An unexpected error occurred' })
})

const person = z.object({
  nid: z.string(),
  dob: z.string(),
  name: z.object({ firstname: z.string(), surname: z.string(), middlename: z.string().optional() }),
  gender: z.string().optional(),
  transactionId: z.string().optional(),
})
app.post('/verify', { schema: { body: person } }, async (request) =>
  (await verified(request.body, kept ?? (await readKeys()))) ? 'verified' : 'failed',
)

await app.listen({ host: '127.0.0.1', port: Number(setting('PORT')) })
process.on('SIGTERM', () => process.exit(0))
