package dev.foreman.app.push;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;

/**
 * Where on the screen a thing has its notification: where the app itself shows it (client/src/app/place.rs), so that one
 * takes the place of the other. Nothing of Android is in here.
 */
final class Place {
    /** What the app showed itself says more, and is about the same as what comes so soon after it. In milliseconds. */
    private static final long SOON = 60_000;

    private Place() {}

    static int of(String server, String subject) throws GeneralSecurityException {
        byte[] name = (server + " " + subject).getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.wrap(MessageDigest.getInstance("SHA-256").digest(name)).getInt() & Integer.MAX_VALUE;
    }

    /** Whether what the app showed there at a time stays, now that the same was brought. */
    static boolean stays(long shownAt, long now) {
        return now - shownAt < SOON;
    }
}
