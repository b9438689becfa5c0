-- Version 1: people, spaces, nodes, contents, packs, history, locks.
-- {ID} {INT} {BLOB} {TEXT} are filled in by store/metadata/dialect.rs for each engine.
-- Times are nanoseconds since 1970 (UTC) unless the column says otherwise.

CREATE TABLE setting (name {TEXT} PRIMARY KEY, value {TEXT} NOT NULL);

-- Numbers handed out by `Tx::reserve_ids`; a number is never used again.
CREATE TABLE counter (name {TEXT} PRIMARY KEY, next {INT} NOT NULL);

CREATE TABLE account (
  id {INT} PRIMARY KEY,
  name {TEXT} NOT NULL,                 -- as shown; unique by fold
  fold {TEXT} NOT NULL,
  display_name {TEXT} NOT NULL,
  email {TEXT},
  password_hash {TEXT},                 -- argon2id PHC string; NULL: cannot sign in with a password
  is_admin {INT} NOT NULL DEFAULT 0,
  state {INT} NOT NULL DEFAULT 0,       -- 0 active, 1 disabled, 2 deleted (archived until purge_at)
  home_space {INT} NOT NULL,
  created_at {INT} NOT NULL,
  changed_at {INT} NOT NULL,            -- rises with each change that must end cached credentials
  purge_at {INT});
CREATE UNIQUE INDEX account_fold ON account(fold) WHERE state < 2;
CREATE INDEX account_archived ON account(fold) WHERE state = 2;
CREATE INDEX account_purge ON account(purge_at) WHERE state = 2;

CREATE TABLE token (
  id {INT} PRIMARY KEY,
  account_id {INT} NOT NULL,
  hash {BLOB} NOT NULL,                 -- keyed BLAKE3 of the token's text
  label {TEXT} NOT NULL,
  read_only {INT} NOT NULL DEFAULT 0,
  created_at {INT} NOT NULL,
  used_at {INT},
  expires_at {INT},
  revoked_at {INT});
CREATE UNIQUE INDEX token_hash ON token(hash);
CREATE INDEX token_account ON token(account_id);

-- Wrong guesses per (account, address); rows older than the window are swept.
CREATE TABLE throttle (
  account {TEXT} NOT NULL, address {TEXT} NOT NULL, failures {INT} NOT NULL, until {INT} NOT NULL, at {INT} NOT NULL,
  PRIMARY KEY (account, address));
CREATE INDEX throttle_at ON throttle(at);

CREATE TABLE team (
  id {INT} PRIMARY KEY, name {TEXT} NOT NULL, fold {TEXT} NOT NULL, space_id {INT} NOT NULL,
  state {INT} NOT NULL DEFAULT 0, created_at {INT} NOT NULL, purge_at {INT});
CREATE UNIQUE INDEX team_fold ON team(fold) WHERE state < 2;
CREATE INDEX team_purge ON team(purge_at) WHERE state = 2;
CREATE TABLE member (
  team_id {INT} NOT NULL, account_id {INT} NOT NULL, role {INT} NOT NULL,   -- 0 reader, 1 member, 2 manager
  PRIMARY KEY (team_id, account_id));
CREATE INDEX member_account ON member(account_id);

CREATE TABLE domain (id {INT} PRIMARY KEY, name {TEXT} NOT NULL, key_ref {TEXT} NOT NULL);
CREATE TABLE space (
  id {INT} PRIMARY KEY,
  domain_id {INT} NOT NULL,
  kind {INT} NOT NULL,                  -- 1 home, 2 group, 3 system
  owner_id {INT} NOT NULL,              -- account or team
  root_id {INT} NOT NULL,
  trash_id {INT} NOT NULL,              -- the hidden folder that holds deleted trees
  seq {INT} NOT NULL DEFAULT 0,         -- last committed change
  floor {INT} NOT NULL DEFAULT 0,       -- tombstones at or below are gone
  used {INT} NOT NULL DEFAULT 0,        -- bytes of current files, logical
  files {INT} NOT NULL DEFAULT 0,
  kept {INT} NOT NULL DEFAULT 0,        -- bytes of trash and versions
  quota {INT},                          -- bytes; NULL: the default of the settings; -1: none
  state {INT} NOT NULL DEFAULT 0);      -- 0 live, 1 archived

CREATE TABLE node (
  id {INT} PRIMARY KEY,
  space_id {INT} NOT NULL,
  parent_id {INT},                      -- NULL: the root or the trash of its space
  name {TEXT} NOT NULL,
  fold {TEXT} NOT NULL,
  kind {INT} NOT NULL,                  -- 0 folder, 1 file
  seq {INT} NOT NULL,                   -- the change that produced this row's state
  born {INT} NOT NULL,                  -- seq at creation
  tree_seq {INT} NOT NULL,              -- folders: greatest seq at or below
  content_id {INT},
  size {INT} NOT NULL DEFAULT 0,        -- folders: of the whole tree
  tree_files {INT} NOT NULL DEFAULT 0,
  rev {INT} NOT NULL DEFAULT 0,
  content_at {INT} NOT NULL DEFAULT 0,  -- microseconds, strictly rising per file
  mtime {INT} NOT NULL,
  ctime {INT} NOT NULL,
  flags {INT} NOT NULL DEFAULT 0);      -- 1 executable, 2 symbolic link
CREATE UNIQUE INDEX node_name ON node(parent_id, name);
CREATE INDEX node_children ON node(parent_id, id);
CREATE UNIQUE INDEX node_feed ON node(space_id, seq);
CREATE INDEX node_content ON node(content_id) WHERE content_id IS NOT NULL;

