package dev.foreman.app.push;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Opens what a server sealed for this phone: RFC 8291 over RFC 8188, one record. Nothing of Android is in here. */
final class Sealed {
    private static final int SALT = 16;
    private static final int TAG = 16;
    /** Salt, size of a record, length of the sender's key. */
    private static final int HEAD = SALT + 4 + 1;
    /** After the last record's content, and zeros after it. */
    private static final byte END = 2;

    private Sealed() {}

    /** @throws GeneralSecurityException when it was not sealed for these keys, or was changed on its way */
    static byte[] open(byte[] body, Keys keys) throws GeneralSecurityException {
        if (body.length <= HEAD + Keys.POINT + TAG) throw new GeneralSecurityException("too short");
        ByteBuffer from = ByteBuffer.wrap(body);
        byte[] salt = new byte[SALT];
        from.get(salt);
        long size = from.getInt() & 0xffffffffL;
        if (from.get() != Keys.POINT) throw new GeneralSecurityException("no key of a sender");
        byte[] sender = new byte[Keys.POINT];
        from.get(sender);
        byte[] record = new byte[from.remaining()];
        from.get(record);
        if (record.length > size) throw new GeneralSecurityException("more than one record");

        byte[] who = joined("WebPush: info\0", keys.point, sender);
        byte[] shared = derived(keys.auth, keys.agreedWith(sender), who, 32);
        byte[] key = derived(salt, shared, joined("Content-Encoding: aes128gcm\0"), 16);
        byte[] nonce = derived(salt, shared, joined("Content-Encoding: nonce\0"), 12);
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(8 * TAG, nonce));
        byte[] padded = cipher.doFinal(record);
        int end = padded.length - 1;
        while (end >= 0 && padded[end] == 0) end--;
        if (end < 0 || padded[end] != END) throw new GeneralSecurityException("it does not end");
        return Arrays.copyOf(padded, end);
    }

    /** HKDF with SHA-256 (RFC 5869), of one block. */
    private static byte[] derived(byte[] salt, byte[] from, byte[] info, int length) throws GeneralSecurityException {
        byte[] block = hashed(hashed(salt, from), joined(info, new byte[] {1}));
        return Arrays.copyOf(block, length);
    }

    private static byte[] hashed(byte[] key, byte[] what) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(what);
    }

    private static byte[] joined(String first, byte[]... more) {
        byte[] all = first.getBytes(StandardCharsets.US_ASCII);
        for (byte[] each : more) all = joined(all, each);
        return all;
    }

    private static byte[] joined(byte[] one, byte[] other) {
        byte[] both = Arrays.copyOf(one, one.length + other.length);
        System.arraycopy(other, 0, both, one.length, other.length);
        return both;
    }
}
