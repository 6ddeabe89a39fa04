package dev.foreman.app.push;

import android.app.Notification;
import android.app.NotificationChannel;
import android.app.NotificationManager;
import android.app.PendingIntent;
import android.content.Context;
import android.content.Intent;
import android.net.Uri;
import android.os.Build;
import android.service.notification.StatusBarNotification;
import dev.foreman.app.MainActivity;
import dev.foreman.app.R;
import java.security.GeneralSecurityException;
import org.json.JSONObject;

/** What was told, on the screen. */
final class Shown {
    /** Marks what was brought: the app's own has none of it. */
    private static final String BROUGHT = "dev.foreman.app.BROUGHT";

    private Shown() {}

    static void tell(Context context, Registrations.One one, JSONObject told) throws GeneralSecurityException {
        NotificationManager screen = context.getSystemService(NotificationManager.class);
        String tag = told.optString("tag");
        // An older server does not say what it is about.
        int place = Place.of(one.server, told.optString("subject", tag));
        if (told.optBoolean("over")) {
            screen.cancel(place);
            return;
        }
        if (isToldByApp(screen, place)) return;
        Intent open = new Intent(context, MainActivity.class)
            .setAction(PushPlugin.PRESSED)
            // Two that differ only in what goes with them are one to the system.
            .setData(Uri.fromParts("told", tag, null))
            .putExtra("token", one.token)
            .putExtra("page", told.optString("page"));
        int asIs = PendingIntent.FLAG_IMMUTABLE | PendingIntent.FLAG_UPDATE_CURRENT;
        String body = told.optString("body");
        Notification.Builder card = builder(context, screen, told.optBoolean("urgent"))
            .setSmallIcon(R.mipmap.ic_launcher_monochrome)
            .setContentTitle(told.optString("title", "Foreman"))
            .setContentText(body)
            .setStyle(new Notification.BigTextStyle().bigText(body))
            .setContentIntent(PendingIntent.getActivity(context, 0, open, asIs))
            .setAutoCancel(true);
        card.getExtras().putBoolean(BROUGHT, true);
        screen.notify(place, card.build());
    }

    private static boolean isToldByApp(NotificationManager screen, int place) {
        for (StatusBarNotification shown : screen.getActiveNotifications()) {
            boolean isThere = shown.getTag() == null && shown.getId() == place;
            if (isThere && !shown.getNotification().extras.getBoolean(BROUGHT)) {
                return Place.stays(shown.getPostTime(), System.currentTimeMillis());
            }
        }
        return false;
    }

    /** What needs somebody comes over what is on the screen, the rest does not. */
    @SuppressWarnings("deprecation")
    private static Notification.Builder builder(Context context, NotificationManager screen, boolean urgent) {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) {
            int importance = urgent ? Notification.PRIORITY_HIGH : Notification.PRIORITY_DEFAULT;
            return new Notification.Builder(context).setDefaults(Notification.DEFAULT_ALL).setPriority(importance);
        }
        String name = urgent ? "needs" : "news";
        int importance = urgent ? NotificationManager.IMPORTANCE_HIGH : NotificationManager.IMPORTANCE_DEFAULT;
        String words = context.getString(urgent ? R.string.push_needs : R.string.push_news);
        // Known already, it only gets its words anew, in the language of now.
        screen.createNotificationChannel(new NotificationChannel(name, words, importance));
        return new Notification.Builder(context, name);
    }
}
