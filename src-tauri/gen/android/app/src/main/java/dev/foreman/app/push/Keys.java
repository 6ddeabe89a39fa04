package dev.foreman.app.push;

import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import javax.crypto.KeyAgreement;

/**
 * What the messages of one server are sealed for: a key pair of P-256, and 16 bytes that only this phone and that server
 * know (RFC 8291). Nothing of Android is in here, so that it is tested where there is none.
 */
final class Keys {
    /** An uncompressed point, in bytes. */
    static final int POINT = 65;
    private static final int COORDINATE = 32;
    private static final int AUTH = 16;

    /** PKCS #8. */
    final byte[] secret;
    /** Uncompressed. */
    final byte[] point;
    final byte[] auth;

    Keys(byte[] secret, byte[] point, byte[] auth) {
        this.secret = secret;
        this.point = point;
        this.auth = auth;
    }

    static Keys fresh() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair pair = generator.generateKeyPair();
        byte[] auth = new byte[AUTH];
        new SecureRandom().nextBytes(auth);
        return new Keys(pair.getPrivate().getEncoded(), written((ECPublicKey) pair.getPublic()), auth);
    }

    /** What this half and the other one, an uncompressed point, have in common. */
    byte[] agreedWith(byte[] other) throws GeneralSecurityException {
        if (other.length != POINT || other[0] != 4) throw new GeneralSecurityException("no uncompressed point");
        KeyFactory keys = KeyFactory.getInstance("EC");
        ECPrivateKey mine = (ECPrivateKey) keys.generatePrivate(new PKCS8EncodedKeySpec(secret));
        BigInteger x = new BigInteger(1, Arrays.copyOfRange(other, 1, 1 + COORDINATE));
        BigInteger y = new BigInteger(1, Arrays.copyOfRange(other, 1 + COORDINATE, POINT));
        KeyAgreement agreement = KeyAgreement.getInstance("ECDH");
        agreement.init(mine);
        agreement.doPhase(keys.generatePublic(new ECPublicKeySpec(new ECPoint(x, y), mine.getParams())), true);
        return agreement.generateSecret();
    }

    private static byte[] written(ECPublicKey key) {
        byte[] point = new byte[POINT];
        point[0] = 4;
        put(key.getW().getAffineX(), point, 1);
        put(key.getW().getAffineY(), point, 1 + COORDINATE);
        return point;
    }

    /** With zeros in front, and without the sign that a whole number may bring. */
    private static void put(BigInteger number, byte[] into, int at) {
        byte[] bytes = number.toByteArray();
        int length = Math.min(bytes.length, COORDINATE);
        System.arraycopy(bytes, bytes.length - length, into, at + COORDINATE - length, length);
    }
}
