// A partner that seals its own requests in the envelope `jose` (docs/jose.md) and believes no answer that is not proven.
//
//     java Partner.java METHOD URL PARTNER GATEWAY CA < plain body
//
// PARTNER is a folder with our own tls.pem, encryption.pem and signature.pem and the keys beside them (tls.key.pem, ...; PKCS#8),
// GATEWAY one with the gateway's encryption.pem and signature.pem, CA the file with the anchors of its TLS certificate. Plain
// Java 17, no library. Encryption and signature certificates are RSA here; a JOSE library does the other kinds as well.

import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Partner {
    static final SecureRandom RANDOM = new SecureRandom();
    // RSA-OAEP-256: SHA-256 in both places. The name of the transformation alone would leave MGF1 with SHA-1.
    static final OAEPParameterSpec OAEP =
            new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT);

    public static void main(String[] args) throws Exception {
        String method = args[0], url = args[1];
        Path partner = Path.of(args[2]), gateway = Path.of(args[3]), ca = Path.of(args[4]);
        byte[] body = seal(System.in.readAllBytes(), "application/json", leaf(gateway.resolve("encryption.pem")));
        String signature = sign(method, url, body, partner);

        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).header("signature", signature);
        if (body.length > 0) request.header("Content-Type", "application/jose");
        request.method(method, body.length > 0 ? BodyPublishers.ofByteArray(body) : BodyPublishers.noBody());
        HttpClient client = HttpClient.newBuilder().sslContext(tls(partner, ca)).build();
        HttpResponse<byte[]> answer = client.send(request.build(), BodyHandlers.ofByteArray());

        check(answer, signature, leaf(gateway.resolve("signature.pem")));
        System.out.println(answer.statusCode());
        System.out.println(new String(open(answer, partner), StandardCharsets.UTF_8));
    }

    /** The body as it is sent: nothing for nothing, else a JWE to the certificate. */
    static byte[] seal(byte[] plain, String mediaType, X509Certificate to) throws Exception {
        if (plain.length == 0) return plain;
        byte[] key = random(32), iv = random(12);
        String header = b64(("{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\",\"kid\":\"" + name(to)
                + "\",\"cty\":\"" + mediaType + "\"}").getBytes(StandardCharsets.US_ASCII));
        Cipher wrap = Cipher.getInstance("RSA/ECB/OAEPPadding");
        wrap.init(Cipher.ENCRYPT_MODE, to.getPublicKey(), OAEP);
        Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding");
        gcm.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        gcm.updateAAD(header.getBytes(StandardCharsets.US_ASCII));
        byte[] text = gcm.doFinal(plain); // ciphertext, then the tag
        int end = text.length - 16;
        return String.join(".", header, b64(wrap.doFinal(key)), b64(iv),
                b64(Arrays.copyOf(text, end)), b64(Arrays.copyOfRange(text, end, text.length)))
                .getBytes(StandardCharsets.US_ASCII);
    }

    /** The plain body of an answer whose signature was checked. */
    static byte[] open(HttpResponse<byte[]> answer, Path partner) throws Exception {
        if (answer.body().length == 0) return answer.body();
        require(one(answer, "Content-Type").equals("application/jose"), "the answer is not sealed");
        String[] part = new String(answer.body(), StandardCharsets.US_ASCII).split("\\.", -1);
        require(part.length == 5, "not five parts");
        Map<String, String> header = flat(new String(unb64(part[0]), StandardCharsets.UTF_8));
        require(header.keySet().equals(Set.of("alg", "enc", "kid", "cty")), "not the agreed members");
        require(header.get("alg").equals("\"RSA-OAEP-256\"") && header.get("enc").equals("\"A256GCM\""), "other algorithms");
        require(header.get("kid").equals('"' + name(leaf(partner.resolve("encryption.pem"))) + '"'), "sealed to another");
        byte[] iv = unb64(part[2]), tag = unb64(part[4]);
        require(iv.length == 12 && tag.length == 16, "not the agreed lengths");
        Cipher unwrap = Cipher.getInstance("RSA/ECB/OAEPPadding");
        unwrap.init(Cipher.DECRYPT_MODE, key(partner, "encryption"), OAEP);
        SecretKeySpec key = new SecretKeySpec(unwrap.doFinal(unb64(part[1])), "AES");
        Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding");
        gcm.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv));
        gcm.updateAAD(part[0].getBytes(StandardCharsets.US_ASCII));
        return gcm.doFinal(concat(unb64(part[3]), tag));
    }

    /** The value of the header `signature` over the octets of the body. */
    static String sign(String method, String url, byte[] body, Path partner) throws Exception {
        String header = b64(("{\"alg\":\"RS256\",\"x5t#S256\":\"" + name(leaf(partner.resolve("signature.pem")))
                + "\",\"b64\":false,\"iat\":" + Instant.now().getEpochSecond() + ",\"jti\":\"" + b64(random(16))
                + "\",\"htm\":\"" + method + "\",\"htu\":\"" + url
                + "\",\"crit\":[\"b64\",\"iat\",\"jti\",\"htm\",\"htu\"]}").getBytes(StandardCharsets.US_ASCII));
        Signature signer = Signature.getInstance("SHA256withRSA");
        signer.initSign(key(partner, "signature"));
        signer.update((header + ".").getBytes(StandardCharsets.US_ASCII));
        signer.update(body);
        return header + ".." + b64(signer.sign());
    }

    /** Whether an answer is the gateway's, to this very request, and fresh. */
    static void check(HttpResponse<byte[]> answer, String signature, X509Certificate gateway) throws Exception {
        String code = answer.headers().firstValue("x-triseal-code").orElse("-");
        require(answer.headers().allValues("response-signature").size() == 1,
                "no signature: status " + answer.statusCode() + ", code " + code);
        String[] part = one(answer, "response-signature").split("\\.", -1);
        require(part.length == 3 && part[1].isEmpty(), "not a detached signature");
        Map<String, String> header = flat(new String(unb64(part[0]), StandardCharsets.UTF_8));
        header.remove("leaf"); // a receipt, where the gateway keeps evidence (docs/evidence.md)
        require(header.keySet().equals(Set.of("alg", "x5t#S256", "b64", "iat", "jti", "status", "req", "crit")),
                "not the agreed members");
        String[] crit = header.get("crit").replaceAll("[\\[\\]\" ]", "").split(",");
        require(crit.length == 5 && Set.of(crit).equals(Set.of("b64", "iat", "jti", "status", "req")), "another crit");
        require(header.get("alg").equals("\"RS256\"") && header.get("b64").equals("false"), "another algorithm");
        require(header.get("x5t#S256").equals('"' + name(gateway) + '"'), "somebody else's signature");
        Signature verifier = Signature.getInstance("SHA256withRSA");
        verifier.initVerify(gateway.getPublicKey());
        verifier.update((part[0] + ".").getBytes(StandardCharsets.US_ASCII));
        verifier.update(answer.body());
        require(verifier.verify(unb64(part[2])), "the signature does not fit");
        String req = b64(sha256(signature.getBytes(StandardCharsets.US_ASCII)));
        require(header.get("req").equals('"' + req + '"'), "an answer to another request");
        require(header.get("status").equals(String.valueOf(answer.statusCode())), "another status");
        long age = Instant.now().getEpochSecond() - Long.parseLong(header.get("iat"));
        require(age <= 60 && age >= -30, "not fresh");
    }

    /** The members of a JSON object whose values are strings, numbers, words and lists of strings; nothing else is taken. */
    static Map<String, String> flat(String json) {
        String string = "\"[^\"\\\\]*\"", value = string + "|-?\\d+|true|false|\\[[^\\[\\]{}]*\\]";
        String member = "\\s*(" + string + ")\\s*:\\s*(" + value + ")\\s*";
        require(json.matches("\\s*\\{" + member + "(," + member + ")*\\}\\s*"), "an unexpected header: " + json);
        Map<String, String> members = new TreeMap<>();
        Matcher each = Pattern.compile(member).matcher(json);
        while (each.find()) {
            String name = each.group(1).substring(1, each.group(1).length() - 1);
            require(members.put(name, each.group(2)) == null, "a member twice: " + name);
        }
        return members;
    }

    static SSLContext tls(Path partner, Path ca) throws Exception {
        char[] none = new char[0];
        KeyStore own = KeyStore.getInstance("PKCS12"), anchors = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        anchors.load(null, null);
        own.setKeyEntry("tls", key(partner, "tls"), none, chain(partner.resolve("tls.pem")));
        int n = 0;
        for (Certificate anchor : chain(ca)) anchors.setCertificateEntry("anchor" + n++, anchor);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, none);
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(anchors);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), RANDOM);
        return context;
    }

    static Certificate[] chain(Path pem) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        return factory.generateCertificates(new ByteArrayInputStream(Files.readAllBytes(pem))).toArray(new Certificate[0]);
    }

    static X509Certificate leaf(Path pem) throws Exception {
        return (X509Certificate) chain(pem)[0];
    }

    static PrivateKey key(Path folder, String role) throws Exception {
        String pem = Files.readString(folder.resolve(role + ".key.pem"));
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
        String kind = leaf(folder.resolve(role + ".pem")).getPublicKey().getAlgorithm();
        return KeyFactory.getInstance(kind).generatePrivate(new PKCS8EncodedKeySpec(der));
    }

    /** How a message names a certificate. */
    static String name(X509Certificate certificate) throws Exception {
        return b64(sha256(certificate.getEncoded()));
    }

    static String one(HttpResponse<?> answer, String header) {
        return answer.headers().firstValue(header).orElse("");
    }

    static byte[] sha256(byte[] bytes) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(bytes);
    }

    static byte[] random(int length) {
        byte[] bytes = new byte[length];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    static byte[] concat(byte[] one, byte[] two) {
        byte[] both = Arrays.copyOf(one, one.length + two.length);
        System.arraycopy(two, 0, both, one.length, two.length);
        return both;
    }

    static String b64(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    static byte[] unb64(String text) {
        byte[] bytes = Base64.getUrlDecoder().decode(text);
        require(b64(bytes).equals(text), "not canonical base64url");
        return bytes;
    }

    static void require(boolean condition, String why) {
        if (!condition) throw new IllegalStateException(why);
    }
}
