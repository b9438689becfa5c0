-- Version 2: what sync clients, phones and browsers need. It only adds to version 1.
-- Times are nanoseconds since 1970 (UTC); hashes of secrets are keyed BLAKE3.

-- Somebody signed in with a browser.
CREATE TABLE session (
  hash {BLOB} PRIMARY KEY, account_id {INT} NOT NULL, agent {TEXT} NOT NULL,
  created_at {INT} NOT NULL, used_at {INT} NOT NULL, until {INT} NOT NULL);
CREATE INDEX session_account ON session(account_id);
CREATE INDEX session_until ON session(until);

-- A device that waits for its owner's consent (login flow v2).
CREATE TABLE device_login (
  poll_hash {BLOB} PRIMARY KEY, page_hash {BLOB} NOT NULL, device {TEXT} NOT NULL, until {INT} NOT NULL,
  account_id {INT},                     -- who consented
  sealed {BLOB});                       -- before consent: the key to seal with, encrypted under the page's token;
                                        -- after it: the app password, encrypted under a key that the poll token yields
CREATE UNIQUE INDEX device_login_page ON device_login(page_hash);
CREATE INDEX device_login_until ON device_login(until);
CREATE INDEX device_login_account ON device_login(account_id) WHERE account_id IS NOT NULL;

-- People may sign in with their address of mail.
CREATE INDEX account_email ON account(lower(email)) WHERE state < 2;

-- A permission for one use within seconds or hours: to open the push channel, to read one file.
CREATE TABLE ticket (
  hash {BLOB} PRIMARY KEY, kind {INT} NOT NULL, account_id {INT} NOT NULL, token_id {INT}, node_id {INT},
  until {INT} NOT NULL);
CREATE INDEX ticket_until ON ticket(until);
CREATE INDEX ticket_account ON ticket(account_id);

ALTER TABLE token ADD COLUMN wipe_at {INT};    -- its device is to delete its files: since when
ALTER TABLE token ADD COLUMN wiped_at {INT};   -- the device said that it has

-- A file that arrives in parts.
CREATE TABLE upload (
  id {INT} PRIMARY KEY, account_id {INT} NOT NULL, space_id {INT} NOT NULL, name {TEXT} NOT NULL,
  total {INT},                          -- bytes announced; NULL: not announced
  replaces {INT} NOT NULL,              -- bytes of the file that it is to replace
  former {INT},                         -- that file's content; it may go meanwhile
  profile {INT} NOT NULL,               -- how its parts are cut
  received {INT} NOT NULL DEFAULT 0,    -- bytes of its parts
  parts {INT} NOT NULL DEFAULT 0,
  changes {INT} NOT NULL DEFAULT 0,     -- rises whenever a part comes or goes
  begun_at {INT} NOT NULL, at {INT} NOT NULL, until {INT} NOT NULL,
  node_id {INT}, rev {INT}, created {INT}, path {TEXT});   -- what it became; kept for a while, so that the client may ask again
CREATE UNIQUE INDEX upload_name ON upload(account_id, name);
CREATE INDEX upload_space ON upload(space_id);
CREATE INDEX upload_open ON upload(space_id) WHERE node_id IS NULL;
CREATE INDEX upload_until ON upload(until);
CREATE TABLE upload_part (              -- names a content, as a node does
  upload_id {INT} NOT NULL, number {INT} NOT NULL, name {TEXT} NOT NULL, content_id {INT} NOT NULL, size {INT} NOT NULL,
  chunk {BLOB},                         -- the id of its chunk, where that is one
  at {INT} NOT NULL,
  PRIMARY KEY (upload_id, number));
CREATE INDEX upload_part_content ON upload_part(content_id);

CREATE TABLE favorite (account_id {INT} NOT NULL, node_id {INT} NOT NULL, PRIMARY KEY (account_id, node_id));
CREATE INDEX favorite_node ON favorite(node_id);

CREATE TABLE tag (id {INT} PRIMARY KEY, space_id {INT} NOT NULL, name {TEXT} NOT NULL, fold {TEXT} NOT NULL);
CREATE UNIQUE INDEX tag_fold ON tag(space_id, fold);
CREATE TABLE node_tag (node_id {INT} NOT NULL, tag_id {INT} NOT NULL, PRIMARY KEY (node_id, tag_id));
CREATE INDEX node_tag_tag ON node_tag(tag_id, node_id);

ALTER TABLE lock ADD COLUMN kind {INT};        -- NULL: by WebDAV; 0 by hand, 1 by an application, 2 by a token
ALTER TABLE lock ADD COLUMN at {INT};          -- when it was made
ALTER TABLE lock ADD COLUMN editor {TEXT};     -- the application's name
