-- The data key under the one in the system's keychain, as `file_wrapped` is under the operator's key file.
ALTER TABLE vaults ADD COLUMN keychain_wrapped TEXT;
