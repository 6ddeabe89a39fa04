package dev.foreman.app.push;

import java.io.File;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECPrivateKeySpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

/** What of the app needs no phone, for the journeys: each call is a start of the app. */
public final class Phone {
    private static final Base64.Encoder WRITE = Base64.getUrlEncoder().withoutPadding();
    private static final Base64.Decoder READ = Base64.getUrlDecoder();

    public static void main(String[] said) throws Exception {
        Registrations all = new Registrations(new File(said[0]));
        switch (said[1]) {
            case "begin":
                say(all.begin(said[2], said[3]));
                break;
            case "of":
                say(all.of(said[2]));
                break;
            case "moved":
                say(all.moved(said[2], said[3]));
                break;
            case "refused":
                System.out.println(all.refused(said[2]));
                break;
            case "ended":
                System.out.println(all.ended(said[2]));
                break;
            case "place":
                System.out.println(Place.of(said[2], said[3]));
                break;
            case "stays":
                System.out.println(Place.stays(Long.parseLong(said[2]), Long.parseLong(said[3])));
                break;
            case "open":
                print(Sealed.open(READ.decode(said[3]), all.known(said[2]).keys));
                break;
            case "open-with":
                print(Sealed.open(READ.decode(said[5]), given(said[2], said[3], said[4])));
                break;
            default:
                throw new IllegalArgumentException(said[1]);
        }
    }

    /** Keys as RFC 8291 writes them: a number, a point and the secret. */
    private static Keys given(String number, String point, String auth) throws Exception {
        KeyFactory keys = KeyFactory.getInstance("EC");
        ECPrivateKey any = (ECPrivateKey) keys.generatePrivate(new PKCS8EncodedKeySpec(Keys.fresh().secret));
        ECPrivateKeySpec spec = new ECPrivateKeySpec(new BigInteger(1, READ.decode(number)), any.getParams());
        return new Keys(keys.generatePrivate(spec).getEncoded(), READ.decode(point), READ.decode(auth));
    }

    private static void say(Registrations.One one) {
        if (one == null) {
            System.out.println("none");
            return;
        }
        String keys = WRITE.encodeToString(one.keys.point) + " " + WRITE.encodeToString(one.keys.auth);
        System.out.println(one.server + " " + one.token + " " + one.distributor + " " + keys + " " + one.endpoint);
    }

    private static void print(byte[] text) {
        System.out.println(new String(text, StandardCharsets.UTF_8));
    }
}