CREATE TABLE tomb (
  space_id {INT} NOT NULL, seq {INT} NOT NULL, node_id {INT} NOT NULL, parent_id {INT}, why {INT} NOT NULL,  -- 0 deleted, 1 moved away
  at {INT} NOT NULL,
  PRIMARY KEY (space_id, seq, node_id));

CREATE TABLE content (
  id {INT} PRIMARY KEY,
  space_id {INT} NOT NULL,
  hash {BLOB} NOT NULL,                 -- content id: keyed BLAKE3 over size and chunk ids
  key_number {INT} NOT NULL,
  size {INT} NOT NULL,
  profile {INT} NOT NULL,
  chunks {INT} NOT NULL,
  pack {INT}, off {INT}, stored {INT},  -- chunks = 1: its place; pack NULL and no map: the bytes are in hot_chunk
  map {BLOB},
  checksum {TEXT},
  at {INT} NOT NULL);
CREATE UNIQUE INDEX content_hash ON content(space_id, hash);
CREATE TABLE hot_chunk (content_id {INT} PRIMARY KEY, data {BLOB} NOT NULL);
CREATE TABLE hook (space_id {INT} NOT NULL, id8 {INT} NOT NULL, content_id {INT} NOT NULL, PRIMARY KEY (space_id, id8, content_id));
CREATE INDEX hook_content ON hook(content_id);
CREATE TABLE content_pack (pack {INT} NOT NULL, content_id {INT} NOT NULL, PRIMARY KEY (pack, content_id));
CREATE INDEX content_pack_content ON content_pack(content_id);

CREATE TABLE pack (
  id {INT} PRIMARY KEY,
  uuid {BLOB} NOT NULL,
  state {INT} NOT NULL,                 -- 0 open, 1 sealed, 2 moved (its file waits for the grace), 3 gone (only `moved` remains)
  bytes {INT} NOT NULL DEFAULT 0,
  at {INT} NOT NULL,                    -- opened
  sealed_at {INT},
  gone_at {INT},                        -- moved: when; its file goes after the grace
  moved {BLOB},
  verified {INT});                      -- when every frame was last read and hashed
CREATE INDEX pack_state ON pack(state, id);
CREATE TABLE pack_source (              -- which moved packs lead into a pack
  pack {INT} NOT NULL, source {INT} NOT NULL, PRIMARY KEY (pack, source));
CREATE INDEX pack_source_source ON pack_source(source);
CREATE TABLE maybe_dead (content_id {INT} PRIMARY KEY, at {INT} NOT NULL);
CREATE TABLE pack_work (pack {INT} PRIMARY KEY, at {INT} NOT NULL);

CREATE TABLE hist (                     -- every state that a node had
  node_id {INT} NOT NULL, space_id {INT} NOT NULL, from_seq {INT} NOT NULL, to_seq {INT} NOT NULL,
  parent_id {INT}, name {TEXT} NOT NULL, content_id {INT}, size {INT} NOT NULL, mtime {INT} NOT NULL,
  actor {INT} NOT NULL, at {INT} NOT NULL, label {TEXT},
  kept {INT} NOT NULL DEFAULT 0,        -- bytes that this row charges to space.kept: the size of a replaced content
  PRIMARY KEY (node_id, space_id, from_seq));
CREATE INDEX hist_folder ON hist(parent_id, to_seq);
CREATE INDEX hist_age ON hist(space_id, at);
CREATE INDEX hist_content ON hist(content_id) WHERE content_id IS NOT NULL;

CREATE TABLE trash (
  node_id {INT} PRIMARY KEY, space_id {INT} NOT NULL, deleted_by {INT} NOT NULL, at {INT} NOT NULL,
  parent_id {INT}, name {TEXT} NOT NULL, size {INT} NOT NULL);
CREATE INDEX trash_age ON trash(at);
CREATE INDEX trash_space ON trash(space_id, at);

CREATE TABLE lock (
  token {TEXT} PRIMARY KEY, space_id {INT} NOT NULL, node_id {INT} NOT NULL, owner_id {INT} NOT NULL,
  shared {INT} NOT NULL, deep {INT} NOT NULL, until {INT} NOT NULL, timeout_seconds {INT} NOT NULL, info {TEXT});
CREATE INDEX lock_node ON lock(node_id);
CREATE INDEX lock_space ON lock(space_id, until);
CREATE INDEX lock_owner ON lock(owner_id);
CREATE INDEX lock_until ON lock(until);

CREATE TABLE property (                 -- dead properties (RFC 4918 section 15)
  node_id {INT} NOT NULL, namespace {TEXT} NOT NULL, name {TEXT} NOT NULL, value {TEXT} NOT NULL,   -- the whole XML element
  PRIMARY KEY (node_id, namespace, name));

CREATE TABLE lease (id {BLOB} PRIMARY KEY, space_id {INT} NOT NULL, begun {INT} NOT NULL, until {INT} NOT NULL);
CREATE INDEX lease_until ON lease(until);
CREATE TABLE lease_content (lease_id {BLOB} NOT NULL, content_id {INT} NOT NULL, PRIMARY KEY (lease_id, content_id));
CREATE INDEX lease_by_content ON lease_content(content_id);

CREATE TABLE job (                      -- work asked of the server that holds the data
  id {INT} PRIMARY KEY, kind {TEXT} NOT NULL, argument {TEXT} NOT NULL, state {INT} NOT NULL,  -- 0 asked, 1 running, 2 done, 3 failed
  progress {TEXT} NOT NULL DEFAULT '', result {TEXT}, at {INT} NOT NULL, beat_at {INT} NOT NULL);
CREATE INDEX job_state ON job(state, id);
