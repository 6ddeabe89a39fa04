package dev.foreman.app.push;

import android.content.BroadcastReceiver;
import android.content.Context;
import android.content.Intent;
import android.util.Log;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import org.json.JSONException;
import org.json.JSONObject;

/** Hears distributors, also while the app is closed. Any app may send here: what comes without a token of ours is nothing. */
public final class PushReceiver extends BroadcastReceiver {
    private static final String FROM = "org.unifiedpush.android.connector.";

    @Override
    public void onReceive(Context context, Intent intent) {
        String action = intent.getAction();
        String token = intent.getStringExtra("token");
        if (action == null || token == null || !action.startsWith(FROM)) return;
        try {
            heard(context, action.substring(FROM.length()), token, intent);
        } catch (IOException | GeneralSecurityException | JSONException error) {
            Log.w("Foreman", "what a push service said was left alone", error);
        }
    }

    private static void heard(Context context, String what, String token, Intent intent)
        throws IOException, GeneralSecurityException, JSONException {
        Registrations all = Distributors.registrations(context);
        Registrations.One one = all.known(token);
        if (one == null) return;
        String message = intent.getStringExtra("id");
        if (message != null) Distributors.acknowledge(context, one, message);
        switch (what) {
            case "NEW_ENDPOINT":
                PushPlugin.moved(all.moved(token, intent.getStringExtra("endpoint")));
                break;
            case "REGISTRATION_FAILED":
                all.refused(token);
                PushPlugin.refused(token, intent.getStringExtra("reason"));
                break;
            case "UNREGISTERED":
                all.ended(token);
                break;
            case "MESSAGE":
                byte[] body = intent.getByteArrayExtra("bytesMessage");
                if (body == null) break;
                String told = new String(Sealed.open(body, one.keys), StandardCharsets.UTF_8);
                Shown.tell(context, one, new JSONObject(told));
                break;
            default:
                break;
        }
    }
}
