package dev.foreman.app.push;

import android.app.BroadcastOptions;
import android.app.PendingIntent;
import android.content.Context;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.content.pm.ResolveInfo;
import android.os.Build;
import java.io.File;
import java.util.Map;
import java.util.TreeMap;

/** The apps of this phone that bring messages, and what is said to them (UnifiedPush for Android, AND_3). */
final class Distributors {
    private static final String TO = "org.unifiedpush.android.distributor.";
    private static final String REGISTER = TO + "REGISTER";
    /** From here on the system itself says who sends. */
    private static final int SAYS_WHO = 34;

    private Distributors() {}

    static Registrations registrations(Context context) {
        return new Registrations(new File(context.getNoBackupFilesDir(), "push.properties"));
    }

    /** Their names, by those of their packages. */
    static Map<String, String> found(Context context) {
        PackageManager packages = context.getPackageManager();
        Map<String, String> found = new TreeMap<>();
        for (ResolveInfo each : packages.queryBroadcastReceivers(new Intent(REGISTER), 0)) {
            String name = each.activityInfo.packageName;
            found.put(name, each.activityInfo.applicationInfo.loadLabel(packages).toString());
        }
        return found;
    }

    /** The answer comes to the receiver. */
    static void register(Context context, Registrations.One one, String vapid, String purpose) {
        Intent asked = to(one, REGISTER).putExtra("message", purpose);
        // Those of before AND_3 know an app by this.
        asked.putExtra("application", context.getPackageName());
        if (vapid != null) asked.putExtra("vapid", vapid);
        send(context, asked);
    }

    static void unregister(Context context, Registrations.One one) {
        send(context, to(one, TO + "UNREGISTER"));
    }

    /** Without it, a distributor tells again, and in the end no more. */
    static void acknowledge(Context context, Registrations.One one, String message) {
        send(context, to(one, TO + "MESSAGE_ACK").putExtra("id", message));
    }

    private static Intent to(Registrations.One one, String action) {
        return new Intent(action).setPackage(one.distributor).putExtra("token", one.token);
    }

    private static void send(Context context, Intent intent) {
        if (Build.VERSION.SDK_INT >= SAYS_WHO) {
            BroadcastOptions options = BroadcastOptions.makeBasic().setShareIdentityEnabled(true);
            context.sendBroadcast(intent, null, options.toBundle());
            return;
        }
        Intent nobody = new Intent().setPackage("org.unifiedpush.dummy_app");
        intent.putExtra("pi", PendingIntent.getBroadcast(context, 0, nobody, PendingIntent.FLAG_IMMUTABLE));
        context.sendBroadcast(intent);
    }
}
