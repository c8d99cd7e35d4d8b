//! What ends an exchange early: one [`Refusal`] with a stable [`Code`].
//!
//! Two truths (SECURITY.md): the partner gets the code, whose side it is on and what to change; the operator's log gets
//! the cause. What a protocol makes of a code (MOSIP's own error codes, say) is decided by its handler, in one match.

use std::{error::Error, fmt, io};

/// Whose doing a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller has to change something.
    Caller,
    /// We have: configuration, overload, a fault.
    Gateway,
    /// The service behind us failed or answered what must not be passed on.
    Upstream,
}

impl Side {
    /// The word used in logs, metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $side:ident, $status:literal, $remedy:literal;)*) => {
        /// A stable code: never reused, never renumbered. It is a metric label and stands in the header `x-triseal-code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, for the documentation and for metrics that start at zero.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text, such as `SIG-003`.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $code,)* } }

            /// Whose side has to change something.
            pub const fn side(self) -> Side { match self { $(Self::$name => Side::$side,)* } }

            /// The HTTP status used where the protocol of the route does not say otherwise.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }

            /// What the caller is told: what is wrong and what to do.
            pub const fn remedy(self) -> &'static str { match self { $(Self::$name => $remedy,)* } }
        }
    };
}

codes! {
    // The HTTP gate (field guide 3.4): framing and form, before anybody is known.
    /// The bytes are not a well-formed HTTP/1.1 head.
    HttpMalformed = "HTTP-001", Caller, 400, "The request is not well-formed HTTP. Send CRLF line ends, one space between the parts of the request line, and no control characters.";
    /// Content-Length together with Transfer-Encoding, repeated lengths, or a length that is not a number.
    HttpLength = "HTTP-002", Caller, 400, "Send exactly one Content-Length, or Transfer-Encoding: chunked, never both.";
    /// A transfer coding other than a lone `chunked`, or a chunk that is not plain.
    HttpChunked = "HTTP-003", Caller, 400, "Send Transfer-Encoding: chunked alone, without chunk extensions or trailers, with CRLF line ends.";
    /// Host missing, repeated, malformed, or different from the target or the TLS server name.
    HttpHost = "HTTP-004", Caller, 421, "Send one Host that equals the TLS server name and the name this gateway is configured for.";
    /// Upgrade, CONNECT or another method or protocol the edge does not speak.
    HttpUpgrade = "HTTP-005", Caller, 400, "Upgrade, CONNECT and TRACE are not served here.";
    /// The target is not in canonical form.
    HttpPath = "HTTP-006", Caller, 400, "Send the path in its canonical form: no dot segments, doubled slashes, backslashes, encoded slashes, parameters, fragments or control characters.";
    /// A header with a forbidden name or value.
    HttpHeader = "HTTP-007", Caller, 400, "A header name or value is not allowed here. Names take letters, digits and hyphens; values take visible characters.";
    /// The head is larger than the limit.
    HttpHeadSize = "HTTP-008", Caller, 431, "The request head is larger than this gateway's limit.";
    /// The body is larger than the limit.
    HttpBodySize = "HTTP-009", Caller, 413, "The body is larger than this route's limit.";
    /// The head, the body or the whole request took longer than its limit.
    HttpSlow = "HTTP-010", Caller, 408, "The request was not complete within the time limit.";
    /// An expectation other than 100-continue.
    HttpExpect = "HTTP-011", Caller, 417, "Only Expect: 100-continue is understood.";
    /// The body ended before its announced length.
    HttpBodyCut = "HTTP-012", Caller, 400, "The body ended early. Send as many bytes as announced.";
    /// A header that only this gateway may set.
    HttpSpoofed = "HTTP-013", Caller, 400, "The request carries a header that only the gateway may set. Remove it.";

    // Who is calling.
    /// The TLS certificate is not bound to any partner.
    CertificateUnbound = "ID-001", Caller, 403, "This connection is not admitted. Give the correlation id to the gateway's operator.";
    /// The certificate is bound, but in another role than `tls`.
    CertificateRole = "ID-002", Caller, 403, "This connection is not admitted. Give the correlation id to the gateway's operator.";
    /// The certificate is bound, but its binding is not usable (revoked, expired, not yet valid, anchor not the partner's).
    CertificateUnusable = "ID-003", Caller, 403, "This connection is not admitted. Give the correlation id to the gateway's operator.";
    /// The partner is inactive. A deleted one is answered like one that never was (`ID-008`).
    PartnerInactive = "ID-004", Caller, 403, "The partner is deactivated. Ask the gateway's operator to activate it.";
    /// The partner's own validity has not begun or is over.
    PartnerNotValid = "ID-005", Caller, 403, "The partner's registration is not valid at this time. Ask the gateway's operator to renew it.";
    /// No service is admitted from that address, token or certificate.
    ServiceUnknown = "ID-006", Caller, 401, "This service is not admitted. Use a configured network, client certificate or bearer token.";
    /// The path names a partner other than the one that is connected.
    PartnerMismatch = "ID-007", Caller, 403, "The partner id in the path is not that of the connection. Use your own partner id and certificate.";
    /// The path names a partner that does not exist.
    PartnerUnknown = "ID-008", Caller, 403, "The partner id in the path is not registered.";

    // What may be called.
    /// No route has this path.
    RouteUnknown = "RT-001", Caller, 404, "There is no such route. Check the path.";
    /// The route has this path but not this method or media type.
    MethodNotAllowed = "RT-002", Caller, 405, "The route does not take this method.";
    /// The partner may not use this route.
    RouteForbidden = "RT-003", Caller, 403, "The partner may not use this route. Ask the gateway's operator to list it.";
    /// The media type is not the route's.
    MediaType = "RT-004", Caller, 415, "The route does not take this media type.";
    /// A query string where the route takes none.
    QueryNotAllowed = "RT-005", Caller, 400, "The route takes no query string.";

    // Licences, API keys and their policies.
    /// The licence key is unknown, deleted or not yet valid.
    LicenceUnknown = "LIC-001", Caller, 403, "The licence key is not that of a registered MISP.";
    /// The licence key is blocked.
    LicenceBlocked = "LIC-002", Caller, 403, "The licence key is blocked.";
    /// The licence key has expired.
    LicenceExpired = "LIC-003", Caller, 403, "The licence key has expired.";
    /// The API key is unknown or deleted.
    ApiKeyUnknown = "API-001", Caller, 403, "The API key is not registered for this partner.";
    /// The API key is inactive.
    ApiKeyInactive = "API-002", Caller, 403, "The API key is deactivated.";
    /// The API key is not yet valid or has expired.
    ApiKeyNotValid = "API-003", Caller, 403, "The API key is not valid at this time.";
    /// The policy behind the API key is deleted or unknown.
    PolicyUnknown = "POL-001", Caller, 403, "The policy of the API key is not registered.";
    /// The policy behind the API key is inactive, not yet valid or expired.
    PolicyInactive = "POL-002", Caller, 403, "The policy of the API key is not active.";
    /// The policy does not allow this route.
    PolicyRoute = "POL-003", Caller, 403, "The policy of the API key does not allow this kind of request.";
    /// The policy does not allow a factor that the request uses.
    PolicyFactor = "POL-004", Caller, 403, "The policy of the API key does not allow a factor that the request uses.";
    /// The policy demands a factor that the request does not use.
    PolicyMandatory = "POL-005", Caller, 403, "The policy of the API key demands a factor that the request does not use.";

    // The operator's rules, in Cedar.
    /// A rule forbids it, whatever the content.
    RuleForbids = "POL-006", Caller, 403, "The rules of this gateway forbid this request. Ask its operator, with the correlation id.";
    /// No rule permits it, whatever the content.
    RuleNone = "POL-007", Caller, 403, "No rule of this gateway permits this request. Ask its operator, with the correlation id.";
    /// A rule forbids what the content asks for.
    RuleForbidsContent = "POL-008", Caller, 403, "The rules of this gateway forbid what the request asks for. Ask its operator, with the correlation id.";
    /// No rule permits what the content asks for.
    RuleNoneContent = "POL-009", Caller, 403, "No rule of this gateway permits what the request asks for. Ask its operator, with the correlation id.";
    /// A rule could not be evaluated.
    RuleFailed = "POL-010", Gateway, 500, "The gateway could not evaluate its rules. Give the correlation id to its operator.";

    // The MISP's policy, on delegated routes.
    /// The licence key has no MISP policy that holds.
    MispPolicyMissing = "POL-011", Caller, 403, "The MISP has no policy for requests on behalf of others. Ask the gateway's operator to set it.";
    /// The MISP's policy does not allow this kind of request.
    MispPolicyRoute = "POL-012", Caller, 403, "The policy of the MISP does not allow this kind of request on behalf of others.";

    // The outer form of a message.
    /// The body is not the JSON object that the route takes, or has a member twice.
    MessageForm = "MSG-001", Caller, 400, "The body is not a JSON object of the route's form, or names a member twice.";
    /// A member is missing.
    MemberMissing = "MSG-002", Caller, 400, "A required member or header is missing.";
    /// A member has a value the route does not take.
    MemberInvalid = "MSG-003", Caller, 400, "A member has a value that the route does not take.";
    /// The individual's consent is not stated.
    ConsentMissing = "MSG-005", Caller, 400, "Send `consentObtained: true`, after the individual has consented.";
    /// The message asks for nothing.
    NoFactor = "MSG-004", Caller, 400, "The request names no factor to authenticate with.";

    // The signature.
    /// The signature header is missing.
    SignatureMissing = "SIG-001", Caller, 401, "Send the detached JWS of the body in the header `signature`.";
    /// The signature header is not a detached compact JWS in a form of the partner's contract.
    SignatureForm = "SIG-002", Caller, 401, "The `signature` header is not a detached compact JWS in a form this partner's contract lists.";
    /// The algorithm is not the one bound to the signer's key.
    SignatureAlgorithm = "SIG-003", Caller, 401, "Sign with the algorithm that is agreed for your key.";
    /// The signer's certificate is not a signature certificate of the partner.
    SignerUnbound = "SIG-004", Caller, 401, "The signing certificate is not registered as this partner's signature certificate.";
    /// The signer's certificate is another partner's.
    SignerForeign = "SIG-005", Caller, 401, "The signing certificate belongs to another partner.";
    /// The signer's certificate is bound to the partner in another role.
    SignerRole = "SIG-006", Caller, 401, "The signing certificate is registered for another use. Sign with the signature certificate.";
    /// The signer's certificate is revoked, expired, or its state is unknown.
    SignerUnusable = "SIG-007", Caller, 401, "The signing certificate is revoked, expired or cannot be checked.";
    /// The signature does not fit the bytes that were received.
    SignatureWrong = "SIG-008", Caller, 401, "The signature does not fit the bytes received. Sign the exact body that is sent.";
    /// The signature was made for another method or URI.
    SignatureTarget = "SIG-009", Caller, 401, "The signature was made for another request. Sign `htm` and `htu` of the request that is sent: its method, and its URI without query.";

    // Freshness and replay.
    /// The message's time is missing or not in the form the contract lists.
    TimeForm = "FRS-001", Caller, 400, "Send the request time as yyyy-MM-dd'T'HH:mm:ss.SSSXXX.";
    /// The message is older than the window.
    Stale = "FRS-002", Caller, 400, "The request is too old, or your clock is behind. Send it at once and set your clock.";
    /// The message is from the future.
    FromTheFuture = "FRS-003", Caller, 400, "The request time is in the future. Set your clock.";
    /// The message was seen before.
    Replayed = "FRS-004", Caller, 409, "This message was received before. Make a new one with a new time and transaction id.";
    /// The message is older than this gateway's start, so that it cannot be known whether it was seen before.
    ReplayClosed = "FRS-005", Gateway, 503, "The gateway has just started and cannot know whether it saw this message. Make a new one and send it again in a few seconds.";
    /// The replay memory is full.
    ReplayFull = "FRS-006", Gateway, 503, "The gateway cannot remember more messages now. Try again later.";

    // The encryption.
    /// The message is not encrypted to a certificate of ours.
    RecipientUnknown = "ENC-001", Caller, 400, "The message is not encrypted to this gateway's current certificate. Fetch it again.";
    /// The message does not decrypt; every cause looks the same.
    Undecryptable = "ENC-002", Caller, 400, "The message cannot be decrypted.";
    /// The digest inside does not fit the content.
    IntegrityWrong = "ENC-003", Caller, 400, "The encrypted digest does not fit the encrypted content.";
    /// The body is not a compact JWE of the exact form.
    SealedForm = "ENC-005", Caller, 400, "The body is not a compact JWE in exactly the form of the envelope `jose`, with the media type application/jose.";
    /// We cannot encrypt to the partner: no usable encryption certificate.
    NoRecipient = "ENC-004", Gateway, 500, "The gateway has no usable encryption certificate for the recipient.";

    // The service behind us.
    /// No address of the upstream took the connection.
    UpstreamDown = "UP-001", Upstream, 502, "The service behind the gateway cannot be reached. Try again later.";
    /// The upstream did not answer in time; it may have received the request.
    UpstreamSlow = "UP-002", Upstream, 504, "The service behind the gateway did not answer in time. It may have received the request.";
    /// The upstream's answer ended early or was not HTTP.
    UpstreamBroken = "UP-003", Upstream, 502, "The service behind the gateway gave no whole answer. It may have received the request.";
    /// The upstream's answer is larger than the limit.
    UpstreamSize = "UP-004", Upstream, 502, "The answer of the service behind the gateway is larger than the limit.";
    /// The upstream's answer is not signed by the party it must come from.
    UpstreamSignature = "UP-005", Upstream, 502, "The answer of the service behind the gateway does not carry a valid signature.";
    /// The upstream's answer does not belong to the request or has the wrong form.
    UpstreamForm = "UP-006", Upstream, 502, "The answer of the service behind the gateway does not fit the request.";
    /// The upstream's answer cannot be decrypted.
    UpstreamUndecryptable = "UP-007", Upstream, 502, "The answer of the service behind the gateway cannot be decrypted.";

    // The token seeder.
    /// The request is not of the token seeder's form.
    SeederForm = "SEED-001", Caller, 400, "The request is not of the form that the token seeder takes. Send its JSON envelope, for files beside the parts `request` and `csv_file`.";
    /// A jq program is not on the list.
    SeederProgram = "SEED-002", Caller, 403, "A jq program is not on the list. Use an agreed `outputFormat` word by word, and plain names of fields in `mapping`.";
    /// A callback's address, method or login is not that of a declared target.
    SeederCallback = "SEED-003", Caller, 403, "The callback is not to one of your declared targets. Write address, method and login exactly as agreed.";
    /// No such request or callback, or another partner's.
    SeederUnknown = "SEED-004", Caller, 404, "There is no such request or callback of yours. It may have ended.";
    // Our login at MOSIP's authmanager.
    /// authmanager refused client id, secret or application.
    LoginRefused = "LGN-001", Gateway, 502, "MOSIP does not accept the gateway's own login. Its operator must correct client id, secret or application.";
    /// authmanager cannot be reached, or fails.
    LoginDown = "LGN-002", Upstream, 502, "MOSIP's login service cannot be reached or fails. Try again later.";
    /// authmanager answered without a token that can be used.
    LoginForm = "LGN-003", Upstream, 502, "MOSIP's login service gave no token that can be used. Try again later.";
    /// The service behind us does not accept a token that was fetched a moment ago.
    TokenRefused = "LGN-004", Gateway, 502, "The service behind the gateway does not accept the gateway's login. Its operator must see to the client's roles and audience.";

    // Packets and workflows.
    /// The partner may not make packets of this process, source, centre or id.
    PacketForbidden = "PKT-001", Caller, 403, "The partner may not send packets of this process, source, centre or id. Ask the gateway's operator to list it.";
    /// MOSIP answered with errors of its own.
    PacketErrors = "PKT-002", Upstream, 502, "MOSIP did not accept the request. Its own codes stand beside this one.";
    /// MOSIP answered as if all were well, but without a packet or a workflow.
    PacketLost = "PKT-003", Upstream, 502, "MOSIP answered without doing what was asked. Send the same request again later.";
    /// MOSIP's answer is of another form, or about another packet.
    PacketAnswer = "PKT-004", Upstream, 502, "MOSIP's answer does not fit the request. It is not known whether it was done; send the same request again later.";

    // WebSub.
    /// The hub asks about a subscription that we did not ask for.
    IntentUnexpected = "WSB-001", Caller, 404, "No request of that mode and topic is pending here.";
    /// The partner may not subscribe to the topic.
    TopicForbidden = "WSB-002", Caller, 403, "The partner may not subscribe to this topic. Ask the gateway's operator to list it.";
    /// The partner may not name this callback.
    CallbackForbidden = "WSB-003", Caller, 403, "The partner may not use this callback. Ask the gateway's operator to list it.";
    /// The form of a subscription is not right.
    SubscriptionForm = "WSB-004", Caller, 400, "Send hub.mode (subscribe or unsubscribe), hub.topic, hub.callback, and to subscribe a hub.secret of 16 to 199 bytes, each once.";
    // Tokens and registrations of OpenCRVS.
    /// No OpenCRVS token.
    BearerMissing = "CRVS-001", Caller, 401, "Send the OpenCRVS token in the header `Authorization: Bearer`.";
    /// The token is no RS256 JWT of the plain form.
    BearerForm = "CRVS-002", Caller, 401, "The OpenCRVS token is not a JWT signed with RS256.";
    /// No known key of the issuer made the token's signature.
    BearerSignature = "CRVS-003", Caller, 401, "The OpenCRVS token is not signed by the key of OpenCRVS' auth service.";
    /// The token is of another issuer.
    BearerIssuer = "CRVS-004", Caller, 401, "The OpenCRVS token is of another issuer.";
    /// The token is for another audience.
    BearerAudience = "CRVS-005", Caller, 401, "The OpenCRVS token is for another audience.";
    /// The token is over, has not begun, or never ends.
    BearerExpired = "CRVS-006", Caller, 401, "The OpenCRVS token is not valid at this time. Get a new one.";
    /// The token lacks the scope of the route.
    BearerScope = "CRVS-007", Caller, 403, "The OpenCRVS token lacks the scope of this route.";
    /// The token names no event or no action.
    BearerRecord = "CRVS-008", Caller, 401, "The OpenCRVS token names no event or no action. Use the token of the record that is registered.";
    /// The keys of the token's issuer are not known yet.
    BearerKeys = "CRVS-009", Gateway, 503, "The gateway does not know the key of OpenCRVS' auth service yet. Try again later.";
    /// Neither a birth nor a death, or both.
    RegistrationKind = "CRVS-010", Caller, 400, "Send exactly one of `requestFields.birthCertificateNumber` and `requestFields.deathCertificateNumber`.";
    /// The registration number belongs to another event.
    RegistrationOther = "CRVS-011", Caller, 409, "The registration number is under way for another event. Use the number of this event.";
    /// E-Signet's client or the address to return to is not the configured one.
    LoginForeign = "CRVS-012", Caller, 403, "The client id or the redirect URI is not one of this gateway's. Ask its operator to list it.";
    /// IDA does not take what was asked.
    IdaInput = "CRVS-013", Caller, 400, "MOSIP's IDA does not take the national id or a demographic value as it was sent. Correct it.";
    /// IDA refuses us, or fails.
    IdaRefused = "CRVS-014", Upstream, 502, "MOSIP's IDA did not answer the question. Give the correlation id to the gateway's operator.";
    // E-Signet.
    /// The client is none of the caller's.
    ClientUnknown = "ESG-001", Caller, 403, "The client id is not registered for this caller. Ask the gateway's operator to list it.";
    /// The redirect URI is none of the client's.
    RedirectUnknown = "ESG-002", Caller, 403, "The redirect_uri is not registered for this client. Ask the gateway's operator to list it.";
    /// There is no client assertion, or it is no JWT of the one form.
    AssertionForm = "ESG-003", Caller, 401, "Send client_assertion_type and a client_assertion that is a compact JWT.";
    /// The assertion is not signed by the client's registered key with its algorithm.
    AssertionSignature = "ESG-004", Caller, 401, "The client_assertion is not signed with the client's registered key and algorithm.";
    /// A claim of the assertion is missing or wrong.
    AssertionClaim = "ESG-005", Caller, 401, "The client_assertion needs iss and sub of the client, aud of E-Signet, iat, exp within five minutes, and a new jti.";
    /// The assertion was used before.
    AssertionReplayed = "ESG-006", Caller, 401, "This client_assertion was used before. Make a new one with a new jti.";
    /// A service sends an assertion although the gateway makes it.
    AssertionUnwanted = "ESG-007", Caller, 400, "The gateway makes the client assertion. Send the request without one.";
    /// E-Signet's keys or documents were not fetched yet, or are too old.
    EsignetKeys = "ESG-008", Gateway, 503, "The gateway has no current keys of E-Signet. Try again in a few seconds.";
    /// What E-Signet gave for a code is not what it must be.
    TokenAnswer = "ESG-009", Upstream, 502, "E-Signet's token answer is not signed by it, not for this client, or of another form.";
    /// The userinfo is not of the client's form.
    UserinfoForm = "ESG-010", Upstream, 502, "E-Signet's userinfo is not of the form agreed for this client.";
    /// The userinfo is not signed by E-Signet.
    UserinfoSignature = "ESG-011", Upstream, 502, "E-Signet's userinfo is not signed by a key of its set.";
    /// The userinfo is about somebody else than the id token.
    UserinfoSubject = "ESG-012", Upstream, 502, "E-Signet's userinfo is about another person than the one who logged in.";
    /// The access token was not obtained through this gateway.
    AccessTokenUnknown = "ESG-013", Caller, 401, "The access token is missing, has expired, or was not obtained through this gateway. Log in again.";
    /// E-Signet refused, in its own words.
    EsignetRefused = "ESG-014", Upstream, 502, "E-Signet refused the request. Log in again.";

    // Evidence.
    /// Too many records wait for the disk.
    EvidenceQueue = "EVD-001", Gateway, 503, "The gateway has more records to write than it can hold. Send the request again after the time in Retry-After.";
    /// The record of the exchange could not be written.
    EvidenceWrite = "EVD-002", Gateway, 503, "The gateway could not record the exchange, so that its answer is held back. The service behind it may have done what was asked.";
    /// The record of the exchange was not on disk in time.
    EvidenceSlow = "EVD-003", Gateway, 503, "The gateway did not record the exchange in time, so that its answer is held back. The service behind it may have done what was asked.";
    /// Records cannot be written at present; nothing was sent to the service behind.
    EvidenceDown = "EVD-004", Gateway, 503, "The gateway cannot record exchanges at present. Nothing was done; send the request again after the time in Retry-After.";
    /// No record of the caller has that id, or the log has not so many.
    EvidenceUnknown = "EVD-020", Caller, 404, "You have no such record here. GET …/records lists yours.";
    /// The query is not of the form.
    EvidenceQuery = "EVD-021", Caller, 400, "Ask with from, until (RFC 3339 in UTC) and limit for records, with from and to (numbers) for consistency, each once.";
    /// No signed head covers the record yet.
    EvidenceEarly = "EVD-022", Gateway, 503, "The proof is not ready yet. Ask again in two seconds.";

    // A partner's own certificates.
    /// The request is not of the form.
    ReplacementForm = "CRT-001", Caller, 400, "Send exactly the members that the page on replacing certificates lists, each once.";
    /// What was sent is no certificate that can be read.
    ReplacementUnreadable = "CRT-002", Caller, 400, "Send the new certificate in PEM, followed by its issuers where it needs them, 1 to 6 in all.";
    /// The certificate does not chain to the partner's anchors.
    ReplacementPath = "CRT-003", Caller, 400, "The new certificate does not chain to the authorities that are agreed for this role. Have it issued by one of them, and send the issuers between.";
    /// The certificate names another organisation.
    ReplacementOrganisation = "CRT-004", Caller, 400, "The new certificate names another organisation than you are registered with. Its first O must be exactly that name.";
    /// Its key usage does not fit the role.
    ReplacementUsage = "CRT-005", Caller, 400, "The key usage or extended key usage of the new certificate does not fit this role.";
    /// Its key or the algorithm is none that is taken.
    ReplacementKey = "CRT-006", Caller, 400, "The key of the new certificate is too small, of a kind that this role does not take, or does not go with the algorithm.";
    /// The certificate is not valid now, or ends before it is to begin.
    ReplacementTime = "CRT-007", Caller, 400, "The new certificate is not valid now, or ends before it is to begin. Send it when its time has come.";
    /// The certificate is revoked, or nobody can say.
    ReplacementRevoked = "CRT-008", Caller, 400, "The new certificate or an issuer of it is revoked, or its revocation list is not at hand.";
    /// The certificate or its key is bound already.
    ReplacementBound = "CRT-009", Caller, 409, "The certificate or its key is in use already. Make a new key for it, which serves this role alone.";
    /// As many certificates of the role as may be hold or wait.
    ReplacementTooMany = "CRT-010", Caller, 409, "As many certificates of this role as may be hold already. Wait for the end of one, or ask the gateway's operator to withdraw one.";
    /// There is nothing to replace.
    ReplacementNothing = "CRT-011", Caller, 409, "You have no certificate in this role that could be replaced. Ask the gateway's operator to add the first.";
    /// The challenge is none of ours, or for another partner, role, certificate or connection.
    ChallengeForeign = "CRT-012", Caller, 403, "The challenge was not made for this partner, role, certificate and connection. Ask for a new one.";
    /// The challenge is too old.
    ChallengeStale = "CRT-013", Caller, 403, "The challenge is too old. Ask for a new one, and answer it at once.";
    /// The challenge was used before.
    ChallengeUsed = "CRT-014", Caller, 409, "The challenge was used before. Ask for a new one.";
    /// The proof is not of the form.
    ProofForm = "CRT-015", Caller, 400, "The proof is not of the form: a compact JWS with the asked algorithm and `typ`, or the 256 bits that were sealed, in base64url.";
    /// The proof does not prove that the caller holds the new key.
    ProofWrong = "CRT-016", Caller, 403, "The proof does not show that you hold the new key. Answer the challenge with the private key of the certificate that you sent.";
    /// The moment from which it is to hold cannot be.
    ReplacementBegin = "CRT-017", Caller, 400, "`validFrom` lies in the past or too far ahead. Leave it out for now, or name an earlier moment.";

    // Ourselves.
    /// More exchanges than the gateway takes at once.
    Overloaded = "GW-001", Gateway, 503, "The gateway is busy. Try again in a few seconds.";
    /// A fault in the gateway.
    Fault = "GW-002", Gateway, 500, "The gateway failed. Give the correlation id to its operator.";
    /// The store did not take what must not be lost.
    StoreDown = "GW-004", Gateway, 503, "The gateway cannot store the request safely at present. Try again later.";
    /// What the gateways share cannot be reached.
    SharedGone = "SHR-001", Gateway, 503, "The gateway cannot check at present whether this request was seen before. Send it again, newly signed, after the time in Retry-After.";

    // Quotas.
    /// The partner's rate on this route is used up.
    QuotaRate = "QTA-001", Caller, 429, "Too many requests at once on this route. Send the next one after the time in Retry-After, and no more than RateLimit-Policy says.";
    /// The partner's day on this route is used up.
    QuotaDay = "QTA-002", Caller, 429, "The day's requests on this route are used up. Send the next one after the time in Retry-After, or ask the gateway's operator for more.";

    /// We cannot sign: no usable signature key.
    NoSigner = "GW-003", Gateway, 500, "The gateway has no usable signature key. Give the correlation id to its operator.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The end of an exchange that did not pass a check.
#[derive(Clone, Debug)]
pub struct Refusal {
    code: Code,
    member: Option<&'static str>,
    stated: Option<String>,
    retry_after_s: Option<u64>,
    cause: String,
}

/// The longest code of somebody else's that is passed on.
const STATED_MAX: usize = 24;

impl Refusal {
    /// A refusal with the cause for the operator's log. The cause never reaches the caller; it must hold no secret, no
    /// body and no query.
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        Self {
            code,
            member: None,
            stated: None,
            retry_after_s: None,
            cause: cause.into(),
        }
    }

    /// Names the member or header that is wrong, for protocols that say it (`Missing Input Parameter - id`).
    #[must_use]
    pub const fn naming(mut self, member: &'static str) -> Self {
        self.member = Some(member);
        self
    }

    /// Names the code that the service behind us gave, such as `RPR-WIN-001`. Taken only when it looks like one.
    #[must_use]
    pub fn stating(mut self, code: &str) -> Self {
        let letters = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
        let fits = code.len() <= STATED_MAX
            && code.bytes().all(letters)
            && code.ends_with(|c: char| c.is_ascii_digit());
        if fits {
            self.cause.push_str(&format!(" ({code})"));
            self.stated = Some(code.to_owned());
        }
        self
    }

    /// Says after how many seconds another try makes sense.
    #[must_use]
    pub const fn after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// After how many seconds another try makes sense, where that is known.
    pub const fn retry_after_s(&self) -> Option<u64> {
        match (self.retry_after_s, self.code) {
            (Some(seconds), _) => Some(seconds),
            (None, Code::Overloaded) => Some(1),
            (None, Code::SharedGone) => Some(2),
            // The store is asked for again all the time; a caller need not be quicker.
            (None, Code::StoreDown) => Some(5),
            (None, _) => None,
        }
    }

    /// The code that the service behind us gave.
    pub fn stated(&self) -> Option<&str> {
        self.stated.as_deref()
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The member or header that is wrong, when one is.
    pub const fn member(&self) -> Option<&'static str> {
        self.member
    }

    /// For the operator's log only.
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.cause)
    }
}

