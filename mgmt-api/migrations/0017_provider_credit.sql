-- What may still be spent with a provider's key, where the provider tells: micro-dollars at `checked_at`.
ALTER TABLE providers ADD COLUMN check_credit BIGINT;
