import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** TLS by the files that the environment names. */
class Tls {
    static SSLContext client() throws Exception {
        var context = SSLContext.getInstance("TLS");
        context.init(null, new X509TrustManager[] {trust()}, null);
        return context;
    }

    static X509TrustManager trust() throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        store.setCertificateEntry("tests", certificates("TLS_AUTHORITY")[0]);
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return (X509TrustManager) factory.getTrustManagers()[0];
    }

    static SSLContext server() throws Exception {
        var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(serverKeys(), new char[0]);
        var context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        return context;
    }

    static KeyStore serverKeys() throws Exception {
        var pem = Files.readString(Path.of(System.getenv("TLS_KEY"))).replaceAll("-----[A-Z ]+-----|\\s", "");
        var key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)));
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        store.setKeyEntry("tests", key, new char[0], certificates("TLS_CERTIFICATE"));
        return store;
    }

    private static Certificate[] certificates(String variable) throws Exception {
        try (var pem = Files.newInputStream(Path.of(System.getenv(variable)))) {
            return CertificateFactory.getInstance("X.509").generateCertificates(pem).toArray(Certificate[]::new);
        }
    }
}
