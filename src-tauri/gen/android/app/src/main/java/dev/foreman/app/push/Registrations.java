package dev.foreman.app.push;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.Properties;
import java.util.UUID;

/**
 * Under which token a distributor brings the messages of which server, and what opens them. A file of the app's own, which
 * no backup takes to another phone. Nothing of Android is in here.
 */
final class Registrations {
    /** An address is this long at most (UnifiedPush AND_3), in bytes. */
    private static final int LONGEST = 1_000;
    /** A message and the window may come at once. */
    private static final Object ONE_AT_A_TIME = new Object();

    /** That of one server. */
    static final class One {
        final String server;
        /** What the distributor knows it by; nobody else does. */
        final String token;
        /** The name of its package. */
        final String distributor;
        final Keys keys;
        /** Where servers send to; nothing before the distributor said it. */
        final String endpoint;

        One(String server, String token, String distributor, Keys keys, String endpoint) {
            this.server = server;
            this.token = token;
            this.distributor = distributor;
            this.keys = keys;
            this.endpoint = endpoint;
        }
    }

    private final File file;

    Registrations(File file) {
        this.file = file;
    }

    /** Nothing where there is none. */
    One of(String server) throws IOException {
        synchronized (ONE_AT_A_TIME) {
            return read(load(), server);
        }
    }

    /** The one with this token; nothing for a token of nobody's. */
    One known(String token) throws IOException {
        synchronized (ONE_AT_A_TIME) {
            return find(load(), token);
        }
    }

    /** Goes on with what there is at this distributor, or begins anew: a token is never told to two of them. */
    One begin(String server, String distributor) throws IOException, GeneralSecurityException {
        synchronized (ONE_AT_A_TIME) {
            Properties all = load();
            One known = read(all, server);
            if (known != null && known.distributor.equals(distributor)) return known;
            One fresh = new One(server, UUID.randomUUID().toString(), distributor, Keys.fresh(), null);
            write(all, fresh);
            keep(all);
            return fresh;
        }
    }

    /** The distributor says where servers send to; what that makes of it, or nothing where it was not asked. */
    One moved(String token, String endpoint) throws IOException {
        synchronized (ONE_AT_A_TIME) {
            Properties all = load();
            One known = find(all, token);
            if (known == null || endpoint == null || endpoint.getBytes(StandardCharsets.UTF_8).length > LONGEST) {
                return null;
            }
            One moved = new One(known.server, known.token, known.distributor, known.keys, endpoint);
            write(all, moved);
            keep(all);
            return moved;
        }
    }

    /** The distributor refuses it. Of no effect once it said where servers send to; else the next one has another token. */
    boolean refused(String token) throws IOException {
        One known = known(token);
        return known != null && known.endpoint == null && ended(token);
    }

    /** True when it was one. */
    boolean ended(String token) throws IOException {
        synchronized (ONE_AT_A_TIME) {
            Properties all = load();
            One known = find(all, token);
            if (known == null) return false;
            for (String name : all.stringPropertyNames()) {
                if (name.startsWith(known.server + " ")) all.remove(name);
            }
            keep(all);
            return true;
        }
    }

    private static One find(Properties all, String token) {
        for (String name : all.stringPropertyNames()) {
            if (name.endsWith(" token") && all.getProperty(name).equals(token)) {
                return read(all, name.substring(0, name.lastIndexOf(' ')));
            }
        }
        return null;
    }

    private static One read(Properties all, String server) {
        String token = all.getProperty(server + " token");
        if (token == null) return null;
        Keys keys = new Keys(bytes(all, server + " secret"), bytes(all, server + " point"), bytes(all, server + " auth"));
        return new One(server, token, all.getProperty(server + " by", ""), keys, all.getProperty(server + " endpoint"));
    }

    private static void write(Properties all, One one) {
        all.setProperty(one.server + " token", one.token);
        all.setProperty(one.server + " by", one.distributor);
        put(all, one.server + " secret", one.keys.secret);
        put(all, one.server + " point", one.keys.point);
        put(all, one.server + " auth", one.keys.auth);
        if (one.endpoint == null) all.remove(one.server + " endpoint");
        else all.setProperty(one.server + " endpoint", one.endpoint);
    }

    /** Each byte is a letter; the file's form writes them all so that they come back. */
    private static void put(Properties all, String name, byte[] bytes) {
        all.setProperty(name, new String(bytes, StandardCharsets.ISO_8859_1));
    }

    private static byte[] bytes(Properties all, String name) {
        return all.getProperty(name, "").getBytes(StandardCharsets.ISO_8859_1);
    }

    private Properties load() throws IOException {
        Properties all = new Properties();
        if (!file.exists()) return all;
        try (InputStream from = new FileInputStream(file)) {
            all.load(from);
        }
        return all;
    }

    /** Never half there. */
    private void keep(Properties all) throws IOException {
        File next = new File(file.getPath() + ".new");
        try (OutputStream into = new FileOutputStream(next)) {
            all.store(into, null);
        }
        if (!next.renameTo(file)) throw new IOException("the file could not be put in its place");
    }
}
