-- Version 3: shares and links, and where people keep what they were given. It only adds to version 2.
-- Times are nanoseconds since 1970 (UTC).

CREATE TABLE share (
  id {INT} PRIMARY KEY,
  kind {INT} NOT NULL,                  -- 0 with a person, 1 with a group, 3 by link (numbers of the OCS sharing API)
  state {INT} NOT NULL DEFAULT 0,       -- 0 in force, 1 its node is in the trash
  space_id {INT} NOT NULL,              -- where the node lies
  node_id {INT} NOT NULL,
  sharer_id {INT} NOT NULL,             -- the account that gave it
  to_id {INT},                          -- account or group; NULL: whoever has the link
  permissions {INT} NOT NULL,           -- 1 read, 2 update, 4 create, 8 delete, 16 share
  may_download {INT} NOT NULL DEFAULT 1,
  name {TEXT} NOT NULL,                 -- what it is called at the receiver's, unless that says otherwise
  note {TEXT} NOT NULL DEFAULT '',
  label {TEXT} NOT NULL DEFAULT '',
  expires_at {INT},                     -- the first moment at which it does not hold any more
  made_at {INT} NOT NULL,
  token {TEXT},                         -- of a link: what its address ends with
  token_hash {BLOB},                    -- keyed BLAKE3 of it, by which it is found
  password_hash {TEXT},                 -- argon2id PHC string
  opens {INT} NOT NULL DEFAULT 0,       -- downloads, counted
  opened_at {INT},                      -- last use
  reminded_at {INT});                   -- the owner was told that it ends
CREATE UNIQUE INDEX share_token ON share(token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX share_to ON share(to_id, kind) WHERE to_id IS NOT NULL;
CREATE INDEX share_node ON share(node_id);
CREATE INDEX share_space ON share(space_id);
CREATE INDEX share_sharer ON share(sharer_id, id);
CREATE INDEX share_expires ON share(expires_at) WHERE expires_at IS NOT NULL;

-- Where somebody put what they were given; no row: in the root of the home, under its own name.
CREATE TABLE mount (
  account_id {INT} NOT NULL,
  node_id {INT} NOT NULL,               -- what was given
  parent_id {INT},                      -- the folder of the home; NULL: its root
  name {TEXT} NOT NULL,
  left_at {INT},                        -- the receiver left what had been given until then
  PRIMARY KEY (account_id, node_id));
CREATE INDEX mount_node ON mount(node_id);