impl Error for Refusal {}

/// What the reader of a body gets when the HTTP gate refuses the body's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub Code);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the gate refused the body", self.0)
    }
}

impl Error for Violation {}

/// The code with which the gate refused a body, if that is what is behind this error.
pub fn violation(error: &(dyn Error + 'static)) -> Option<Code> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An io::Error does not show its own content as a source.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(<dyn Error + Send + Sync>::downcast_ref::<Violation>);
        if let Some(Violation(code)) = inner.or_else(|| error.downcast_ref()) {
            return Some(*code);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_page_of_refusals_has_every_code_with_its_side_and_status() {
        let page = include_str!("../docs/refusals.md");
        for code in Code::ALL {
            let begin = format!("| `{code}` |");
            let rows: Vec<&str> = page.lines().filter(|l| l.starts_with(&begin)).collect();
            assert_eq!(rows.len(), 1, "{code}");
            let status = code.status().to_string();
            assert!(
                rows[0].contains(code.side().as_str()),
                "{code}: {}",
                rows[0]
            );
            assert!(rows[0].contains(&status), "{code}: {}", rows[0]);
        }
    }

    #[test]
    fn a_code_of_somebody_elses_is_taken_only_when_it_looks_like_one() {
        for good in ["RPR-WIN-001", "KER-ATH-019", "500"] {
            let refusal = Refusal::new(Code::PacketErrors, "x").stating(good);
            assert_eq!(refusal.stated(), Some(good));
            assert_eq!(refusal.cause(), format!("x ({good})"));
        }
        for bad in [
            "",
            "secret-1",
            "RPR-WIN",
            "A B1",
            "<1",
            "KER-ATH-0191234567890123456",
        ] {
            let refusal = Refusal::new(Code::PacketErrors, "x").stating(bad);
            assert_eq!((refusal.stated(), refusal.cause()), (None, "x"));
        }
    }

    #[test]
    fn codes_are_unique_and_say_what_to_do() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice");
            assert!(code.remedy().len() > 20 && code.remedy().ends_with('.'));
        }
    }
}
