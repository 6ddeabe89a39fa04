package dev.foreman.app.push;

import android.app.Service;
import android.content.Intent;
import android.os.Binder;
import android.os.IBinder;

/** Does nothing: a distributor binds to it while it tells something, so that the system gives the app the time for it. */
public final class RaiseToForeground extends Service {
    @Override
    public IBinder onBind(Intent intent) {
        return new Binder();
    }
}
