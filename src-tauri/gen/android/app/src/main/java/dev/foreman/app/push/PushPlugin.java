package dev.foreman.app.push;

import android.app.Activity;
import android.content.Intent;
import android.util.Base64;
import android.util.Log;
import android.webkit.WebView;
import app.tauri.annotation.Command;
import app.tauri.annotation.InvokeArg;
import app.tauri.annotation.TauriPlugin;
import app.tauri.plugin.Channel;
import app.tauri.plugin.Invoke;
import app.tauri.plugin.Plugin;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What the program asks about messages of a push service, and hears of presses on them. */
@TauriPlugin
public final class PushPlugin extends Plugin {
    static final String PRESSED = "dev.foreman.app.PRESSED";
    private static final int PLAIN = Base64.URL_SAFE | Base64.NO_PADDING | Base64.NO_WRAP;
    /** Who waits for a distributor's answer, by the token. */
    private static final Map<String, Invoke> WAITING = new ConcurrentHashMap<>();

    private final Activity activity;
    private Channel presses;
    /** The press that started the app, before anybody listened. */
    private Intent early;

    public PushPlugin(Activity activity) {
        super(activity);
        this.activity = activity;
    }

    @InvokeArg
    public static class OfServer {
        public String server;
    }

    @InvokeArg
    public static class Register {
        public String server;
        public String distributor;
        public String vapid;
        public String purpose;
    }

    @InvokeArg
    public static class Listen {
        public Channel handler;
    }

    /** Who brings messages here, and what there is for a server. */
    @Command
    public void state(Invoke invoke) {
        try {
            Map<String, String> found = Distributors.found(activity);
            Registrations all = Distributors.registrations(activity);
            Registrations.One one = all.of(invoke.parseArgs(OfServer.class).server);
            // Removed from the phone, it brings nothing more.
            if (one != null && !found.containsKey(one.distributor)) {
                all.ended(one.token);
                one = null;
            }
            List<Map<String, Object>> distributors = new ArrayList<>();
            for (Map.Entry<String, String> each : found.entrySet()) {
                Map<String, Object> said = new HashMap<>();
                said.put("id", each.getKey());
                said.put("name", each.getValue());
                distributors.add(said);
            }
            Map<String, Object> state = new HashMap<>();
            state.put("distributors", distributors);
            state.put("mine", one == null || one.endpoint == null ? null : said(one));
            invoke.resolveObject(state);
        } catch (IOException error) {
            failed(invoke, error);
        }
    }

    /** Answers once the distributor did. */
    @Command
    public void register(Invoke invoke) {
        Register asked = invoke.parseArgs(Register.class);
        try {
            Registrations all = Distributors.registrations(activity);
            Registrations.One before = all.of(asked.server);
            Registrations.One one = all.begin(asked.server, asked.distributor);
            if (before != null && !before.token.equals(one.token)) Distributors.unregister(activity, before);
            WAITING.put(one.token, invoke);
            Distributors.register(activity, one, asked.vapid, asked.purpose);
        } catch (IOException | GeneralSecurityException error) {
            failed(invoke, error);
        }
    }

    @Command
    public void unregister(Invoke invoke) {
        try {
            Registrations all = Distributors.registrations(activity);
            Registrations.One one = all.of(invoke.parseArgs(OfServer.class).server);
            if (one != null) {
                all.ended(one.token);
                WAITING.remove(one.token);
                Distributors.unregister(activity, one);
            }
            invoke.resolve();
        } catch (IOException error) {
            failed(invoke, error);
        }
    }

    /** From now on presses are told, the one that started the app included. */
    @Command
    public void listen(Invoke invoke) {
        presses = invoke.parseArgs(Listen.class).handler;
        invoke.resolve();
        if (early != null) pressed(early);
        early = null;
    }

    @Override
    public void load(WebView webView) {
        early = activity.getIntent();
    }

    @Override
    public void onNewIntent(Intent intent) {
        if (presses == null) early = intent;
        else pressed(intent);
    }

    /** Any app may start this one: only what was shown here knows the token. */
    private void pressed(Intent intent) {
        String token = intent.getStringExtra("token");
        if (!PRESSED.equals(intent.getAction()) || token == null) return;
        try {
            Registrations.One one = Distributors.registrations(activity).known(token);
            if (one == null) return;
            Map<String, Object> press = new HashMap<>();
            press.put("server", one.server);
            press.put("page", intent.getStringExtra("page"));
            presses.sendObject(press);
        } catch (IOException error) {
            Log.w("Foreman", "a press led nowhere", error);
        }
    }

    static void moved(Registrations.One one) {
        Invoke waiting = one == null ? null : WAITING.remove(one.token);
        if (waiting != null) waiting.resolveObject(said(one));
    }

    static void refused(String token, String reason) {
        Invoke waiting = WAITING.remove(token);
        if (waiting != null) waiting.reject(reason, reason == null ? "INTERNAL_ERROR" : reason);
    }

    private static Map<String, Object> said(Registrations.One one) {
        Map<String, Object> target = new HashMap<>();
        target.put("kind", "unified_push");
        target.put("endpoint", one.endpoint);
        target.put("p256dh", Base64.encodeToString(one.keys.point, PLAIN));
        target.put("auth", Base64.encodeToString(one.keys.auth, PLAIN));
        Map<String, Object> said = new HashMap<>();
        said.put("distributor", one.distributor);
        said.put("target", target);
        return said;
    }

    private static void failed(Invoke invoke, Exception error) {
        invoke.reject(error.getMessage(), "STORAGE");
    }
}
