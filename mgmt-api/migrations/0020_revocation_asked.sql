-- A revocation that is on its way: `revoked_at` is set when the device says that it holds.
ALTER TABLE grants ADD COLUMN revoke_asked_at BIGINT;
